// The actions of a message: reply, edit, delete, dismiss, and the app's message commands.

import { complain, interact, perform } from "./calls.js";
import { ask } from "./dialogs.js";
import { el, reconcile } from "./dom.js";
import { labelOf, offeredCommands, MESSAGE_MENU } from "./commands.js";

export function actionsFor(store, composer, node, message) {
  const own = message.author_id === store.personId && !message.starts_thread;
  const mayDelete = (own || store.person?.role === "admin") && !message.starts_thread;
  const menus = message.only_for ? [] : offeredCommands(store, MESSAGE_MENU);
  const mark = [own, mayDelete, message.only_for, ...menus.map(labelOf)].join(" ");
  if (node.dataset.mark === mark) return;
  node.dataset.mark = mark;
  const where = { person: store.personId, channel: message.channel_id };
  const current = node.parentElement.tabIndex;
  const action = (label, onclick) => ({ label, onclick });
  // The message may have changed since it was drawn: return its newest version.
  const now = () => store.messages.get(message.channel_id)?.get(message.id) ?? message;
  const actions = [];
  if (message.only_for) actions.push(action("Dismiss", () => store.dismiss(message)));
  else if (!message.starts_thread) actions.push(action("Reply", () => composer.replyTo(now())));
  if (own) actions.push(action("Edit", () => edit(store, node.parentElement, now(), where)));
  if (mayDelete && !message.only_for) {
    actions.push(action("Delete", () => remove(message, where)));
  }
  for (const menu of menus) {
    const use = () => interact(store, "command", { ...where, name: menu.name, target: message.id });
    actions.push(action(labelOf(menu), use));
  }
  // The message commands arrive later: a focused button keeps its element and its focus.
  const make = ({ label, onclick }) => el("button", { type: "button", onclick, tabindex: current }, label);
  reconcile(node, actions, (one) => one.label, make, () => {});
}

export function edit(store, node, message, where) {
  if (node.querySelector(".edit-form")) return;
  const body = node.querySelector(".body");
  const box = el("textarea", { rows: 3, maxlength: 4000, "aria-label": "Edit message" });
  box.value = store.asTyped(message.text);
  const end = () => {
    form.remove();
    body.hidden = false;
    node.focus();
  };
  const save = async (event) => {
    event.preventDefault();
    if (!box.value.trim()) return complain("An edited message cannot be empty. Delete it instead.");
    if (await perform("edit", { ...where, message: message.id, text: box.value })) end();
  };
  const key = (event) => {
    event.stopPropagation();
    if (event.key === "Escape") end();
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) save(event);
  };
  const form = el(
    "form",
    { class: "edit-form", onsubmit: save },
    box,
    el("div", { class: "row" },
      el("button", { type: "button", class: "plain", onclick: end }, "Cancel"),
      el("button", { type: "submit", class: "primary" }, "Save"),
    ),
  );
  box.addEventListener("keydown", key);
  body.hidden = true;
  body.after(form);
  box.focus();
}

async function remove(message, where) {
  const sure = await ask("Delete message", "Delete this message? The bot is notified.", "Delete");
  if (sure) perform("delete", { ...where, message: message.id });
}
