// The charts one after the other, the most urgent surface first, with the page alive in between.
(async () => {
  const { specifications, strips } = JSON.parse(document.getElementById("drawing").textContent);
  for (const place of document.querySelectorAll(".chart")) {
    const strip = strips[place.dataset.strip];
    await charts.draw(place, specifications[place.dataset.chart], charts.rows(strip));
    await new Promise((resume) => setTimeout(resume));
  }
  document.documentElement.dataset.drawn = "all";
})();
