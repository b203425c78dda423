"use strict";
// a click on a point shows its row of the table, and the fit that is nearest to it
for (const section of document.querySelectorAll(".result")) {
  const table = JSON.parse(section.querySelector('script[type="application/json"]').textContent);
  const plots = [...section.querySelectorAll(".js-plotly-plot")];
  const fits = [...section.querySelectorAll("figure")];
  const element = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });

  const show = (row) => {
    const cells = table.columns.map((name, k) => [name, table.texts[table.rows[row][k]]]);
    section.querySelector("dl").replaceChildren(
      ...cells.filter(([, text]) => text).flatMap(([name, text]) => [element("dt", name), element("dd", text)])
    );
    section.querySelector(".note").textContent = table.notes[row] ?? "";
    fits.forEach((fit, k) => { fit.hidden = k !== table.fits[row]; });
    for (const plot of plots) {
      const points = plot.data.flatMap((trace, k) => (trace.type === "scatter" && trace.customdata ? [k] : []));
      if (points.length) Plotly.restyle(plot, { selectedpoints: [[row]] }, points);
    }
  };

  for (const plot of plots) {
    plot.on("plotly_click", (event) => {
      const row = event.points[0].customdata;
      if (row >= 0) show(row);
    });
  }
  show(table.first);
}
