// One reply of an NPC, as it grows: its words, what it decided, and what a designer thinks of it.

import { ask, element, tag } from "./site.mjs";

export class Reply {
  /** The events that are shown, and kept for the next visit. */
  static SHOWN = new Set([
    "decision", "sentence", "narration", "sentence.blocked", "input.blocked", "renderer.switched", "speech.off",
    "turn.finished", "turn.cancelled", "turn.failed", "error",
  ]);

  #decision = null;

  constructor(place, title) {
    const node = element("reply").content.cloneNode(true).firstElementChild;
    this.find = (selector) => node.querySelector(selector);
    this.find("h2").textContent = title;
    this.find("details").ontoggle = () => node.scrollIntoView({ block: "nearest" });
    place.append(node);
    place.scrollTop = place.scrollHeight;
  }

  take(event) {
    if (event.type === "decision") this.#decided(event);
    else if (event.type === "sentence") this.#said(event, "span");
    else if (event.type === "narration") this.#said(event, "em");
    else if (event.type === "sentence.blocked") this.note(`The gate: ${event.verdict} (${event.reasons.join(", ")})`);
    else if (event.type === "input.blocked") this.note(`The gate stopped your words (${event.reasons.join(", ")})`);
    else if (event.type === "gate.waiting") this.note(`Waits for an operator's approval (${event.reasons.join(", ")})…`);
    else if (event.type === "renderer.switched") this.note(`${event.next} speaks, because ${event.failed} failed: ${event.reason}`);
    else if (event.type === "speech.off") this.note(`No speech: ${event.reason}`);
    else if (event.type === "turn.finished") this.#finished(event);
    else if (event.type === "turn.cancelled") this.note(`Interrupted. Remembered: “${event.text}”`);
    else if (event.type === "turn.failed" || event.type === "error") this.note(event.message);
  }

  /** Call it when the turn is over; `judge` shows what a designer may say about it. */
  end(judge = false) {
    this.speaking(null);
    if (!judge || !this.#decision) return;
    const place = this.find(".judge"), chosen = this.#decision.action;
    place.hidden = false;
    this.find("a").href = `/inspect#${this.#decision.decision_id}`;
    const others = this.#decision.candidates.map(({ action }) => action).filter((action) => action !== chosen);
    this.find("select").append(...others.map((action) => tag("option", { value: action }, action.replaceAll("_", " "))));
    this.find("select").onchange = ({ target }) => target.value && this.#judge("should", target.value);
    for (const button of place.querySelectorAll("button")) button.onclick = () => this.#judge(button.dataset.verdict, "");
  }

  async #judge(verdict, action) {
    const thanks = this.find(".thanks");
    thanks.hidden = false;
    try {
      const { suggestion } = await ask("/api/feedback", { decision_id: this.#decision.decision_id, verdict, action });
      thanks.textContent = verdict === "should" ? `Noted: should have done “${action.replaceAll("_", " ")}”.` : `Noted: ${verdict}.`;
      if (suggestion) thanks.append(" To make it permanent, paste into the NPC's file:", tag("pre", {}, suggestion));
    } catch (error) {
      thanks.textContent = error.message;
    }
  }

  #decided(event) {
    this.#decision = event;
    this.find("details").hidden = false;
    const forced = event.forced_by ? `, forced by ${event.forced_by}` : "";
    this.find("summary").textContent = `${event.action} · ${event.style} (heard: ${event.signal}${forced})`;
    this.find("summary").dataset.action = event.action;
    const scores = event.candidates.map((candidate) => candidate.score);
    const low = Math.min(0, ...scores), high = Math.max(...scores, low + 1e-9);
    const rows = event.candidates
      .toSorted((a, b) => b.score - a.score)
      .map((candidate) => {
        const row = cells(candidate.action, candidate.score.toFixed(3), candidate.why);
        row.classList.toggle("chosen", candidate.action === event.action);
        const bar = tag("span", { className: "bar" });
        bar.style.width = `${(4 * (candidate.score - low)) / (high - low)}em`;
        row.children[1].prepend(bar);
        return row;
      });
    if (event.vetoes.length) this.find(".vetoes").textContent = forbidden(event.vetoes.map(({ action, rule }) => [action, rule]));
    this.find(".candidates tbody").replaceChildren(...rows);
    this.find(".key").replaceChildren(...situation(event.key));
    this.#time("decision", event.latency_ms);
  }

  #said(event, name) {
    const node = tag(name, { className: name === "span" ? "said" : "", dataset: { sentence: event.index } }, event.text);
    this.find(".words").append(node, " ");
  }

  speaking(sentence) {
    for (const span of this.find(".words").children) {
      span.classList.toggle("speaking", sentence !== null && span.dataset.sentence === String(sentence));
    }
  }

  #finished(event) {
    const { first_token, first_sentence, first_audio, total } = event.latency;
    this.#time("first token", first_token);
    this.#time("first sentence", first_sentence);
    this.#time("first audio", first_audio);
    this.#time("whole turn", total);
    if (event.reason !== "complete") this.note(`The reply ended early: ${event.reason}`);
    const { final_json, report, usage, notes } = event.trace;
    if (final_json === "mismatch") this.note(`The model says that it did something else: ${report.action}`);
    for (const note of notes) this.note(note);
    const tokens = usage?.completion_tokens ? `, ${usage.prompt_tokens ?? "?"} + ${usage.completion_tokens} tokens` : "";
    this.find(".renderer").textContent = `Worded by ${event.renderer}${tokens}`;
    if (!event.durable) this.note("The store is away: this turn will be stored when it is back.");
  }

  #time(label, value) {
    if (value !== null) this.find(".timings tbody").append(cells(label, value.toFixed(1)));
  }

  note(text) {
    this.find(".note").hidden = false;
    this.find(".note").append(text, document.createElement("br"));
  }
}

/** The parts of an abstract state; a line may break between them only. */
export function situation(key) {
  return key.split("|").flatMap((part, index) => (index ? ["|", tag("wbr"), part] : [part]));
}

/** What was forbidden, by rule, in one sentence. */
export function forbidden(pairs) {
  const rules = new Map();
  for (const [action, rule] of pairs) rules.set(rule, [...(rules.get(rule) ?? []), action.replaceAll("_", " ")]);
  return [...rules].map(([rule, actions]) => `${rule.replaceAll("_", " ")} forbids ${actions.join(", ")}`).join("; ");
}

function cells(label, number, ...rest) {
  const row = tag("tr", {}, tag("th", { scope: "row" }, label), tag("td", { className: "number" }, number));
  for (const text of rest) row.insertCell().textContent = text;
  return row;
}
