// Curves with axes, drawn by plotly from the installed Python package.
import { colour } from "./api.js";

const ACCENT = "#0072b2";
const WARM = "#d55e00";

function layout(x, y, more = {}) {
  const [ink, line] = [colour("ink"), colour("line")];
  const axis = (title) => ({ title: { text: title, font: { size: 12 } }, gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true });
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, size: 11 },
    margin: { l: 54, r: 10, t: 8, b: 40 }, showlegend: true, hovermode: "x unified", uirevision: "kept",
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 11 } },
    hoverlabel: { bgcolor: colour("card"), font: { color: ink } },
    xaxis: { ...axis(x), ...more.xaxis }, yaxis: { ...axis(y), ...more.yaxis }, shapes: more.shapes ?? [],
  };
}

const CONFIG = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

// The library is large: the page opens without waiting for it.
const loaded = new Promise((go) => {
  const script = document.createElement("script");
  script.src = "../files/plotly.js";
  script.onload = script.onerror = go;
  document.head.append(script);
});
const drawn = new Map(); // the last number of each drawing that was asked for

async function plot(where, traces, ...rest) {
  const number = (drawn.get(where) ?? 0) + 1;
  drawn.set(where, number);
  await loaded;
  if (drawn.get(where) !== number) return;
  if (window.Plotly) window.Plotly.react(where, traces, layout(...rest), CONFIG);
  else where.textContent = "The curves need the Python package plotly on the server.";
}

export function drawCurve(where, decisions, column, shown, limit) {
  const x = decisions.map((row) => row[column.observations]);
  const of = (name) => decisions.map((row) => row[column[name]]);
  const has = (values) => values.some(Number.isFinite);
  const [error, nmse] = [of("error"), of("nmse")];
  const traces = [];
  if (has(error)) {
    traces.push(
      { x, y: of("high"), mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false },
      { x, y: of("low"), mode: "lines", line: { width: 0 }, fill: "tonexty", fillcolor: "rgba(0,114,178,0.2)", name: "90 % interval", hoverinfo: "skip" },
      { x, y: error, mode: "lines", line: { color: ACCENT, width: 2 }, name: "agent's estimate", hovertemplate: "%{y:.3f}" });
  }
  if (has(nmse)) traces.push({ x, y: nmse, mode: "lines", line: { color: WARM, width: 2, dash: "dot" }, name: "true error", hovertemplate: "%{y:.3f}" });
  const line = (y, dash, text) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: { color: colour("quiet"), dash, width: 1 },
    label: { text, textposition: "start", font: { size: 10, color: colour("quiet") } } });
  const shapes = [line(1, "dot", "mean spectrum")];
  if (limit) shapes.push(line(limit, "dash", `stop at ${limit}`));
  if (shown < decisions.length && decisions.length) {
    const at = decisions[Math.max(0, shown - 1)][column.observations];
    shapes.push({ type: "line", yref: "paper", y0: 0, y1: 1, x0: at, x1: at, line: { color: colour("quiet"), width: 1 } });
  }
  plot(where, traces, "measured points", "relative error", { shapes, yaxis: { rangemode: "tozero" } });
}

export function drawSpectra(where, spectra, curves) {
  const axis = spectra?.axis ?? [];
  const unit = (text) => (text ? ` / ${text}` : "");
  const known = curves.every(({ values }) => values.length === axis.length);
  const traces = curves.map(({ values, name, style }) => ({
    x: known ? axis : Array.from(values.keys()), y: Array.from(values), name, mode: style === "measured" ? "lines+markers" : "lines",
    marker: { size: 4 }, hovertemplate: "%{y:.3g}",
    line: { color: { measured: colour("ink"), before: WARM, now: ACCENT, truth: "#009e73" }[style], width: style === "measured" ? 1 : 2,
      dash: style === "before" ? "dash" : style === "truth" ? "dot" : "solid" },
  }));
  plot(where, traces, known ? `${spectra?.axis_name ?? "step"}${unit(spectra?.axis_unit)}` : "step",
    `${spectra?.quantity ?? "spectrum"}${unit(spectra?.unit)}`);
}
