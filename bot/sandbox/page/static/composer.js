// The message box: completes names and commands, keeps replies, files and drafts, and sends.

import { complain, perform } from "./calls.js";
import { fetchCommands, openCommand, replaceCommand, slashCommands } from "./commands.js";
import { announce, byId, el } from "./dom.js";
import { encode, Files } from "./files.js";
import { edit } from "./message_actions.js";
import { nameOf, signOf } from "./places.js";
import { Suggestions } from "./suggestions.js";

const TYPING_EVERY_MS = 8000;
const EXAMPLES = [
  ["Show me some code", "Show me some code in Python"],
  ["Write something long", "Write something long, please"],
  ["Show me a table", "Show me a table"],
  ["한국어로 인사해 줘", "한국어로 인사해 줘"],
  ["What were you sent?", "What were you sent with this?"],
];

export class Composer {
  constructor(store) {
    this.store = store;
    this.box = byId("composer-text");
    this.lastTyping = 0;
    this.source = null; // the message to reply to
    this.drafts = new Map(); // Store.here -> draft
    this.at = null;
    this.sending = Promise.resolve();
    this.files = new Files(() => this.box.focus());
    this.suggestions = new Suggestions(this.box, byId("suggestions"), (word) => this.suggest(word));
    byId("composer-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.box.addEventListener("keydown", (event) => this.onKey(event));
    this.box.addEventListener("input", () => this.onInput());
    store.on("snapshot person place channel", () => this.draw());
    store.on("snapshot person place", () => this.switchDraft());
    store.on("snapshot person place bot registered", () => fetchCommands(store));
    store.on("commands", () => this.offerAgain());
    store.on("typing message place", () => this.drawTyping());
    setInterval(() => this.drawTyping(), 1000);
    byId("post-form").addEventListener("submit", (event) => this.post(event));
  }

  draw() {
    const { place, person } = this.store;
    if (!place) return;
    const isForum = place.kind === "forum";
    byId("post-form").hidden = !isForum;
    byId("composer").hidden = isForum;
    const label = `Message ${place.kind === "dm" ? "@" : ""}${nameOf(place)}`;
    byId("composer-label").textContent = `${label} as ${person.name}`;
    this.box.placeholder = label;
    byId("place-name").textContent = `${signOf(place)} ${place.name}`;
    byId("place-topic").textContent = this.about(place);
    document.title = `${place.name} · Sandbox`;
  }

  about(place) {
    if (place.topic) return place.topic;
    const parent = this.store.channels.get(place.parent_id);
    if (place.kind === "thread") return `thread in ${nameOf(parent)}: no mention needed`;
    return place.kind === "dm" ? "direct messages: no mention needed" : "mention @ChatBot to ask it";
  }

  suggest(word) {
    if (word.startsWith("@")) {
      const wanted = word.slice(1).toLowerCase();
      const names = Object.values(this.store.users);
      return names
        .filter((name) => name.toLowerCase().startsWith(wanted))
        .sort((one, other) => (other === this.store.bot.name) - (one === this.store.bot.name))
        .map((name) => ({ label: `@${name}`, insert: `@${name} ` }));
    }
    return slashCommands(this.store)
      .filter((one) => [one.label, one.name].some((name) => `/${name}`.startsWith(word)))
      .map((one) => ({
        label: `/${one.label}`,
        detail: one.description,
        choose: () => openCommand(this.store, this, one),
      }));
  }

  onKey(event) {
    if (this.suggestions.onKey(event)) return;
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.send();
    }
    if (event.key === "Escape") this.replyTo(null);
    if (event.key === "ArrowUp" && !this.box.value) this.editLast(event);
  }

  onInput() {
    this.box.rows = Math.min(10, this.box.value.split("\n").length);
    this.suggestions.update();
    if (this.box.value && Date.now() - this.lastTyping > TYPING_EVERY_MS) {
      this.lastTyping = Date.now();
      perform("type", this.where());
    }
  }

  // The commands of a new person or place arrive later, sometimes after the "/" was typed.
  offerAgain() {
    if (document.activeElement === this.box) this.suggestions.update();
  }

  where() {
    return { person: this.store.personId, channel: this.store.channelId };
  }

  editLast(event) {
    const { personId, channelId } = this.store;
    const own = this.store.messagesIn(channelId).filter((one) => one.author_id === personId);
    const last = own.filter((one) => !one.starts_thread && !one.notice).at(-1);
    if (!last) return;
    event.preventDefault();
    edit(this.store, byId("messages").querySelector(`[data-key="${last.id}"]`), last, this.where());
  }

  // Keep the draft of the person and place that were left, and show that of the new ones.
  switchDraft() {
    const to = this.store.here;
    if (to === this.at) return;
    const draft = this.drafts.get(to);
    const command = replaceCommand(draft?.command);
    if (this.at) this.drafts.set(this.at, { ...this.replaceDraft(draft), command });
    this.at = to;
  }

  // Show *draft* and return the draft that it replaces.
  replaceDraft({ text = "", files = [], source = null } = {}) {
    const before = { text: this.box.value, files: this.files.replace(files), source: this.source };
    this.set(text);
    this.source = source;
    this.drawAbout();
    return before;
  }

  replyTo(message) {
    this.source = message;
    this.drawAbout();
    if (message) this.box.focus();
  }

  drawAbout() {
    const box = byId("about");
    box.hidden = !this.source;
    box.replaceChildren();
    if (!this.source) return;
    const stop = { type: "button", "aria-label": "Do not reply", onclick: () => this.replyTo(null) };
    box.append(`Replying to ${this.source.author_name}`, el("button", stop, "✕"));
  }

  // Messages are sent in the order in which they were written, however long their files take.
  send() {
    if (!this.box.value.trim() && !this.files.chosen.length) return;
    const [where, at, draft] = [this.where(), this.at, this.replaceDraft()];
    this.sending = this.sending.then(async () => {
      if (!(await this.sendDraft(where, draft))) this.restore(at, draft);
    });
  }

  async sendDraft(where, { text, files, source }) {
    try {
      const read = await Promise.all(files.map(encode));
      return await perform("say", { ...where, text, files: read, reply_to: source?.id });
    } catch {
      complain("A file cannot be read any more.");
      return null;
    }
  }

  // Put a draft that could not be sent before the text that was written in the meantime.
  restore(at, draft) {
    const since = at === this.at ? this.replaceDraft() : this.drafts.get(at);
    const text = [draft.text, since?.text].filter(Boolean).join("\n");
    const files = [...draft.files, ...(since?.files ?? [])];
    const restored = { ...since, text, files, source: draft.source };
    if (at === this.at) this.replaceDraft(restored);
    else this.drafts.set(at, restored);
  }

  set(text) {
    this.box.value = text;
    this.lastTyping = text ? this.lastTyping : 0;
    this.suggestions.hide();
    this.box.rows = Math.min(10, text.split("\n").length);
  }

  examples() {
    const isDm = this.store.place.kind === "dm";
    const ask = (text) => async () => {
      const words = isDm ? text : `@${this.store.bot.name} ${text}`;
      const { here, place } = this.store;
      const sent = await perform("say", { ...this.where(), text: words });
      if (sent && place.kind === "text") this.store.follow(sent.id, here);
      this.box.focus();
    };
    const button = ([label, text]) =>
      el("button", { type: "button", class: "example", onclick: ask(text) }, label);
    const answers = this.store.offline
      ? "The offline model answers: no AI, but everything else is real."
      : "The chat API of your settings answers, at its price.";
    return [
      el("p", {}, "This is a stand-in for Discord. The bot behind it is the real one. ", answers),
      el("p", {}, "Ask it something:"),
      el("p", { class: "examples" }, ...EXAMPLES.map(button)),
    ];
  }

  drawTyping() {
    const now = Date.now();
    const names = [];
    for (const [key, until] of this.store.typing) {
      const [channel, ...name] = key.split(" ");
      if (until < now) this.store.typing.delete(key);
      else if (channel === this.store.channelId && name.join(" ") !== this.store.person?.name) {
        names.push(name.join(" "));
      }
    }
    const text = names.length ? `${names.join(", ")} ${names.length > 1 ? "are" : "is"} typing…` : "";
    const box = byId("typing");
    if (box.textContent !== text) box.textContent = text;
  }

  async post(event) {
    event.preventDefault();
    const title = byId("post-title");
    const text = byId("post-text");
    const { here } = this.store;
    const posted = await perform("post", { ...this.where(), name: title.value, text: text.value });
    if (!posted) return;
    title.value = text.value = "";
    announce("Posted");
    this.store.follow(posted.channel, here);
  }
}
