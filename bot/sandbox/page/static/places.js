// The left column: channels with their threads, direct messages, and the choice of the person.

import { perform } from "./calls.js";
import { byId, el, reconcile, setText } from "./dom.js";
import { byAge } from "./store.js";

const SIGNS = { text: "#", voice: "🔊", forum: "💬", dm: "@", thread: "🧵" };
const SECTIONS = [
  ["Text channels", "text"],
  ["Forum", "forum"],
  ["Voice channels", "voice"],
];

export function signOf(place) {
  return SIGNS[place.kind] ?? "#";
}

export function nameOf(place) {
  return place.kind === "text" ? `#${place.name}` : place.name;
}

export function showPlaces(store) {
  const draw = () => drawPlaces(store);
  store.on("snapshot channel channels_gone message messages_gone person place", draw);
  store.on("snapshot person", () => drawPeople(store));
}

function drawPlaces(store) {
  const [home, ...others] = store.guilds;
  setText(byId("guild"), home?.name ?? "Sandbox");
  byId("model").hidden = !store.offline;
  const all = [...store.channels.values()];
  const sections = SECTIONS.map(([title, kind]) => ({
    title: kind === "text" && home ? titleOf(store, { ...home, name: title }) : title,
    places: all
      .filter((one) => one.kind === kind && one.guild_id === home?.id)
      .flatMap((one) => [one, ...threadsOf(all, one)]),
  }));
  for (const guild of others) {
    const places = all
      .filter((one) => one.kind !== "thread" && one.guild_id === guild.id)
      .flatMap((one) => [one, ...threadsOf(all, one)]);
    sections.push({ title: titleOf(store, guild), places });
  }
  const dm = all.find((one) => one.kind === "dm" && store.sees(one));
  const unopened = { id: "dm", kind: "dm", name: store.bot.name };
  sections.push({ title: "Direct messages", places: [dm ?? unopened] });
  reconcile(byId("channels"), sections, (one) => one.title, makeSection, (node, section) =>
    reconcile(
      node.querySelector("ul"),
      section.places,
      (one) => one.id,
      (place) => makePlace(store, place),
      (item, place) => updatePlace(store, item, place),
    ),
  );
}

// The name of a server, with its shard if there is more than one.
function titleOf(store, guild) {
  return store.botState.shards.length > 1 ? `${guild.name} · shard ${guild.shard}` : guild.name;
}

function threadsOf(all, channel) {
  return all.filter((one) => one.kind === "thread" && one.parent_id === channel.id).sort(byAge);
}

function makeSection({ title }) {
  return el("section", {}, el("h2", {}, title), el("ul", { "aria-label": title }));
}

function makePlace(store, place) {
  const open = () => (place.id === "dm" ? openDm(store) : store.open(place.id));
  const parts = ["sign", "name", "count"].map((name) => el("span", { class: name }));
  parts[0].setAttribute("aria-hidden", "true");
  const button = el("button", { type: "button", class: "place", onclick: open }, ...parts);
  return el("li", { class: place.kind === "thread" ? "nested" : "" }, button);
}

async function openDm(store) {
  const { here } = store;
  const opened = await perform("dm", { person: store.personId });
  if (opened) store.follow(opened.channel, here);
}

function updatePlace(store, item, place) {
  const button = item.firstElementChild;
  const [sign, name, count] = button.children;
  const { some, pings } = store.unread(place.id);
  setText(sign, signOf(place));
  setText(name, place.name);
  setText(count, pings ? String(pings) : "");
  button.classList.toggle("unread", some);
  button.classList.toggle("closed", Boolean(place.archived || place.locked));
  if (place.id === store.channelId) button.setAttribute("aria-current", "page");
  else button.removeAttribute("aria-current");
  const marks = [place.kind, some && "unread", pings && `${pings} mentions`].filter(Boolean);
  button.setAttribute("aria-label", `${place.name}, ${marks.join(", ")}`);
}

function drawPeople(store) {
  const update = (node, person) => {
    const chosen = person.id === store.personId;
    node.setAttribute("aria-checked", String(chosen));
    node.tabIndex = chosen ? 0 : -1;
  };
  reconcile(byId("people"), store.people, (one) => one.id, (one) => makePerson(store, one), update);
}

function makePerson(store, person) {
  const choose = () => store.become(person.id);
  const move = (event) => {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const count = store.people.length;
    const at = store.people.findIndex((one) => one.id === person.id);
    const next = store.people[(at + steps[event.key] + count) % count];
    store.become(next.id);
    byId("people").querySelector(`[data-key="${next.id}"]`).focus();
  };
  return el(
    "button",
    { type: "button", role: "radio", class: "person", onclick: choose, onkeydown: move },
    avatar(person.name),
    el("span", {}, person.name),
    el("span", { class: "role" }, person.role === "admin" ? "admin" : languageOf(person)),
  );
}

function languageOf(person) {
  const language = person.locale.split("-")[0];
  return language === "en" ? "" : new Intl.DisplayNames([language], { type: "language" }).of(language);
}

export function avatar(name, isBot = false) {
  const number = isBot ? "bot" : [...name].reduce((sum, sign) => sum + sign.codePointAt(0), 0) % 5;
  return el("span", { class: `avatar avatar-${number}`, "aria-hidden": "true" }, name.slice(0, 1));
}
