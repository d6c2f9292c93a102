// Talking to the server. The key is kept for this tab alone and sent in a header, never in a cookie or an address.

const KEY = "curio-key";
const BASE = location.pathname.replace(/\/curio\/.*$/, "/curio/");

const shown = new URLSearchParams(location.hash.slice(1));
if (shown.has("key")) {
  sessionStorage.setItem(KEY, shown.get("key"));
  history.replaceState(null, "", location.pathname);
}

export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

function headers() {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Apikey ${key}` } : {};
}

async function request(path, options = {}) {
  const answer = await fetch(`${BASE}api/${path}`, {
    credentials: "omit", ...options, headers: { ...headers(), ...options.headers },
  });
  if (answer.ok) return answer;
  let text = answer.statusText;
  try {
    const { detail } = await answer.json();
    text = typeof detail === "string" ? detail : JSON.stringify(detail);
  } catch { /* the text of the status says it */ }
  throw new Refused(answer.status, text);
}

export const json = async (path) => (await request(path)).json();

export const post = async (path, body) => (await request(path, {
  method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" },
})).json();

const TYPES = { float64: Float64Array, float32: Float32Array, uint8: Uint8Array };

// An array of numbers with its shape.
export async function array(path) {
  const answer = await request(path);
  const values = new TYPES[answer.headers.get("X-Type")](await answer.arrayBuffer());
  return { values, shape: answer.headers.get("X-Shape").split(",").map(Number) };
}

export const colours = async (name) =>
  new Uint8Array(await (await fetch(`${BASE}files/${name}.rgb`)).arrayBuffer());

// Server-sent events through fetch: EventSource cannot send a header. Ends when the server says so.
export async function follow(path, known, take, lost) {
  for (let wait = 500; ; wait = Math.min(2 * wait, 8000)) {
    try {
      const answer = await request(`${path}?since=${encodeURIComponent(JSON.stringify(known()))}`);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      lost("");
      wait = 500;
      for (let text = ""; ;) {
        const { value, done } = await reader.read();
        if (done) break;
        text += value;
        for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
          const event = text.slice(0, end);
          if (event.startsWith("event: end")) return;
          if (event.startsWith("data: ")) take(JSON.parse(event.slice(6)));
        }
      }
      lost("the connection was lost; trying again …");
    } catch (error) {
      if (error instanceof Refused && error.status < 500) throw error;
      lost(`the server does not answer (${error.message}); trying again …`);
    }
    await new Promise((go) => setTimeout(go, wait));
  }
}

export function tellProblem(error) {
  const notice = document.getElementById("notice");
  notice.hidden = false;
  if (error.status !== 401) {
    notice.textContent = error.message;
    return;
  }
  notice.textContent = "This server asks for a key. curio serve tells it when it starts, and keeps it in tiled/key. ";
  const field = Object.assign(document.createElement("input"), { type: "password", ariaLabel: "key", autocomplete: "off" });
  const button = Object.assign(document.createElement("button"), { textContent: "open", className: "main" });
  const open = () => { sessionStorage.setItem(KEY, field.value.trim()); location.reload(); };
  button.addEventListener("click", open);
  field.addEventListener("keydown", (event) => event.key === "Enter" && open());
  notice.append(field, button);
  field.focus();
}

export function chooseTheme(changed = () => {}) {
  const root = document.documentElement;
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = localStorage.getItem("curio-theme") || "";
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    localStorage.setItem("curio-theme", root.dataset.theme);
    changed();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
}

export const colour = (name) => {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
};

export const element = (name, text = "", className = "") =>
  Object.assign(document.createElement(name), { textContent: text, className });

export const number = (value, digits = 3) =>
  value === null || value === undefined || !Number.isFinite(value) ? "–" : Number(value.toPrecision(digits)).toString();

export const clock = (seconds) => new Date(1000 * seconds).toLocaleTimeString([], { hour12: false });
