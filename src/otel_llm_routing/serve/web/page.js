// Draws the mix of each surface. Every name comes from outside and is set as text, never as markup.
"use strict";
const SVG = "http://www.w3.org/2000/svg";
const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#7f7f7f", "#b2df8a", "#a6761d"];
const UNKNOWN = "#9aa0a6";
const colours = new Map();
const colour = (model) => {
  if (model === "") return UNKNOWN;
  if (!colours.has(model)) colours.set(model, PALETTE[colours.size % PALETTE.length]);
  return colours.get(model);
};
const label = (model) => (model === "" ? "served model not known" : model);
const percent = (share) => (100 * share).toFixed(1) + " %";
const make = (name, text, attributes = {}) => {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
};
const shape = (name, attributes, text) => {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
};

function chart(surface, data) {
  const svg = shape("svg", { viewBox: "0 0 1000 100", preserveAspectRatio: "none", role: "img" });
  const shares = Object.entries(surface.shares).map(([m, s]) => `${m} ${percent(s)}`).join(", ");
  svg.append(shape("title", {}, `Share of each served model of ${surface.surface} over time: ${shares}`));
  const totals = new Map();
  for (const series of surface.series) for (const [at, n] of series.points) totals.set(at, (totals.get(at) || 0) + n);
  const below = new Map();
  const x = (at) => (1000 * (at - data.start)) / (data.end - data.start);
  for (const series of surface.series) {
    for (const [at, n] of series.points) {
      const height = (100 * n) / totals.get(at);
      const top = 100 - (below.get(at) || 0) - height;
      below.set(at, (below.get(at) || 0) + height);
      const left = Math.max(0, x(at));
      const width = Math.max(1, Math.min(1000, x(at + data.width)) - left);
      const bar = shape("rect", { x: left, y: top, width, height, fill: colour(series.served) });
      bar.append(shape("title", {}, `${label(series.served)}: ${n} of ${totals.get(at)}, ${new Date(at * 1000).toLocaleTimeString()}`));
      svg.append(bar);
    }
  }
  return svg;
}

function draw(data) {
  // Colours are given in the order of names, so that they do not change with the traffic.
  [...new Set(data.surfaces.flatMap((s) => Object.keys(s.shares)))].sort().forEach(colour);
  const main = document.getElementById("surfaces");
  const sections = data.surfaces.map((surface) => {
    const section = make("section");
    section.append(make("h2", surface.surface));
    const said = [`${surface.requests} requests`];
    if (surface.unknown_share > 0) said.push(`${percent(surface.unknown_share)} with the served model not known`);
    if (surface.errors > 0) said.push(`${surface.errors} failed`);
    section.append(make("div", said.join(", "), { class: "dim" }), chart(surface, data));
    const list = make("ul");
    for (const [model, share] of Object.entries(surface.shares).sort((a, b) => b[1] - a[1])) {
      const item = make("li");
      const mark = make("i");
      mark.style.background = colour(model);
      item.append(mark, document.createTextNode(`${model} ${percent(share)}`));
      list.append(item);
    }
    section.append(list);
    return section;
  });
  if (!sections.length) sections.push(make("p", "No calls in this time yet. Point OTEL_EXPORTER_OTLP_ENDPOINT here."));
  main.replaceChildren(...sections);
}

async function refresh() {
  const state = document.getElementById("state");
  try {
    const answer = await fetch("/api/mix?seconds=" + document.getElementById("seconds").value);
    const data = await answer.json();
    if (!answer.ok) throw new Error(data.error);
    draw(data);
    state.textContent = "as of " + new Date(data.end * 1000).toLocaleTimeString();
  } catch (error) {
    state.textContent = "not reachable: " + error.message;
  }
}
document.getElementById("seconds").addEventListener("change", refresh);
refresh();
setInterval(refresh, 2000);
