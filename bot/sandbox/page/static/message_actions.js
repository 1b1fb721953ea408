// What one may do with a message.

import { el } from "./dom.js";

export function actionsFor(_store, _composer, node, _message) {
  node.replaceChildren();
}
