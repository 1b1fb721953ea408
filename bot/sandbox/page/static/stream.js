// The one stream of what happens. The browser connects again by itself, and begins with a snapshot.

export function follow(store) {
  const source = new EventSource("events");
  source.onmessage = (event) => store.apply(JSON.parse(event.data));
  source.onerror = () => {
    store.connected = false;
    store.tell("lost");
  };
}
