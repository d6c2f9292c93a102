// One run: its rows grow with the journal; everything shown follows from them and from the decision chosen.
import { array, chooseTheme, clock, colours, element, follow, json, number, tellProblem } from "./api.js";
import { drawCurve, drawSpectra } from "./curves.js";
import { Hands } from "./hands.js";
import { KINDS, Scene, limits, mark } from "./scene.js";

const uid = decodeURIComponent(location.pathname.split("/").pop());
const run = `runs/${encodeURIComponent(uid)}`;
const $ = (id) => document.getElementById(id);
const NAMES = { predicted_error: "predicted error", error_low: "predicted error, low end of 90 %", error_high: "predicted error, high end of 90 %", reducible_error: "reducible error", true_error: "true error" };
const STATES = { running: "running", ended: "ended", aborted: "aborted", failed: "failed", dead: "dead", waiting: "waiting for you", paused: "paused" };
const TABLES = ["decisions", "points", "rejected", "excluded", "drifts"];
const SPECTRA_KEPT = 200;

let about;
let live = {};
const rows = {};
const columns = {};
const log = [];
let shown = 0; // decisions, or points in a run without an agent
let following = true;
let selected = -1;
let wait = Promise.resolve();
const kept = new Map();

function cached(path) { // a promise of an array; old ones are forgotten
  if (kept.has(path)) {
    const known = kept.get(path);
    kept.delete(path);
    kept.set(path, known);
    return known;
  }
  const found = array(`${run}/${path}`);
  found.catch(() => kept.delete(path));
  kept.set(path, found);
  if (kept.size > SPECTRA_KEPT) kept.delete(kept.keys().next().value);
  return found;
}

const scene = new Scene($("scene"), (candidate) => choose(candidate));
const hands = new Hands(run, scene, () => selected);
const decides = () => rows.decisions.length > 0;
const total = () => (decides() ? rows.decisions.length : rows.points.length);
const phase = (decision) => about.phases[decision[columns.decisions.phase]];
const kindOf = (decision) => (KINDS[phase(decision)] ? phase(decision) : "other");
const mapShown = () => about.maps.findLastIndex((map) => map.decisions <= shown);

function stepOf(point, index) { // the number of the decision, from 1, with which a point appears
  const made = point[columns.points.decision];
  return decides() ? made + 1 : index + 1;
}

function pointsShown() {
  const marks = [];
  const { x, y } = columns.points;
  for (const bad of rows.excluded) {
    if (bad[0] <= shown && scene.positions) marks.push({ x: scene.positions[2 * bad[1]], y: scene.positions[2 * bad[1] + 1], kind: "excluded" });
  }
  for (const bad of rows.rejected) if (bad[0] <= shown) marks.push({ x: bad[2], y: bad[3], kind: "rejected" });
  let last = 0;
  rows.points.forEach((point, index) => {
    const step = stepOf(point, index);
    if (step > shown) return;
    const decision = rows.decisions[step - 1];
    marks.push({ x: point[x], y: point[y], kind: decides() && decision ? kindOf(decision) : "other", number: index + 1 });
    last = Math.max(last, step);
  });
  if (decides() && last < shown) {
    const next = rows.decisions[shown - 1];
    marks.push({ x: next[columns.decisions.x], y: next[columns.decisions.y], kind: "next" });
  }
  const suggestion = following && live.suggestion;
  if (suggestion) marks.push({ x: suggestion.x, y: suggestion.y, kind: "next" });
  if (following) for (const [px, py] of about.standing?.picks ?? []) marks.push({ x: px, y: py, kind: "next" });
  return marks;
}

async function showImage() {
  if (!$("channel").value) return;
  const [picture, channel] = $("channel").value.split(":").map(Number);
  const { values, shape } = await cached(`images/${picture}/${channel}`);
  const name = about.images[picture].channels[channel];
  scene.image = { values, shape, extent: about.images[picture].area, range: limits(values), table: await colours("gray"),
    label: about.images[picture].units?.[channel] ? `${name} / ${about.images[picture].units[channel]}` : name };
  scene.draw();
}

function extentOfPool() {
  const [rowCount, columnCount] = about.grid;
  const { positions } = scene;
  const last = positions.length - 2;
  const half = [(positions[last] - positions[0]) / Math.max(1, columnCount - 1) / 2, (positions[last + 1] - positions[1]) / Math.max(1, rowCount - 1) / 2];
  return [positions[0] - half[0], positions[last] + half[0], positions[1] - half[1], positions[last + 1] + half[1]];
}

async function showLayer() {
  const name = $("layer").value;
  const at = mapShown();
  const map = about.maps[at];
  if (!name || !map || !(name in map.names) || !scene.positions) {
    scene.layer = null;
    return;
  }
  const { values } = await cached(`maps/${at}/${name}`);
  let range = limits(values);
  if (name in NAMES) { // errors have one scale, from none to the largest that is expected or true
    const others = ["predicted_error", "true_error"].filter((other) => other in map.names);
    const tops = await Promise.all(others.map(async (other) => limits((await cached(`maps/${at}/${other}`)).values)[1]));
    range = [0, Math.max(...tops, range[1] > 0 && !others.length ? range[1] : 0)];
  }
  const unit = map.names[name];
  scene.layer = { values, shape: about.grid ?? [values.length], extent: about.grid ? extentOfPool() : scene.area, range,
    table: await colours("cividis"), label: `${NAMES[name] ?? name}${unit ? `, ${unit}` : ""}` };
}

async function redraw() {
  $("slider").max = total();
  if (following) shown = total();
  $("slider").value = shown;
  const map = about.maps[mapShown()];
  $("shown").textContent = `${decides() ? "decision" : "point"} ${shown} of ${total()}`;
  $("slider").setAttribute("aria-valuetext", $("shown").textContent);
  scene.points = pointsShown();
  scene.path = scene.points.filter((point) => point.number).map(({ x, y }) => [x, y]);
  await showLayer();
  scene.draw();
  showLegend(map);
}

let asked = false;
function later() { // at most one drawing for each picture of the screen
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    wait = wait.then(redraw).catch(tellProblem);
  });
}

let curveAsked = 0;
function laterCurve() {
  clearTimeout(curveAsked);
  curveAsked = setTimeout(() => {
    drawCurve($("curve"), rows.decisions, columns.decisions, shown, (about.standing?.until ?? about.arguments?.until)?.error);
    showSelected().catch(tellProblem);
  }, 120);
}

function showLegend(map) {
  const counts = {};
  for (const { kind } of scene.points) counts[kind] = (counts[kind] ?? 0) + 1;
  $("legend").replaceChildren(...Object.keys(KINDS).filter((kind) => counts[kind]).map((kind) => {
    const label = element("span", "", "row");
    const icon = Object.assign(element("canvas"), { width: 32, height: 32 });
    const context = icon.getContext("2d");
    context.scale(2, 2);
    mark(context, 8, 8, KINDS[kind].shape === "ring" ? 3 : 4, KINDS[kind]);
    label.append(icon, element("span", `${KINDS[kind].name} ${counts[kind]}`));
    return label;
  }), ...(scene.layer && map ? [element("span", `map after ${map.observations} points`, "quiet")] : []));
}

function showFacts() {
  const state = live.question || live.suggestion ? "waiting" : live.paused && about.state === "running" ? "paused" : about.state;
  $("state").className = `state ${state}`;
  $("state").textContent = STATES[state] ?? state;
  const done = rows.points.length;
  $("progress").max = about.points || Math.max(1, done);
  $("progress").value = done;
  const when = rows.points.slice(-20).map((point) => point[columns.points.when]);
  const pace = when.length > 1 ? (when.at(-1) - when[0]) / (when.length - 1) : NaN;
  const left = pace * ((about.points ?? NaN) - done);
  const last = rows.decisions.at(-1);
  const of = (name) => last?.[columns.decisions[name]];
  const drift = rows.drifts.at(-1);
  const at = (name) => rows.points.at(-1)?.[columns.points[name]];
  const facts = {
    doing: about.state === "running" ? (live.paused ? "paused, the tip is withdrawn" : live.question || live.suggestion ? "waiting for a human" : live.doing || "…") : about.reason || STATES[about.state],
    points: `${done}${about.points ? ` of ${about.points}` : ""}${rows.rejected.length ? `, ${rows.rejected.length} bad spectra` : ""}`,
    pace: Number.isFinite(pace) ? `${number(pace, 2)} s a point` : null,
    "time left": about.state === "running" && Number.isFinite(left) && left > 0 ? (left > 90 ? `about ${Math.round(left / 60)} min` : `about ${Math.round(left)} s`) : null,
    "estimated error": Number.isFinite(of("error")) ? `${number(of("error"))} (${number(of("low"))} … ${number(of("high"))}), of which noise ${number(of("noise"))}` : null,
    "true error": Number.isFinite(of("nmse")) ? number(of("nmse")) : null,
    drift: drift ? `${number(drift[2], 3)}, ${number(drift[3], 3)} nm since the first image` : null,
    tip: [live.tip, Number.isFinite(at("force")) ? `force ${number(at("force"))} nN` : "", Number.isFinite(at("loops")) ? `${at("loops")} spectra so far` : ""].filter(Boolean).join(", "),
    damage: about.damage || null,
  };
  fillFacts($("facts"), facts);
  hands.show(about, live);
}

function fillFacts(where, facts) {
  where.replaceChildren(...Object.entries(facts).filter(([, text]) => text !== null && text !== undefined && text !== "")
    .flatMap(([name, text]) => [element("dt", name), element("dd", String(text))]));
}

function showLog() {
  const list = $("log");
  while (list.children.length > 500) list.lastChild.remove();
  for (const [when, text] of log.splice(0)) {
    const line = element("li");
    line.append(element("span", clock(when), "quiet number"), element("span", text));
    list.prepend(line);
  }
}

function choose(candidate) {
  selected = scene.selected = candidate;
  document.getElementById("pick").disabled = candidate < 0;
  scene.draw();
  showSelected().catch(tellProblem);
}

async function showSelected() {
  let candidate = selected;
  let index = rows.points.findLastIndex((point, at) => stepOf(point, at) <= shown && (candidate < 0 || point[columns.points.candidate] === candidate));
  if (candidate < 0 && index >= 0) candidate = rows.points[index][columns.points.candidate];
  if (candidate < 0 && index < 0 && !decides()) index = Math.min(shown, rows.points.length) - 1;
  const curves = [];
  const words = [];
  const point = rows.points[index];
  if (point) {
    curves.push({ ...(await cached(`spectra/points/${index}`)), name: "measured", style: "measured" });
    const step = stepOf(point, index);
    const decision = rows.decisions[step - 1];
    words.push(`Point ${index + 1} at ${number(point[columns.points.x], 5)}, ${number(point[columns.points.y], 5)} nm.`);
    if (decision) words.push(why(decision));
    const before = about.maps.findLastIndex((map) => map.predicts && map.observations <= index && map.decisions <= step);
    if (before >= 0 && before !== mapShown()) curves.push({ ...(await cached(`predictions/${before}/${candidate}`)), name: `predicted after ${about.maps[before].observations} points`, style: "before" });
  } else if (candidate >= 0 && scene.positions?.length) {
    words.push(`Candidate ${candidate} at ${number(scene.positions[2 * candidate], 5)}, ${number(scene.positions[2 * candidate + 1], 5)} nm: not measured.`);
    if (rows.excluded.some((bad) => bad[1] === candidate)) words.push("It is excluded.");
  }
  const now = mapShown();
  if (candidate >= 0 && now >= 0 && about.maps[now].predicts) {
    curves.push({ ...(await cached(`predictions/${now}/${candidate}`)), name: `predicted after ${about.maps[now].observations} points`, style: "now" });
  }
  if (about.truth && candidate >= 0) curves.push({ ...(await cached(`truth/${candidate}`)), name: "true", style: "truth" });
  $("spectrum-title").textContent = selected < 0 ? "Last spectrum" : "Spectrum of the chosen place";
  $("why").textContent = words.join(" ") || "Click a place on the image.";
  drawSpectra($("spectrum"), about.spectra, curves);
}

function why(decision) {
  const of = (name) => decision[columns.decisions[name]];
  const name = phase(decision);
  const reasons = { initial: "It is one of the points that the agent starts from", check: "It was drawn at random, to check the agent's estimate of its error", human: "A human picked it", curious: "The agent was curious: it expected to learn most here" };
  let text = reasons[name] ?? `The agent chose it (${name})`;
  const parts = Object.keys(columns.decisions).filter((column) => column.startsWith("part ") && Number.isFinite(of(column)));
  if (Number.isFinite(of("score"))) text += `; score ${number(of("score"))}`;
  if (parts.length) text += `, made of ${parts.map((part) => `${part.slice(5).replaceAll("_", " ")} ${number(of(part))}`).join(", ")}`;
  return `${text}. It knew ${of("observations")} points and thought for ${number(of("think"), 2)} s.`;
}

function describe() {
  document.title = `curio: ${about.sample || uid.slice(0, 8)}`;
  $("title").textContent = [about.sample, about.plan, about.agent].filter(Boolean).join(" · ") || uid;
  const told = about.experiment ?? {};
  const flat = (value) => (Array.isArray(value) ? value.map(flat).join(", ") : value && typeof value === "object" ? Object.entries(value).filter(([, item]) => item !== null && item !== "").map(([key, item]) => `${key} ${flat(item)}`).join(", ") : String(value));
  const texts = Object.fromEntries(Object.entries(told).map(([key, value]) => [key, flat(value)]));
  const rules = { ...about.arguments };
  delete rules.agent;
  fillFacts($("experiment"), { run: uid, begun: about.time ? new Date(1000 * about.time).toLocaleString() : null, resumes: about.resumes, ...texts,
    agent: about.config ? flat(about.config) : null, arguments: flat(rules) });
}

function fillChoices() {
  const chosen = [$("channel").value, $("layer").value];
  $("channel").replaceChildren(...about.images.flatMap(({ channels }, picture) => channels.map((name, channel) =>
    new Option(picture ? `image ${picture + 1}: ${name}` : name, `${picture}:${channel}`))));
  const maps = [...new Set(about.maps.flatMap(({ names }) => Object.keys(names)))];
  $("layer").replaceChildren(new Option("none", ""), ...maps.map((name) => new Option(NAMES[name] ?? name, name)));
  $("layer").disabled = !maps.length;
  if (chosen[1]) $("layer").value = chosen[1];
  const favourite = about.images[0]?.channels.indexOf("polarisation");
  $("channel").value = chosen[0] || (favourite > 0 ? `0:${favourite}` : "0:0");
}

async function take(news) {
  const grown = { maps: news.maps.length, images: news.images.length, decisions: news.rows.decisions.length };
  const first = !rows.points.length && news.rows.points.length;
  Object.assign(about, { state: news.state, reason: news.reason, damage: news.damage, points: news.points ?? about.points, phases: news.phases,
    standing: news.standing, steered: news.steered });
  const suggested = live.suggestion?.candidate;
  live = news.live ?? {};
  if (live.suggestion?.candidate !== suggested) later();
  for (const table of TABLES) for (const row of news.rows[table]) rows[table].push(row.map((value) => value ?? NaN));
  log.push(...news.log);
  about.maps.push(...news.maps);
  about.images.push(...news.images);
  if ((first && !about.spectra) || (grown.decisions && rows.decisions.length === grown.decisions) || (grown.images && !scene.positions?.length)) await refreshAbout();
  if (grown.images) await firstImage();
  if (grown.maps || grown.images) fillChoices();
  if (grown.images) await showImage();
  const stood = JSON.stringify(scene.areas);
  showFacts();
  showLog();
  if (stood !== JSON.stringify(scene.areas)) later();
  if (TABLES.some((table) => news.rows[table].length) || grown.maps) {
    later();
    laterCurve();
  }
}

async function refreshAbout() { // what was not known when nothing had been measured
  const { spectra, grid, candidates, truth, columns: names } = await json(run);
  Object.assign(about, { spectra, grid, candidates, truth });
  for (const table of TABLES) columns[table] = Object.fromEntries(names[table].map((name, index) => [name, index]));
}

async function firstImage() {
  if (!about.images.length) return;
  scene.area = about.images[0].area;
  if (about.candidates) scene.positions = (await array(`${run}/pool`)).values;
}

async function begin() {
  about = await json(run);
  for (const table of TABLES) columns[table] = Object.fromEntries(about.columns[table].map((name, index) => [name, index]));
  await Promise.all(TABLES.map(async (table) => {
    const width = about.columns[table].length;
    const { values } = await array(`${run}/rows/${table}`);
    rows[table] = Array.from({ length: values.length / width }, (_, index) => values.subarray(index * width, (index + 1) * width));
  }));
  live = about.live ?? {};
  const known = { maps: about.maps.length, images: about.images.length, log: about.counts.log };
  log.push(...about.log);
  describe();
  await firstImage();
  fillChoices();
  await showImage();
  showFacts();
  showLog();
  await redraw();
  laterCurve();
  document.body.dataset.ready = "yes";
  const since = () => ({ ...Object.fromEntries(TABLES.map((table) => [table, rows[table].length])), ...known });
  await follow(`${run}/events`, since, (news) => {
    known.maps += news.maps.length;
    known.images += news.images.length;
    known.log += news.log.length;
    wait = wait.then(() => take(news)).catch(tellProblem);
  }, (text) => {
    $("notice").hidden = !text;
    $("notice").textContent = text;
  });
}

$("slider").addEventListener("input", () => {
  shown = Number($("slider").value);
  following = shown === total();
  later();
  laterCurve();
});
let playing = 0;
$("play").addEventListener("click", () => {
  clearInterval(playing);
  const running = $("play").textContent === "▶";
  $("play").textContent = running ? "■" : "▶";
  if (!running) return;
  if (shown >= total()) shown = 0;
  following = false;
  playing = setInterval(() => {
    shown = Math.min(total(), shown + Math.max(1, Math.round(total() / 300)));
    later();
    laterCurve();
    if (shown >= total()) {
      following = true;
      $("play").click();
    }
  }, 100);
});
$("channel").addEventListener("change", () => showImage().catch(tellProblem));
$("layer").addEventListener("change", later);
$("opacity").addEventListener("input", () => { scene.opacity = Number($("opacity").value); scene.draw(); });
$("path").addEventListener("change", () => { scene.showPath = $("path").checked; scene.draw(); });
$("numbers").addEventListener("change", () => { scene.showNumbers = $("numbers").checked; scene.draw(); });

function save(blob, name) {
  const link = Object.assign(element("a"), { href: URL.createObjectURL(blob), download: `${uid.slice(0, 8)}-${name}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
$("save-image").addEventListener("click", () => $("scene").toBlob((blob) => save(blob, "image.png")));
$("save-points").addEventListener("click", () => {
  const names = Object.keys(columns.points);
  const lines = [["point", ...names, "phase"].join(",")];
  rows.points.forEach((point, index) => {
    const decision = rows.decisions[stepOf(point, index) - 1];
    lines.push([index + 1, ...point, decision ? phase(decision) : ""].join(","));
  });
  save(new Blob([lines.join("\n")], { type: "text/csv" }), "points.csv");
});
chooseTheme(() => { scene.draw(); laterCurve(); });
begin().catch(tellProblem);
