// The list of runs.
import { array, chooseTheme, element, json, number, tellProblem } from "./api.js";

const PAGE = 30;
const WORDS = { running: "running", ended: "ended", aborted: "aborted", failed: "failed", dead: "dead", damaged: "damaged", waiting: "waiting for you", paused: "paused" };
const list = document.getElementById("runs");
const search = document.getElementById("search");
const items = new Map();
const pictures = new Map();
let wanted = PAGE;

async function draw(canvas, uid) {
  if (!pictures.has(uid)) pictures.set(uid, await array(`runs/${encodeURIComponent(uid)}/picture`));
  const { values, shape: [height, width] } = pictures.get(uid);
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  values.forEach((value, index) => image.data.set([value, value, value, 255], 4 * index));
  context.putImageData(image, 0, 0);
}

function item(uid) {
  if (items.has(uid)) return items.get(uid);
  const made = { root: element("li"), link: element("a", "", "card"), canvas: element("canvas"), body: element("div") };
  made.canvas.width = made.canvas.height = 64;
  made.link.href = `run/${encodeURIComponent(uid)}`;
  made.link.append(made.canvas, made.body);
  made.root.append(made.link);
  items.set(uid, made);
  return made;
}

function show(run) {
  const made = item(run.uid);
  const when = run.time ? new Date(1000 * run.time).toLocaleString() : "";
  const points = run.points === undefined ? "" : `${run.points}${run.planned ? ` of ${run.planned}` : ""} points`;
  const error = Number.isFinite(run.nmse) ? `true error ${number(run.nmse, 2)}`
    : Number.isFinite(run.error) ? `estimated error ${number(run.error, 2)}` : "";
  const title = element("p");
  title.append(element("strong", run.sample || run.plan || run.uid), " ", element("span", WORDS[run.state] || run.state, `state ${run.state}`));
  const who = [run.plan, run.agent, run.operator].filter(Boolean).join(" · ");
  const numbers = [points, error].filter(Boolean).join(" · ");
  made.body.replaceChildren(title, element("p", who), element("p", numbers, "number"),
    element("p", [when, run.uid.slice(0, 8)].filter(Boolean).join(" · "), "quiet number"));
  if (run.reason) made.body.append(element("p", run.reason, "quiet"));
  if (run.picture) draw(made.canvas, run.uid).catch(() => {});
  return made.root;
}

async function refresh() {
  const { runs, found, directory } = await json(`runs?limit=${Math.min(200, wanted)}&search=${encodeURIComponent(search.value)}`);
  const wantedItems = runs.map(show);
  if (wantedItems.some((node, index) => list.children[index] !== node) || list.children.length !== wantedItems.length) {
    list.replaceChildren(...wantedItems);
  }
  document.getElementById("where").textContent = directory;
  document.getElementById("count").textContent = found ? `${runs.length} of ${found} runs` : "no such run yet";
  document.getElementById("more").hidden = runs.length >= found;
}

document.getElementById("more").addEventListener("click", () => { wanted += PAGE; refresh().catch(tellProblem); });
search.addEventListener("input", () => refresh().catch(tellProblem));
chooseTheme();
(async () => {
  for (;;) {
    try {
      await refresh();
      document.getElementById("notice").hidden = true;
    } catch (error) {
      tellProblem(error);
      if (error.status === 401) return;
    }
    await new Promise((go) => setTimeout(go, document.hidden ? 10000 : 2000));
  }
})();
