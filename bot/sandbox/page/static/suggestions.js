// The list of completions for the typed word; the focus stays in the message box.

import { announce, el } from "./dom.js";

export class Suggestions {
  constructor(box, list, find) {
    this.box = box;
    this.list = list;
    this.find = find;
    this.items = [];
    this.at = 0;
    // If the focus is back after the delay, the list stays.
    const hideIfLeft = () => document.activeElement !== box && this.hide();
    box.addEventListener("blur", () => setTimeout(hideIfLeft, 150));
  }

  word() {
    const before = this.box.value.slice(0, this.box.selectionStart);
    if (/^\/[-_\p{L}\p{N}]*$/u.test(before)) return before;
    return before.match(/(?:^|\s)(@\w*)$/)?.[1] ?? "";
  }

  update() {
    const word = this.word();
    const items = word ? this.find(word) : [];
    if (items.length && items.length !== this.items.length) announce(`${items.length} suggestions`);
    this.items = items;
    this.at = 0;
    this.draw();
  }

  hide() {
    this.items = [];
    this.draw();
  }

  draw() {
    this.list.hidden = this.items.length === 0;
    const option = (item, number) =>
      el(
        "div",
        {
          role: "option",
          id: `suggestion-${number}`,
          "aria-selected": String(number === this.at),
          onpointerdown: (event) => {
            event.preventDefault();
            this.choose(number);
          },
        },
        el("span", {}, item.label),
        item.detail ? el("span", { class: "detail" }, item.detail) : null,
      );
    this.list.replaceChildren(...this.items.map(option));
    if (this.items.length) this.box.setAttribute("aria-activedescendant", `suggestion-${this.at}`);
    else this.box.removeAttribute("aria-activedescendant");
    this.list.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }

  onKey(event) {
    if (!this.items.length || event.isComposing) return false;
    const count = this.items.length;
    if (event.key === "ArrowDown") this.at = (this.at + 1) % count;
    else if (event.key === "ArrowUp") this.at = (this.at + count - 1) % count;
    else if (event.key === "Escape") this.items = [];
    else if (event.key === "Enter" || event.key === "Tab") {
      event.preventDefault();
      this.choose(this.at);
      return true;
    } else return false;
    event.preventDefault();
    this.draw();
    return true;
  }

  choose(number) {
    const item = this.items[number];
    const word = this.word();
    this.hide();
    if (item.choose) return item.choose();
    const start = this.box.selectionStart - word.length;
    this.box.setRangeText(item.insert, start, this.box.selectionStart, "end");
    this.box.focus();
  }
}
