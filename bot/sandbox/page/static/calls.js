// Calls to the page's server; the page shows an error as one sentence.

import { byId } from "./dom.js";

let hiding = 0;

export function complain(sentence) {
  const box = byId("trouble");
  box.textContent = sentence;
  box.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => (box.hidden = true), 8000);
}

// Perform an action that creates an interaction, and mark the interaction as this tab's own.
export async function interact(store, deed, what) {
  const created = await perform(deed, what);
  if (created) store.addOwn(created.interaction);
  return created;
}

export async function perform(deed, what = {}) {
  let answer;
  try {
    const response = await fetch(`do/${deed}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(what),
    });
    answer = await response.json();
  } catch {
    answer = { error: "The sandbox does not answer. Is it still running?" };
  }
  if (answer.error === undefined) return answer.done ?? true;
  complain(answer.error);
  return null;
}
