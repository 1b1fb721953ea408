// The buttons and menus under a message.

import { interact } from "./calls.js";
import { el, reconcile } from "./dom.js";

const BUTTON = 2;
const STRING_MENU = 3;
const LINK_STYLE = 5;

// An unchanged component keeps its element, so that an edit in mid-press does not lose the press.
export function drawComponents(store, node, message) {
  const focused = node.contains(document.activeElement) && document.activeElement.dataset.id;
  const all = message.components.flatMap((row) => row.components ?? [row]);
  reconcile(node, all, keyOf, (one) => component(store, message, one), () => {});
  if (!focused || node.contains(document.activeElement)) return;
  const again = node.querySelector(`[data-id="${CSS.escape(focused)}"]`);
  (again ?? node.closest(".message")).focus();
}

// Discord numbers the components of a message: a new number alone does not change a component.
function keyOf(one) {
  return JSON.stringify(one.custom_id ? { ...one, id: undefined } : one);
}

function component(store, message, one) {
  const press = (values) =>
    interact(store, "press", {
      person: store.personId,
      channel: message.channel_id,
      message: message.id,
      custom_id: one.custom_id,
      values,
    });
  const emoji = one.emoji?.name && !one.emoji.id ? `${one.emoji.name} ` : "";
  if (one.type === BUTTON && one.style !== LINK_STYLE) {
    return el(
      "button",
      {
        type: "button",
        class: `style-${one.style}`,
        disabled: one.disabled,
        "data-id": one.custom_id,
        onclick: () => press(),
      },
      el("span", { "aria-hidden": "true" }, emoji),
      one.label ?? "",
    );
  }
  if (one.type === STRING_MENU) {
    const options = one.options.map((option) => el("option", { value: option.value }, option.label));
    const blank = el("option", { value: "" }, one.placeholder ?? "Choose");
    const choose = (event) => event.target.value && press([event.target.value]);
    const name = one.placeholder ?? "Menu";
    return el("select", { "aria-label": name, onchange: choose, "data-id": one.custom_id }, blank, ...options);
  }
  return el("p", {}, `(The sandbox does not show a component of type ${one.type}.)`);
}
