// Buttons and menus under a message.

export function drawComponents(_store, _node, _message) {}
