// Forms that the bot opens, and questions before what cannot be undone.

import { complain, perform } from "./calls.js";
import { byId, el } from "./dom.js";

const TEXT_INPUT = 4;
const TEXT_DISPLAY = 10;
const PARAGRAPH = 2;

export function showDialogs(store) {
  store.on("interaction", (change) => {
    if (change.user_id !== store.personId) return;
    if (change.state === "modal") openForm(change);
    if (change.state === "failed") complain("The application did not respond.");
  });
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

export function confirmed(title, question, yes) {
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

function openForm({ id, modal }) {
  const fields = modal.components.flatMap(fieldsOf);
  const close = () => byId("dialog").close();
  const submit = async (event) => {
    event.preventDefault();
    const inputs = fields.filter((one) => one.input);
    const values = Object.fromEntries(inputs.map((one) => [one.name, one.input.value]));
    if (await perform("submit", { interaction: id, fields: values })) close();
  };
  const nodes = fields.map((one) => one.node);
  open(modal.title, el("form", { onsubmit: submit }, ...nodes, row("Submit", close)));
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
