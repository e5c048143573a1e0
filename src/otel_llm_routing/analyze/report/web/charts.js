"use strict";
// Draws the charts of charts.py from what drawing.py describes. Every name comes from outside and is set as text.
const charts = (() => {
  const NO_SHARES = {
    gap: ["no data", "nothing was counted of any surface", 0.12],
    idle: ["no requests", "no request", 0.05],
    unnamed: ["not known", "the served model of no request is known", 0.12],
  };
  const NOT_OVER = 0.55;
  const LEAST = 5; // points that the changes' scale reaches at least: noise is not to look like news
  const DENSE = 35; // columns from which on there is no room in one for a word, or for lines between parts of a bar
  const NEAR = 0.065; // of a chart's height: letters nearer than this would lie on each other
  const percent = (share) => (100 * share).toFixed(1) + "%";
  const points = (change) => (change <= -0.05 ? "−" : "+") + Math.abs(change).toFixed(1) + " points";

  // The rows that the two charts draw: see NamedData in charts.py.
  function rows(strip) {
    const made = { columns: strip.columns.length, gaps: [], words: [], bars: [], boundaries: [], letters: [], bands: [], zero: [{ change: 0, opacity: 1 }, { change: -LEAST, opacity: 0 }, { change: LEAST, opacity: 0 }], changes: [], ends: [] };
    gaps(strip.columns, made);
    const last = strip.columns.map((column) => column.state).lastIndexOf("measured");
    const top = new Array(strip.columns.length).fill(0);
    let boundary = 0;
    for (const model of strip.models) {
      const { served, letter, colour, shape } = model;
      const before = model.reference === null ? 0 : model.reference;
      strip.columns.forEach((column, at) => {
        const share = model.shares[at];
        const measured = column.state === "measured" && share !== null;
        const change = measured ? 100 * (share - before) : null;
        const row = {
          column: column.key, served, colour, shape, change, from: top[at], to: top[at] + (measured ? share : 0),
          opacity: column.over ? 1 : NOT_OVER, time_text: column.label, served_text: `${letter}  ${served}`,
          share_text: measured ? percent(share) : "", requests_text: column.requests.toLocaleString(),
          reference_text: !strip.compared ? "" : model.reference === null ? "does not have it" : percent(before),
          change_text: strip.compared && measured ? points(change) : "", note_text: column.over ? "" : "not over",
        };
        top[at] = row.to;
        if (measured && share > 0) made.bars.push(row);
        if (strip.compared) made.changes.push(row);
        if (measured && at === last) {
          made.letters.push({ letter, size: share, share: (row.from + row.to) / 2 });
          if (strip.compared) made.ends.push({ letter, size: share, change });
        }
      });
      if (strip.compared && model.low !== null) {
        const note = `${served}: ${percent(model.low)} to ${percent(model.high)}`;
        made.bands.push({ colour, low: 100 * (model.low - before), high: 100 * (model.high - before), note });
      }
      boundary += before;
      if (strip.compared && before > 0 && boundary < 0.9995) made.boundaries.push({ share: boundary, note: `up to ${letter}: ${percent(boundary)}` });
    }
    made.letters = apart(made.letters, (one) => one.share, NEAR);
    const heights = [-LEAST, LEAST, ...made.changes.map((row) => row.change), ...made.bands.flatMap((band) => [band.low, band.high])];
    made.ends = apart(made.ends, (one) => one.change, 1.4 * NEAR * (Math.max(...heights) - Math.min(...heights)));
    return made;
  }

  function gaps(columns, made) {
    const words = [];
    let begin = 0;
    columns.forEach((column, at) => {
      if (column.state === "measured") return;
      const [word, note, opacity] = NO_SHARES[column.state];
      made.gaps.push({ column: column.key, time: column.label, note, opacity });
      if (!at || columns[at - 1].state !== column.state) begin = at;
      const next = columns[at + 1];
      if (!next || next.state !== column.state) words.push({ word, size: at - begin + 1, at: Math.floor((begin + at) / 2) });
    });
    // A run too short for a word has its tooltip.
    const wide = words.filter((one) => one.size >= columns.length / DENSE);
    made.words = apart(wide, (one) => one.at, NEAR * columns.length).map(({ word, at }) => ({ word, column: columns[at].key }));
  }

  // Of what would lie on each other, the largest stays.
  function apart(found, place, least) {
    const kept = [];
    for (const one of [...found].sort((a, b) => b.size - a.size)) {
      if (kept.every((other) => Math.abs(place(other) - place(one)) >= least)) kept.push(one);
    }
    return kept;
  }

  let tip = null;
  function tooltip(_, event, __, value) {
    if (!tip) {
      tip = document.createElement("div");
      tip.className = "tip";
      tip.setAttribute("role", "presentation");
      document.body.append(tip);
    }
    tip.hidden = !value;
    if (!value) return;
    const lines = Object.entries(value).filter(([, text]) => text !== "").map(([name, text]) => {
      const line = document.createElement("div");
      const key = document.createElement("span");
      key.textContent = `${name}  `;
      line.append(key, String(text));
      return line;
    });
    tip.replaceChildren(...lines);
    const room = document.documentElement.clientWidth - tip.offsetWidth - 4;
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, room))}px`;
    const below = event.clientY + 14;
    tip.style.top = `${below + tip.offsetHeight > innerHeight ? Math.max(4, event.clientY - tip.offsetHeight - 10) : below}px`;
  }

  // Draws, or draws anew where it has drawn before.
  async function draw(place, specification, made) {
    place.classList.toggle("dense", made.columns > DENSE);
    if (place.view) {
      for (const name of place.names) place.view.data(name, made[name]);
      await place.view.runAsync();
      return;
    }
    // Vega warns of a scale without data; bands are the only rows that a stream may be without from first to last.
    const layer = specification.layer.filter((one) => one.data.name !== "bands" || made.bands.length);
    const names = new Set(layer.map((one) => one.data.name));
    place.names = names;
    const datasets = Object.fromEntries([...names].map((name) => [name, made[name]]));
    // ast: expressions are interpreted, so that nothing needs eval, which the page forbids.
    const inside = document.createElement("div"); // Vega gives it a role of its own; the place has ours
    place.replaceChildren(inside);
    const drawn = await vegaEmbed(inside, { ...specification, layer, datasets }, {
      mode: "vega-lite", renderer: "svg", ast: true, actions: false, defaultStyle: false, tooltip,
    });
    place.view = drawn.view;
    place.dataset.drawn = "";
  }

  return { rows, draw, percent };
})();
