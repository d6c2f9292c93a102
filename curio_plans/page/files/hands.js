// Steering: each control asks the run for an act, and shows what the run answers.
import { element, json, post } from "./api.js";

const $ = (id) => document.getElementById(id);
const PATIENCE = 120; // looks for an answer, one every half second
const LINES = 3; // as many answers are shown; all acts are in the log

export class Hands {
  constructor(run, scene, selected) {
    this.run = run;
    this.scene = scene;
    this.selected = selected; // returns the candidate that is chosen, or -1
    this.standing = {};
    this.wanted = "";
    $("by").value = localStorage.getItem("curio-by") ?? "";
    $("by").addEventListener("change", () => localStorage.setItem("curio-by", $("by").value.trim()));
    const click = (id, act, values = () => ({})) => $(id).addEventListener("click", () => this.ask(act, values()));
    click("pick", "pick", () => ({ candidate: this.selected() }));
    click("undo", "include", () => ({ number: Number(Object.keys(this.standing.excluded).at(-1)) }));
    click("free", "free");
    click("set-points", "points", () => ({ points: Number($("points").value) }));
    click("set-until", "until", () => ($("until").value ? { rule: { error: Number($("until").value) } } : {}));
    click("set-maps", "map_every", () => ({ map_every: Number($("map-every").value) }));
    for (const act of ["image", "pause", "go", "end"]) click(act, act);
    $("abort").addEventListener("click", () => {
      if (window.confirm("Abort the run? The tip is withdrawn; what was measured is kept.")) this.ask("abort");
    });
    $("approve").addEventListener("change", () => this.ask("approve", { mode: $("approve").value }));
    const note = () => {
      if (!$("note").value.trim()) return;
      this.ask("note", { text: $("note").value.trim() });
      $("note").value = "";
    };
    $("leave-note").addEventListener("click", note);
    $("note").addEventListener("keydown", (event) => event.key === "Enter" && note());
    for (const act of ["exclude", "restrict"]) $(act).addEventListener("click", () => this.#area(act));
  }

  // Each act has a line of its own: its answer may come after the next act was asked for.
  async ask(act, values = {}, tell = this.#line()) {
    tell(`${act}: asked …`);
    try {
      const by = $("by").value.trim() || "somebody at the page";
      const { name } = await post(`${this.run}/acts`, { act, values, by });
      for (let look = 0; look < PATIENCE; look++) {
        const answer = await json(`${this.run}/acts/${name}`);
        if (answer) return tell(answer.text, !answer.done);
        await new Promise((go) => setTimeout(go, look < 20 ? 150 : 500));
      }
      return tell(`${act}: it waits; the run has not come to it yet`);
    } catch (error) {
      return tell(error.message, true);
    }
  }

  // Show what stands, and what the run wants from a human.
  show(about, live) {
    $("hands").hidden = !about.steered;
    this.standing = about.standing ?? {};
    $("undo").hidden = !Object.keys(this.standing.excluded ?? {}).length;
    $("free").hidden = !this.standing.region;
    $("go").hidden = !live.paused;
    $("pause").hidden = Boolean(live.paused);
    if (document.activeElement !== $("points")) $("points").value = about.points ?? "";
    const rule = this.standing.until ?? about.arguments?.until;
    if (document.activeElement !== $("until") && JSON.stringify(rule) !== this.rule) {
      this.rule = JSON.stringify(rule);
      $("until").value = rule?.error ?? "";
    }
    if (document.activeElement !== $("map-every") && !$("map-every").value) $("map-every").value = about.arguments?.map_every ?? "";
    if (document.activeElement !== $("approve")) $("approve").value = this.standing.approve ?? "off";
    this.scene.areas = Object.values(this.standing.excluded ?? {}).map((points) => ({ points, style: "exclude" }));
    if (this.standing.region) this.scene.areas.push({ points: this.standing.region, style: "region" });
    this.#showWanted(live);
  }

  #showWanted({ question, choices, suggestion }) {
    const wanted = JSON.stringify([question, suggestion?.decision, suggestion?.candidate]);
    if (wanted === this.wanted) {
      const left = $("wanted").querySelector(".left");
      if (left && suggestion) left.textContent = suggestion.left === null ? "" : ` It is followed in ${suggestion.left} s.`;
      return;
    }
    this.wanted = wanted;
    $("wanted").hidden = !question && !suggestion;
    $("wanted").replaceChildren();
    const button = (text, act, values) => {
      const made = element("button", text);
      made.type = "button";
      made.addEventListener("click", () => this.ask(act, values));
      return made;
    };
    const row = element("div", "", "row");
    if (question) {
      row.append(...choices.map((choice) => button(choice, "answer", { text: choice })));
      $("wanted").append(element("strong", `The agent asks: ${question}`), row);
    } else if (suggestion) {
      const { decision } = suggestion;
      row.append(button("yes", "accept", { decision }), button("skip", "skip", { decision }));
      $("wanted").append(element("strong", `Measure at ${Math.round(suggestion.x)}, ${Math.round(suggestion.y)} nm?`), element("span", "", "left"), row);
    }
  }

  async #area(act) {
    const shape = $("shape").value;
    const tell = this.#line();
    tell(shape === "rectangle" ? "draw the rectangle on the image" : "click the corners, then press Enter or double-click");
    const area = await this.scene.drawArea(shape);
    if (area) await this.ask(act, { area }, tell);
    else tell("no area was drawn");
  }

  // A line of its own among the last few that are shown; what is returned writes into it.
  #line() {
    const line = $("told").appendChild(element("span"));
    while ($("told").children.length > LINES) $("told").firstChild.remove();
    return (text, refused = false) => {
      line.textContent = text;
      line.className = refused ? "refused" : "quiet";
    };
  }
}
