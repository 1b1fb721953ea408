// The page's state: the data from the server, the chosen person and place, and the read marks.

const EMPTY = { users: {}, people: [], guilds: [], bot: { id: "", name: "ChatBot" }, faults: [] };

const isAfter = (one, other) =>
  one.length === other.length ? one > other : one.length > other.length;
export const byAge = (one, other) =>
  one.id === other.id ? 0 : isAfter(one.id, other.id) ? 1 : -1;

export class Store {
  constructor() {
    Object.assign(this, EMPTY);
    this.channels = new Map();
    this.messages = new Map(); // channel id -> message id -> message
    this.lines = new Map();
    this.typing = new Map(); // "channel id, space, name" -> the time at which the typing ends
    this.interactions = new Map();
    this.own = new Set(); // ids of the interactions that this tab started
    this.dismissed = new Set(); // ids of messages
    this.botState = { state: "reconnecting", processes: [], shards: [] };
    this.connected = false;
    this.personId = sessionStorage.getItem("person");
    this.channelId = sessionStorage.getItem("channel");
    this.read = JSON.parse(sessionStorage.getItem("read") ?? "{}");
    this.followed = null; // the id of the place to open when the server reports it
    this.listeners = new Map();
  }

  on(kinds, listener) {
    for (const kind of kinds.split(" ")) {
      if (!this.listeners.has(kind)) this.listeners.set(kind, []);
      this.listeners.get(kind).push(listener);
    }
  }

  emit(kind, change) {
    for (const listener of this.listeners.get(kind) ?? []) listener(change);
  }

  apply(change) {
    appliers[change.kind]?.(this, change);
    this.emit(change.kind, change);
  }

  become(personId) {
    this.personId = personId;
    sessionStorage.setItem("person", personId);
    const place = this.channels.get(this.channelId);
    if (!place || !this.sees(place)) this.channelId = this.home()?.id;
    this.open(this.channelId);
    this.emit("person");
  }

  open(channelId) {
    this.channelId = channelId;
    this.followed = null;
    sessionStorage.setItem("channel", channelId);
    this.markRead();
    this.emit("place");
  }

  // Open a place as soon as it exists, unless the person has left the place *from*.
  follow(channelId, from) {
    if (from !== this.here) return;
    if (this.channels.has(channelId)) this.open(channelId);
    else this.followed = channelId;
  }

  // The key of the chosen person and place.
  get here() {
    return `${this.personId} ${this.channelId}`;
  }

  home() {
    return [...this.channels.values()].find((one) => one.kind === "text");
  }

  get place() {
    return this.channels.get(this.channelId);
  }

  get person() {
    return this.people.find((one) => one.id === this.personId);
  }

  sees(channel) {
    return channel.kind !== "dm" || channel.person_id === this.personId;
  }

  messagesIn(channelId) {
    const all = [...(this.messages.get(channelId)?.values() ?? [])];
    return all.filter((one) => !one.only_for || one.only_for === this.personId).sort(byAge);
  }

  // The text as a person types it: with names instead of ids.
  asTyped(text) {
    return text.replace(/<@!?(\d+)>/g, (mention, id) => (this.users[id] ? `@${this.users[id]}` : mention));
  }

  // The stream may report an interaction before the server's answer contains its id.
  addOwn(id) {
    this.own.add(id);
    const known = this.interactions.get(id);
    if (known) this.emit("interaction", known);
  }

  // Hide an ephemeral message. An edit does not show it again; a reload does.
  dismiss(message) {
    this.dismissed.add(message.id);
    this.apply({ kind: "messages_gone", channel_id: message.channel_id, ids: [message.id] });
  }

  markRead() {
    if (!this.personId || !this.channelId || document.hidden) return;
    const newest = this.messagesIn(this.channelId).at(-1);
    if (!newest) return;
    (this.read[this.personId] ??= {})[this.channelId] = newest.id;
    sessionStorage.setItem("read", JSON.stringify(this.read));
  }

  unread(channelId) {
    if (channelId === this.channelId) return { some: false, pings: 0 };
    const mark = this.read[this.personId]?.[channelId] ?? "0";
    const fresh = this.messagesIn(channelId).filter(
      (one) => isAfter(one.id, mark) && one.author_id !== this.personId && !one.starts_thread,
    );
    const pings = fresh.filter((one) => one.pings.includes(this.personId)).length;
    return { some: fresh.length > 0, pings };
  }
}

const appliers = {
  snapshot(store, change) {
    store.connected = true;
    Object.assign(store, {
      guilds: change.guilds,
      bot: change.bot,
      people: change.people,
      users: change.users,
      botState: change.bot_state,
      offline: change.offline,
      faults: change.faults ?? [],
    });
    store.channels = new Map(change.channels.map((one) => [one.id, one]));
    store.messages = new Map();
    for (const one of change.messages) put(store, one);
    store.lines = new Map((change.lines ?? []).map((one) => [one.id, one]));
    store.typing.clear();
    if (!store.person) store.personId = store.people[0].id;
    if (!store.place || !store.sees(store.place)) store.channelId = store.home().id;
    store.markRead();
  },
  message(store, { message }) {
    put(store, message);
    store.typing.delete(`${message.channel_id} ${message.author_name}`);
    if (message.channel_id === store.channelId) store.markRead();
  },
  messages_gone(store, { channel_id, ids }) {
    for (const id of ids) store.messages.get(channel_id)?.delete(id);
  },
  channel(store, { channel }) {
    store.channels.set(channel.id, channel);
    if (store.followed === channel.id) store.open(channel.id);
  },
  channels_gone(store, { ids }) {
    for (const id of ids) {
      store.channels.delete(id);
      store.messages.delete(id);
    }
    if (!store.place) store.open(store.home().id);
  },
  typing(store, { channel_id, name }) {
    store.typing.set(`${channel_id} ${name}`, Date.now() + 10_000);
  },
  bot(store, change) {
    store.botState = change;
  },
  interaction(store, change) {
    store.interactions.set(change.id, change);
  },
  line(store, { line }) {
    store.lines.set(line.id, line);
  },
  faults(store, change) {
    store.faults = change.faults;
  },
};

function put(store, message) {
  if (store.dismissed.has(message.id)) return;
  if (!store.messages.has(message.channel_id)) store.messages.set(message.channel_id, new Map());
  store.messages.get(message.channel_id).set(message.id, message);
}
