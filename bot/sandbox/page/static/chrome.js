// The parts around the messages: the bot's state, the colours, the columns of a narrow window.

import { byId, setText } from "./dom.js";

const STATES = { online: "ChatBot is online", reconnecting: "ChatBot is reconnecting", down: "ChatBot is down" };

export function showChrome(store) {
  store.on("snapshot bot lost", () => drawBot(store));
  store.on("place", () => byId("layout").classList.remove("places-open"));
  setUpTheme();
  setUpColumn("show-places", "places-open");
  setUpColumn("show-panel", "panel-open");
  const isWide = matchMedia("(min-width: 70rem)").matches;
  toggle("show-panel", "panel-open", isWide);
  document.addEventListener("visibilitychange", () => store.markRead());
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") toggle("show-places", "places-open", false);
  });
}

function drawBot(store) {
  const box = byId("bot-state");
  const state = store.connected ? store.botState.state : "lost";
  box.dataset.state = state;
  setText(box, STATES[state] ?? "The sandbox does not answer");
  box.title = store.botState.last_words ?? "";
}

function setUpColumn(button, name) {
  byId(button).addEventListener("click", () => {
    toggle(button, name, !byId("layout").classList.contains(name));
  });
}

function toggle(button, name, open) {
  byId("layout").classList.toggle(name, open);
  byId(button).setAttribute("aria-expanded", String(open));
}

function setUpTheme() {
  const button = byId("theme");
  const prefers = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (localStorage.getItem("theme") ?? (prefers.matches ? "dark" : "light")) === "dark";
  const draw = () => {
    document.documentElement.dataset.theme = isDark() ? "dark" : "light";
    button.setAttribute("aria-pressed", String(isDark()));
  };
  button.addEventListener("click", () => {
    localStorage.setItem("theme", isDark() ? "light" : "dark");
    draw();
  });
  prefers.addEventListener("change", draw);
  draw();
}
