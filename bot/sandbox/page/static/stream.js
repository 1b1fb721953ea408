// The stream of events. The browser reconnects by itself; each connection starts with a snapshot.

export function follow(store) {
  const source = new EventSource("events");
  source.onmessage = (event) => store.apply(JSON.parse(event.data));
  source.onerror = () => {
    store.connected = false;
    store.emit("lost");
  };
}
