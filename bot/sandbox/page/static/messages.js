// The middle column: the messages of one place, updated by edits.

import { byId, el, reconcile, setText } from "./dom.js";
import { drawComponents } from "./components.js";
import { avatar, signOf } from "./places.js";
import { actionsFor } from "./message_actions.js";

const TOGETHER_MS = 7 * 60_000;
const NEAR_THE_END_PX = 120;
const SLIP_PX = 10; // how far the pointer may move during a press

let atTheEnd = true; // whether the view stays at the end when the content grows
let lastTop = 0;

export function showMessages(store, composer) {
  const draw = () => drawMessages(store, composer);
  store.on("snapshot person place", () => {
    draw();
    scrollToEnd();
  });
  store.on("message messages_gone channel channels_gone commands", draw);
  store.on("message", ({ message }) => {
    // Scroll to a new message of the chosen person from any position.
    const newest = store.messagesIn(store.channelId).at(-1);
    if (message.id === newest?.id && message.author_id === store.personId) scrollToEnd();
  });
  const log = byId("messages");
  log.addEventListener("keydown", moveAmongMessages);
  log.addEventListener("focusin", (event) => setCurrent(event.target.closest(".message")));
  for (const kind of ["click", "keydown"]) log.addEventListener(kind, revealSpoiler);
  holdPresses(log);
  byId("scroller").addEventListener("scroll", noteScroll);
  // An image that loads and a message box that grows change the height.
  const growing = new ResizeObserver(() => atTheEnd && scrollToEnd());
  for (const id of ["scroller", "messages"]) growing.observe(byId(id));
}

function drawMessages(store, composer) {
  const place = store.place;
  if (!place) return;
  const stays = atTheEnd;
  const log = byId("messages");
  const focused = log.contains(document.activeElement) ? document.activeElement.closest(".message") : null;
  const beside = focused?.nextElementSibling ?? focused?.previousElementSibling;
  const view = `${store.personId} ${place.id}`;
  if (log.dataset.view !== view) {
    log.replaceChildren();
    log.dataset.view = view;
  }
  const messages = place.kind === "forum" ? [] : store.messagesIn(place.id);
  let before = null;
  reconcile(log, messages, (one) => one.id, (one) => makeMessage(one), (node, message) => {
    updateMessage(store, composer, node, message, before);
    before = message;
  });
  if (!log.querySelector(".message[tabindex='0']")) setCurrent(log.lastElementChild);
  drawBeginning(store, composer);
  if (stays) scrollToEnd();
  if (focused && !focused.isConnected) (beside?.isConnected ? beside : byId("composer-text")).focus();
}

function drawBeginning(store, composer) {
  const place = store.place;
  const box = byId("beginning");
  const key = [place.id, place.name, store.personId, store.channels.size].join(" ");
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  const title = place.kind === "dm" ? place.name : `${signOf(place)} ${place.name}`;
  box.replaceChildren(el("p", { class: "beginning-title" }, title));
  if (place.kind === "forum") box.append(posts(store));
  else if (place.kind === "thread") box.append(el("p", {}, composer.about(place)));
  else box.append(...composer.examples());
}

function posts(store) {
  const all = [...store.channels.values()].filter((one) => one.parent_id === store.channelId);
  const open = (post) => () => store.open(post.id);
  const item = (post) =>
    el("li", {}, el("button", { type: "button", class: "post", onclick: open(post) }, post.name));
  if (!all.length) return el("p", {}, "There are no posts yet. Write the first one below.");
  return el("ul", { class: "posts", "aria-label": "Posts" }, ...all.map(item));
}

function makeMessage(message) {
  const node = el("article", { class: "message", tabindex: "-1" });
  if (message.notice) {
    node.classList.add("notice");
    node.append(el("p", {}, message.notice));
    return node;
  }
  const head = el(
    "header",
    { class: "message-head" },
    el("span", { class: "author" }, message.author_name),
    message.by_bot ? el("span", { class: "tag" }, "APP") : null,
    message.webhook ? el("span", { class: "tag" }, "WEBHOOK") : null,
    el("time", { datetime: message.at }, formatTime(message.at)),
  );
  node.append(
    avatar(message.author_name, message.by_bot),
    el("div", { class: "message-main" },
      el("p", { class: "context", hidden: true }),
      head,
      el("div", { class: "body" }),
      el("ul", { class: "attachments" }),
      el("div", { class: "components" }),
      el("p", { class: "only-you" }),
      el("div", { class: "thread-chip" }),
    ),
    el("div", { class: "actions", role: "group", "aria-label": "Message actions" }),
  );
  return node;
}

function updateMessage(store, composer, node, message, before) {
  if (message.notice) return;
  const part = (name) => node.querySelector(`:scope > .message-main > .${name}`);
  node.classList.toggle("grouped", isTogether(message, before));
  node.classList.toggle("ephemeral", Boolean(message.only_for));
  node.classList.toggle("pinged", message.pings.includes(store.personId));
  node.setAttribute("aria-label", `${message.author_name}, ${formatTime(message.at)}`);
  const body = part("body");
  const html = message.thinking ? "" : message.html;
  const mark = `${html} ${message.edited} ${message.thinking}`;
  if (body.dataset.mark !== mark) {
    body.dataset.mark = mark;
    body.innerHTML = html; // markup.py escapes the text and adds the tags.
    if (message.thinking) body.append(el("p", { class: "thinking" }, `${message.author_name} is thinking…`));
    if (message.edited && !message.thinking) body.append(el("span", { class: "edited" }, "(edited)"));
  }
  drawContext(part("context"), message);
  reconcile(part("attachments"), message.attachments, (one) => one.id, makeAttachment, () => {});
  drawComponents(store, part("components"), message);
  setText(part("only-you"), message.only_for ? "Only you can see this" : "");
  drawThreadChip(store, part("thread-chip"), message);
  actionsFor(store, composer, node.querySelector(":scope > .actions"), message);
}

function isTogether(message, before) {
  return Boolean(
    before && !before.notice && !message.replies_to && !message.used &&
      before.author_id === message.author_id && before.only_for === message.only_for &&
      new Date(message.at) - new Date(before.at) < TOGETHER_MS,
  );
}

function drawContext(node, message) {
  const reply = message.replies_to;
  const text = message.used ?? (reply && `↱ ${reply.author} ${reply.text}`.trim());
  node.hidden = !text;
  setText(node, text ?? "");
}

function makeAttachment(file) {
  const path = `${file.path}/${encodeURIComponent(file.name)}`;
  const link = { href: path, target: "_blank", rel: "noopener noreferrer" };
  if (file.image) {
    const image = el("img", { src: path, alt: file.description ?? file.name, loading: "lazy" });
    return el("li", {}, el("a", { ...link, "aria-label": file.name }, image));
  }
  const size = el("span", { class: "size" }, formatSize(file.size));
  return el("li", { class: "file" }, "📄 ", el("a", link, file.name), " ", size);
}

function formatSize(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  return bytes < 2 ** 20 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function drawThreadChip(store, node, message) {
  const thread = message.channel_id === message.id ? null : store.channels.get(message.id);
  const newest = thread && store.messagesIn(thread.id).at(-1);
  const label = thread ? `🧵 ${thread.name}` : "";
  const preview = newest && !newest.starts_thread ? `${newest.author_name}: ${store.asTyped(newest.text)}` : "";
  if (!thread) return void node.replaceChildren();
  if (!node.firstElementChild) {
    const parts = [el("strong", {}), el("span", { class: "preview" })];
    const open = () => store.open(message.id);
    node.append(el("button", { type: "button", onclick: open }, ...parts));
  }
  const [name, words] = node.firstElementChild.children;
  setText(name, label);
  setText(words, preview.slice(0, 120));
}

function formatTime(iso) {
  return new Date(iso).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

function isNearTheEnd() {
  const box = byId("scroller");
  return box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_THE_END_PX;
}

// Only a person scrolls up: content that grows above moves the view down.
function noteScroll() {
  const { scrollTop } = byId("scroller");
  if (isNearTheEnd()) atTheEnd = true;
  else if (scrollTop < lastTop) atTheEnd = false;
  lastTop = scrollTop;
}

function scrollToEnd() {
  const box = byId("scroller");
  box.scrollTop = box.scrollHeight;
  atTheEnd = true;
}

function setCurrent(message) {
  if (!message) return;
  const before = byId("messages").querySelector(".message[tabindex='0']");
  if (before) setReachable(before, -1);
  setReachable(message, 0);
}

// Tab reaches the current message and its actions; the arrow keys reach the other messages.
function setReachable(message, tabIndex) {
  for (const node of [message, ...message.querySelectorAll(".actions button")]) node.tabIndex = tabIndex;
}

function moveAmongMessages(event) {
  const message = event.target;
  if (!message.classList.contains("message")) return;
  const sibling = { ArrowUp: "previousElementSibling", ArrowDown: "nextElementSibling" }[event.key];
  if (!sibling || !message[sibling]) return;
  event.preventDefault();
  message[sibling].focus();
}

// An edit can move a button away from the pointer during a press. The button still receives the end
// of the press, unless the pointer itself has left the button.
function holdPresses(log) {
  let from = null;
  log.addEventListener("pointerdown", (event) => {
    const button = event.target.closest("button");
    button?.setPointerCapture(event.pointerId);
    from = button && event;
  });
  const ignoreIfLeft = (event) => {
    const { clientX: x, clientY: y, detail: presses } = event; // 0 presses: the keyboard
    const isStill = !from || !presses || Math.hypot(x - from.clientX, y - from.clientY) < SLIP_PX;
    from = null;
    if (!isStill && !event.target.contains(document.elementFromPoint(x, y))) event.stopPropagation();
  };
  log.addEventListener("click", ignoreIfLeft, { capture: true });
}

function revealSpoiler(event) {
  const spoiler = event.target.closest(".spoiler");
  if (!spoiler || (event.type === "keydown" && !["Enter", " "].includes(event.key))) return;
  event.preventDefault();
  spoiler.classList.add("revealed");
  spoiler.setAttribute("aria-expanded", "true");
  spoiler.removeAttribute("aria-label");
}
