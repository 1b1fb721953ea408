// The right column: what happens for each question, and what may go wrong.

export function showPanel(_store) {}
