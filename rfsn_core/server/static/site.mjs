// What all pages share: the session, requests, and building elements.

/** Returns an element: tag("p", { className: "x", onclick }, "text", otherNode). Text is never read as markup. */
export function tag(name, properties = {}, ...children) {
  const node = document.createElement(name);
  const { dataset, aria, ...plain } = properties;
  Object.assign(node, plain);
  Object.assign(node.dataset, dataset);
  for (const [key, value] of Object.entries(aria ?? {})) node.setAttribute(`aria-${key}`, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const element = (id) => document.getElementById(id);

/** An answer of the server that is an error; `status` is 0 when it cannot be reached. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Asks the server; returns the JSON of its answer. Rejects with Refused. */
export async function ask(path, body, method = body === undefined ? "GET" : "POST") {
  let answer;
  try {
    answer = await fetch(path, { method, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refused(0, "the server is away");
  }
  const text = await answer.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    // not JSON: the status says it
  }
  if (answer.ok) return value;
  throw new Refused(answer.status, value?.error?.message ?? `the server answered ${answer.status}`);
}

const ROLES = ["game", "designer", "operator", "admin"];
let role = null;

/** Whether this session may do what asks for a role. */
export function may(needed) {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

/** Waits until there is a session: asks for a key when one is needed. Rejects with Refused when the server is away. */
export async function session() {
  const known = await ask("/api/session");
  role = known.role;
  if (role === null) await login();
  const out = element("logout");
  if (out) {
    out.hidden = !known.key_needed;
    out.onclick = async () => {
      await ask("/api/session", undefined, "DELETE");
      location.reload();
    };
  }
  return role;
}

function login() {
  return new Promise((resolve) => {
    const field = tag("input", { type: "password", name: "key", autocomplete: "current-password", required: true });
    const problem = tag("p", { className: "note", role: "alert" });
    const form = tag(
      "form",
      { className: "login" },
      tag("h2", {}, "This server asks for a key"),
      tag("p", {}, "Paste it once; this browser then stays signed in for a week. "),
      tag("p", { className: "faint" }, "The first start printed one. `rfsn keys create` makes another."),
      tag("label", {}, "Key ", field),
      tag("button", {}, "Sign in"),
      problem,
    );
    const dialog = tag("dialog", { id: "login" }, form);
    dialog.oncancel = (event) => event.preventDefault();
    form.onsubmit = async (event) => {
      event.preventDefault();
      try {
        role = (await ask("/api/session", { key: field.value })).role;
        dialog.remove();
        resolve(role);
      } catch (error) {
        problem.textContent = error.message;
      }
    };
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Shows that an element's content cannot be had, and why. */
export function unavailable(node, error) {
  node.replaceChildren(tag("p", { className: "faint" }, error.message));
}

/** A table: head is a list of words, rows are lists of words, numbers or nodes. */
export function table(head, rows, caption = "") {
  const cell = (value) =>
    tag("td", { className: typeof value === "number" ? "number" : "" }, typeof value === "number" ? format(value) : value);
  return tag(
    "div",
    { className: "scroll" },
    tag(
      "table",
      {},
      caption ? tag("caption", {}, caption) : null,
      tag("thead", {}, tag("tr", {}, ...head.map((word) => tag("th", { scope: "col" }, word)))),
      tag("tbody", {}, ...rows.map((row) => (row instanceof Node ? row : tag("tr", {}, ...row.map(cell))))),
    ),
  );
}

export function format(number) {
  return Number.isInteger(number) ? String(number) : number.toFixed(Math.abs(number) >= 100 ? 0 : Math.abs(number) >= 10 ? 1 : 2);
}

export function when(seconds) {
  return seconds ? new Date(seconds * 1000).toLocaleString() : "never";
}

export const store = {
  get(key, fallback) {
    try {
      return JSON.parse(localStorage.getItem(key)) ?? fallback;
    } catch {
      return fallback;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(key, JSON.stringify(value));
    } catch {
      // the browser's place is full or closed: the page works without
    }
  },
};
