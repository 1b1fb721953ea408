// The files to send: chosen, pasted or dropped.

import { complain } from "./calls.js";
import { byId, el } from "./dom.js";

const LIMIT = 10 * 2 ** 20; // Discord's limit for one file, in bytes
const COUNT = 10; // Discord's limit for one message, in files

export class Files {
  constructor(after) {
    this.chosen = [];
    this.after = after;
    const input = byId("file-input");
    byId("add-file").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.add(input.files);
      input.value = "";
    });
    const main = byId("main");
    const isFiles = (event) => event.dataTransfer?.types.includes("Files");
    main.addEventListener("dragover", (event) => {
      if (!isFiles(event)) return;
      event.preventDefault();
      main.classList.add("dropping");
    });
    main.addEventListener("dragleave", (event) => {
      if (!main.contains(event.relatedTarget)) main.classList.remove("dropping");
    });
    main.addEventListener("drop", (event) => {
      main.classList.remove("dropping");
      if (!isFiles(event)) return;
      event.preventDefault();
      this.add(event.dataTransfer.files);
    });
    byId("composer-text").addEventListener("paste", (event) => {
      if (event.clipboardData.files.length) this.add(event.clipboardData.files);
    });
  }

  add(files) {
    for (const file of files) {
      if (file.size > LIMIT) complain(`${file.name} is too large: Discord takes 10 MiB a file.`);
      else if (this.chosen.length >= COUNT) complain("Discord accepts ten files a message.");
      else this.chosen.push(file);
    }
    this.draw();
    this.after();
  }

  // Choose the files *chosen* and return those that they replace.
  replace(chosen) {
    const before = this.chosen;
    this.chosen = chosen;
    this.draw();
    return before;
  }

  draw() {
    const item = (file) => {
      const remove = () => {
        this.chosen = this.chosen.filter((one) => one !== file);
        this.draw();
        this.after();
      };
      const button = { type: "button", "aria-label": `Remove ${file.name}`, onclick: remove };
      return el("li", {}, `📄 ${file.name}`, el("button", button, "✕"));
    };
    byId("files").replaceChildren(...this.chosen.map(item));
  }
}

export function encode(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () =>
      resolve({ name: file.name, type: file.type, base64: reader.result.split(",")[1] ?? "" });
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
