// The modals that the bot opens, and the questions before an action that cannot be undone.

import { complain, perform } from "./calls.js";
import { byId, el } from "./dom.js";

const TEXT_INPUT = 4;
const TEXT_DISPLAY = 10;
const PARAGRAPH = 2;

const NO_ANSWER = "The application did not respond.";
const UNKNOWN = "Whether the application responded is not known.";

const sent = new Map(); // interaction id of a submitted modal -> callback(error or "")

export function showDialogs(store) {
  store.on("interaction", (change) => {
    if (!store.own.has(change.id) || change.state === "pending") return;
    const error = change.state === "failed" ? NO_ANSWER : "";
    if (sent.has(change.id)) return respond(change.id, error);
    if (change.user_id !== store.personId) return;
    if (change.state === "modal") openModal(store, change);
    if (error) complain(error);
  });
  // The stream does not repeat the events of the time without a connection.
  store.on("snapshot", () => [...sent.keys()].forEach((id) => respond(id, UNKNOWN)));
}

function respond(id, error) {
  const onResponse = sent.get(id);
  sent.delete(id);
  onResponse(error);
}

function open(title, ...content) {
  const dialog = byId("dialog");
  dialog.replaceChildren(el("h2", { id: "dialog-title" }, title), ...content);
  if (!dialog.open) dialog.showModal();
  return dialog;
}

function row(dialogLabel, onCancel) {
  return el("div", { class: "row" },
    el("button", { type: "button", class: "plain", onclick: onCancel }, "Cancel"),
    el("button", { type: "submit", class: "primary" }, dialogLabel),
  );
}

export function ask(title, question, yes) {
  return new Promise((resolve) => {
    const end = (answer) => () => {
      dialog.close();
      resolve(answer);
    };
    const form = el("form", { method: "dialog" }, el("p", {}, question), row(yes, end(false)));
    form.addEventListener("submit", end(true));
    const dialog = open(title, form);
    dialog.addEventListener("cancel", () => resolve(false), { once: true });
  });
}

// A modal stays open until the bot has answered: closing it earlier would lose the entered text.
function openModal(store, { id, modal }) {
  const fields = modal.components.flatMap(fieldsOf);
  const alert = el("p", { class: "alert", role: "alert", hidden: true });
  const close = () => byId("dialog").close();
  const isOpen = () => form.isConnected && byId("dialog").open;
  const wait = (waiting) => form.setAttribute("aria-busy", String(waiting));
  const onResponse = (sentence) => {
    if (!sentence) return isOpen() && close();
    if (!isOpen()) return complain(sentence);
    alert.textContent = `${sentence} Try again.`;
    alert.hidden = false;
    wait(false);
  };
  const submit = async (event) => {
    event.preventDefault();
    if (form.getAttribute("aria-busy") === "true") return;
    const inputs = fields.filter((one) => one.input);
    const values = Object.fromEntries(inputs.map((one) => [one.name, one.input.value]));
    alert.hidden = true;
    wait(true);
    const created = await perform("submit", { interaction: id, fields: values });
    if (!created) return wait(false);
    sent.set(created.interaction, onResponse);
    store.addOwn(created.interaction);
  };
  const nodes = fields.map((one) => one.node);
  const form = el("form", { onsubmit: submit }, ...nodes, alert, row("Submit", close));
  open(modal.title, form);
}

function fieldsOf(row) {
  if (row.type === TEXT_DISPLAY) return [{ node: el("p", {}, row.content) }];
  const inner = row.component ? [row.component] : row.components ?? [];
  return inner.map((one) => field(one, row.label ?? one.label, row.description));
}

function field(one, label, description) {
  if (one.type !== TEXT_INPUT) {
    return { node: el("p", {}, `(The sandbox does not show a field of type ${one.type}.)`) };
  }
  const input = el(one.style === PARAGRAPH ? "textarea" : "input", {
    rows: one.style === PARAGRAPH ? 6 : null,
    maxlength: one.max_length ?? 4000,
    minlength: one.min_length,
    placeholder: one.placeholder,
    required: one.required ?? true,
  });
  input.value = one.value ?? "";
  const about = description ? el("span", {}, description) : null;
  return { name: one.custom_id, input, node: el("label", {}, label ?? "Text", about, input) };
}
