// The page `/operate`: how the server does, and the controls that an operator has.

import { showGate } from "./gate.mjs";
import { showKeys } from "./keys.mjs";
import { Plot } from "./plot.mjs";
import { showSettings } from "./settings.mjs";
import { ask, element, may, session, table, tag, unavailable, when } from "./site.mjs";

const MILLISECONDS = " ms";
const PLOTS = [
  [new Plot("Latency of the newest turn", MILLISECONDS, [
    ["first token", "From the arrival of the turn to the first text of the renderer"],
    ["first sentence", "To the first sentence that passed the gate"],
    ["first audio", "To the first sound"],
    ["whole turn", "To the end of the turn"],
  ]), (now) => ({ "first token": now.first_token_ms, "first sentence": now.first_sentence_ms, "first audio": now.first_audio_ms, "whole turn": now.total_generation_ms })],
  [new Plot("Turns", "", [
    ["in progress", "rfsn_active_turns"], ["a minute", "rfsn_turns_total, over the last minute"], ["failed a minute", "rfsn_errors_total, over the last minute"],
  ]), (now) => ({ "in progress": now.active_turns, "a minute": now.turns_per_minute, "failed a minute": now.errors_per_minute })],
  [new Plot("Queues", "", [
    ["sentences for a voice", "rfsn_speech_queue"], ["turns for the store", "rfsn_waiting_turns"], ["connections", "rfsn_connections"],
  ]), (now) => ({ "sentences for a voice": now.tts_queue_size, "turns for the store": now.waiting_turns, connections: now.connections })],
  [new Plot("Processor", " %", [["this process", "Time of the processor, in per cent of one core"]]), (now) => ({ "this process": now.cpu_percent })],
  [new Plot("Memory", " MB", [["this process", "Resident memory"]]), (now) => ({ "this process": now.memory_mb })],
];

function follow() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/ws/metrics`);
  socket.onmessage = ({ data }) => {
    const now = JSON.parse(data);
    element("status").textContent = `${now.turns} turns since the start, ${now.dropped_sentences} sentences dropped`;
    for (const [plot, values] of PLOTS) plot.add(values(now));
  };
  socket.onclose = ({ reason }) => {
    element("status").textContent = `${reason || "the server is away"}; trying again…`;
    setTimeout(follow, 2000);
  };
}

async function showParts() {
  const place = element("parts");
  let health;
  try {
    health = await ask("/api/health");
  } catch (error) {
    if (error.status !== 503) return unavailable(place, error);
    health = await (await fetch("/api/health")).json();
  }
  const rows = Object.entries(health.components).map(([stage, part]) => {
    const broken = (part.broken ?? []).map((engine) => `${engine.provider} is ${engine.state.replace("_", " ")}: ${engine.reason}`);
    const remark = [...broken, part.reason ?? ""].filter(Boolean).join("; ");
    return [stage, part.providers?.join(", ") ?? "", tag("span", { className: part.status === "ok" ? "" : "note" }, part.status), remark];
  });
  const failed = Object.entries(health.failed_plugins).map(([name, reason]) => tag("li", { className: "note" }, `${name}: ${reason}`));
  const up = health.uptime_s >= 3600 ? `${(health.uptime_s / 3600).toFixed(1)} hours` : `${(health.uptime_s / 60).toFixed(0)} minutes`;
  place.replaceChildren(
    tag("p", {}, `RFSN ${health.version}, up for ${up}: ${health.status}.`),
    table(["stage", "providers", "state", ""], rows),
    tag("ul", {}, ...failed, ...health.left_out.map((line) => tag("li", { className: "note" }, `left out, not trusted: ${line}`))),
  );
}

async function showAlerts() {
  const place = element("alerts");
  try {
    const { alerts, rules } = await ask("/api/alerts");
    const rows = alerts.map((alert) => [tag("span", { className: `level ${alert.level}` }, alert.level), alert.name, alert.message, when(alert.since), alert.resolved ? when(alert.resolved) : "now"]);
    place.replaceChildren(
      rows.length ? table(["level", "alert", "", "since", "until"], rows) : tag("p", {}, `All is well: none of ${rules} rules fires.`),
    );
  } catch (error) {
    unavailable(place, error);
  }
}

async function showTuning() {
  const form = element("tuning");
  let values;
  try {
    values = await ask("/api/tune-performance");
  } catch (error) {
    return unavailable(form, error);
  }
  const sliders = [
    ["temperature", "Temperature of the model: higher varies more", 0, 2, 0.05],
    ["max_tokens", "Longest reply of the model, in tokens", 1, 600, 1],
    ["max_queue_size", "Sentences of a turn that may wait for the voice", 1, 64, 1],
  ].map(([name, label, min, max, step]) => {
    const shown = tag("output", {}, values[name] === null ? "as set" : String(values[name]));
    const slider = tag("input", { type: "range", name, min, max, step, value: values[name] ?? { temperature: 0.7, max_tokens: 120 }[name], disabled: !may("operator") });
    slider.oninput = () => (shown.textContent = slider.value);
    slider.onchange = async () => {
      try {
        await ask("/api/tune-performance", { [name]: Number(slider.value) });
      } catch (error) {
        shown.textContent = error.message;
      }
    };
    return tag("label", {}, label, slider, shown);
  });
  form.replaceChildren(...sliders, tag("p", { className: "faint" }, "From the next turn, until a restart. The plots above show the effect. The settings file makes it permanent."));
}

async function showLogs() {
  const place = element("logs");
  try {
    const { levels, components } = await ask("/api/logs");
    const change = (component) => async ({ target }) => {
      try {
        await ask("/api/logs", { component, level: target.value });
      } catch (error) {
        place.append(tag("p", { className: "note", role: "alert" }, error.message));
      }
    };
    const select = (component, level) => {
      const node = tag("select", { disabled: !may("operator"), onchange: change(component) }, ...levels.map((each) => tag("option", { value: each }, each)));
      node.value = level;
      return tag("label", {}, `${component || "all others"} `, node);
    };
    place.replaceChildren(
      tag("div", { className: "grid" }, ...Object.entries(components).map(([component, level]) => select(component, level))),
      tag("p", { className: "faint" }, "Levels apply at once, until a restart or a change of the settings. Logs go to standard error of the server."),
    );
  } catch (error) {
    unavailable(place, error);
  }
}

async function begin() {
  try {
    await session();
  } catch (error) {
    element("status").textContent = `${error.message}; trying again…`;
    setTimeout(begin, 2000);
    return;
  }
  if (!may("designer")) {
    element("status").textContent = "This page needs a key of the role designer.";
    return;
  }
  element("plots").replaceChildren(...PLOTS.map(([plot]) => plot.node));
  follow();
  const again = () => Promise.all([showParts(), showAlerts(), showGate(element("gate"))]);
  await Promise.all([again(), showTuning(), showKeys(element("keys")), showLogs(), showSettings(element("values"), element("find-setting"))]);
  setInterval(() => document.visibilityState === "visible" && again(), 5000);
}

begin();
