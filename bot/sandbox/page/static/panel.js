// The right column: the steps of each question, and the fault switches.

import { perform } from "./calls.js";
import { byId, el, reconcile, setText } from "./dom.js";

const SHOWN = 100;

export function showPanel(store) {
  store.on("snapshot line", () => drawLines(store));
  store.on("snapshot faults bot", () => drawFaults(store));
}

function drawFaults(store) {
  const isDown = store.botState.state === "down";
  const once = [
    isDown
      ? { id: "bot", deed: "start", label: "Start the bot again", about: "with the memory it had" }
      : { id: "bot", deed: "kill", label: "Kill the bot", about: "as a power cut would" },
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
