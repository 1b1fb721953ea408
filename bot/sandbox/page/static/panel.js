// The right column: processes and shards, the fault switches, and the steps of each question.

import { perform } from "./calls.js";
import { byId, el, reconcile, setText } from "./dom.js";

const SHOWN = 100;

export function showPanel(store) {
  store.on("snapshot line", () => drawLines(store));
  store.on("snapshot faults bot", () => drawFaults(store));
  store.on("snapshot bot", () => drawProcesses(store));
}

// Several processes or shards; the bot as most people run it has one of each.
function isPlain({ processes, shards }) {
  return processes.length <= 1 && shards.length <= 1;
}

function drawProcesses({ botState }) {
  byId("cluster").hidden = isPlain(botState);
  if (isPlain(botState)) return;
  reconcile(byId("processes"), botState.processes, (one) => one.name, makeProcess, updateProcess);
  reconcile(byId("shards"), botState.shards, (one) => one.shard, makeShard, updateShard);
}

function makeProcess({ name }) {
  const button = (deed, label) => {
    const use = ({ currentTarget }) => {
      // A button that cannot be used would keep the focus and hide it.
      if (currentTarget.getAttribute("aria-disabled") !== "true") perform(deed, { process: name });
    };
    const about = `${label} process ${name}`;
    return el("button", { type: "button", class: "fault", "data-deed": deed, "aria-label": about, onclick: use }, label);
  };
  return el("li", { class: "process" },
    el("p", { class: "process-name" }, el("span", {}, `Process ${name}`), el("span", { class: "process-state" })),
    el("p", { class: "detail" }),
    el("div", { class: "process-deeds" }, button("kill", "Kill"), button("stop", "Stop"), button("start", "Start")),
  );
}

function updateProcess(node, process) {
  const runs = process.pid !== null;
  node.dataset.state = process.state;
  setText(node.querySelector(".process-state"), process.state);
  setText(node.querySelector(".detail"), processDetail(process));
  const usable = { kill: runs, stop: runs && process.state !== "stopping", start: !runs };
  for (const one of node.querySelectorAll("button")) {
    one.setAttribute("aria-disabled", String(!usable[one.dataset.deed]));
  }
}

function processDetail({ pid, shards, last_words: lastWords }) {
  const last = lastWords.trim().split("\n").at(-1);
  if (pid === null) return last || "does not run";
  const held = shards.length ? `shard${shards.length > 1 ? "s" : ""} ${shards.join(", ")}` : "no shard";
  return `pid ${pid}, ${held}`;
}

function makeShard() {
  return el("li", { class: "shard" }, el("span", { class: "what" }), el("span", { class: "holder" }), el("span", { class: "detail" }));
}

function updateShard(node, { shard, servers, processes }) {
  const [what, holder, detail] = node.children;
  node.dataset.state = processes.length === 1 ? "held" : "free";
  setText(what, `Shard ${shard}`);
  setText(holder, processes.length ? `process ${processes.join(" and ")}` : "nobody");
  setText(detail, shard === 0 ? [...servers, "direct messages"].join(", ") : servers.join(", "));
}

function drawFaults(store) {
  const isDown = store.botState.state === "down";
  const restart = { id: "bot", deed: "start", label: "Start the bot again", about: "with the memory it had" };
  const kill = { id: "bot", deed: "kill", label: "Kill the bot", about: "as a power cut would" };
  const once = [
    ...(isPlain(store.botState) ? [isDown ? restart : kill] : []),
    { id: "drop", deed: "drop", label: "Drop the gateway", about: "for four seconds" },
  ];
  reconcile(byId("faults"), [...once, ...store.faults], (one) => one.id, makeFault, updateFault);
}

function makeFault() {
  const use = ({ currentTarget: button }) => {
    const on = button.getAttribute("aria-pressed") !== "true";
    if (button.dataset.deed) perform(button.dataset.deed);
    else perform("switch", { id: button.dataset.key, on });
  };
  return el("button", { type: "button", class: "fault", onclick: use },
    el("span", {}),
    el("span", { class: "detail" }),
  );
}

function updateFault(button, fault) {
  const [label, about] = button.children;
  setText(label, fault.label);
  setText(about, fault.about);
  if (fault.deed) button.dataset.deed = fault.deed;
  if (fault.on !== undefined) button.setAttribute("aria-pressed", String(fault.on));
}

function drawLines(store) {
  const lines = [...store.lines.values()].reverse().sort((one, other) => other.at - one.at).slice(0, SHOWN);
  reconcile(byId("lines"), lines, (one) => one.id, makeLine, updateLine);
}

function makeLine(line) {
  const time = new Date(line.at).toLocaleTimeString([], { hour12: false });
  if (line.kind === "note") {
    return el("li", { class: "note" }, el("span", { class: "when" }, time), el("p", {}));
  }
  const head = el("h3", { class: "line-head" }, el("span", { class: "line-title" }), el("span", { class: "line-state" }));
  return el("li", { class: "line" }, head, el("p", { class: "line-place" }, `${line.place}, ${time}`), el("ol", {}));
}

function updateLine(node, line) {
  node.dataset.state = line.state;
  if (line.kind === "note") {
    setText(node.lastElementChild, line.place ? `${line.title}: ${line.place}` : line.title);
    return;
  }
  const [title, state] = node.firstElementChild.children;
  setText(title, line.title);
  setText(state, line.state);
  reconcile(node.lastElementChild, line.steps, (one) => one.id, makeStep, updateStep);
}

function makeStep() {
  return el("li", { class: "step" },
    el("span", { class: "when" }),
    el("span", { class: "what" }),
    el("span", { class: "detail" }),
  );
}

function updateStep(node, step) {
  node.dataset.tone = step.tone;
  const [when, what, detail] = node.children;
  setText(when, `${(step.ms / 1000).toFixed(2)} s`);
  setText(what, step.what);
  setText(detail, step.detail);
}
