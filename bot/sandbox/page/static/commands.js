// Application commands: fetch them, show the options of one, and send it.

import { interact, perform } from "./calls.js";
import { byId, el } from "./dom.js";
import { encode } from "./files.js";

const SLASH = 1;
export const MESSAGE_MENU = 3;
const OPTION = { SUB: 1, GROUP: 2, STRING: 3, INTEGER: 4, BOOLEAN: 5, USER: 6, CHANNEL: 7, NUMBER: 10, FILE: 11 };

const offered = new Map(); // Store.here -> commands

let newest = 0;

// Only the answer to the newest call counts: the answer to an earlier call may arrive after it.
export async function fetchCommands(store) {
  const key = store.here;
  const number = ++newest;
  const found = await perform("commands", { person: store.personId, channel: store.channelId });
  if (!found || number !== newest) return;
  offered.set(key, found);
  store.emit("commands");
}

export function offeredCommands(store, type) {
  return (offered.get(store.here) ?? []).filter((one) => one.type === type);
}

// The name of a command, an option or a choice in the person's language.
export function labelOf(one) {
  return one.name_localized ?? one.name;
}

export function slashCommands(store) {
  return offeredCommands(store, SLASH).flatMap((one) => uses(one, one.name, labelOf(one)));
}

function uses(command, name, label) {
  const inner = (command.options ?? []).filter((one) => [OPTION.SUB, OPTION.GROUP].includes(one.type));
  if (inner.length) return inner.flatMap((one) => uses(one, `${name} ${one.name}`, `${label} ${labelOf(one)}`));
  return [{ name, label, description: descriptionOf(command), options: command.options ?? [] }];
}

function descriptionOf(one) {
  return one.description_localized ?? one.description;
}

let shown = null; // the command whose form is shown: its nodes, submit and end

// Show *command*, which may be null, and return the command that it replaces.
export function replaceCommand(command = null) {
  const before = shown;
  show(command);
  return before;
}

function show(command) {
  const form = byId("command-form");
  shown = command?.ended ? null : command;
  form.replaceChildren(...(shown?.nodes ?? []));
  form.onsubmit = shown?.submit;
  form.onkeydown = (event) => {
    if (event.key === "Escape") shown?.end();
  };
  form.hidden = !shown;
}

export function openCommand(store, composer, command) {
  const inputs = command.options.map((option) => optionInput(store, command, option));
  const opened = { ended: false };
  opened.end = () => {
    opened.ended = true;
    if (shown !== opened) return; // Another command has replaced it.
    show(null);
    composer.box.focus();
  };
  opened.submit = async (event) => {
    event.preventDefault();
    const where = { person: store.personId, channel: store.channelId };
    const options = await valuesOf(command.options, inputs);
    const sent = await interact(store, "command", { ...where, name: command.name, options });
    if (sent) opened.end();
  };
  const labels = inputs.map((input, number) => {
    const option = command.options[number];
    const label = option.required ? `${labelOf(option)} (needed)` : labelOf(option);
    return el("label", { title: descriptionOf(option) }, label, input, input.completions);
  });
  const send = el("button", { type: "submit", class: "primary" }, "Send command");
  const cancel = el("button", { type: "button", class: "plain", onclick: opened.end }, "Cancel");
  opened.nodes = [el("strong", {}, `/${command.label}`), ...labels, send, cancel];
  show(opened);
  composer.set("");
  (inputs[0] ?? send).focus();
}

function optionInput(store, command, option) {
  const required = option.required;
  const choice = (items) =>
    el("select", { required },
      el("option", { value: "" }, ""),
      ...items.map(([value, label]) => el("option", { value }, label)),
    );
  if (option.choices?.length) return choice(option.choices.map((one) => [one.value, labelOf(one)]));
  if (option.type === OPTION.BOOLEAN) return choice([["true", "yes"], ["false", "no"]]);
  if (option.type === OPTION.USER) return choice(Object.entries(store.users));
  if (option.type === OPTION.CHANNEL) {
    return choice([...store.channels.values()].map((one) => [one.id, one.name]));
  }
  if (option.type === OPTION.FILE) return el("input", { type: "file", required });
  const isNumber = [OPTION.INTEGER, OPTION.NUMBER].includes(option.type);
  const input = el("input", {
    type: isNumber ? "number" : "text",
    step: option.type === OPTION.NUMBER ? "any" : null,
    min: option.min_value,
    max: option.max_value,
    minlength: option.min_length,
    maxlength: option.max_length ?? 6000,
    required,
    autocomplete: "off",
  });
  if (option.autocomplete) askBotForCompletions(store, command, option, input);
  return input;
}

// The bot completes this option: each change asks the bot, and only the newest answer counts.
function askBotForCompletions(store, command, option, input) {
  const list = el("datalist", { id: `completions-${option.name}` });
  input.completions = list;
  input.setAttribute("list", list.id);
  let newest = null;
  let count = 0;
  const show = () => {
    const choices = store.interactions.get(newest)?.choices;
    if (choices) list.replaceChildren(...choices.map((one) => el("option", { value: one.value }, labelOf(one))));
  };
  store.on("interaction", show);
  input.addEventListener("input", async () => {
    const where = { person: store.personId, channel: store.channelId, name: command.name };
    const number = ++count;
    const created = await interact(store, "complete", { ...where, option: option.name, value: input.value });
    if (!created || number !== count) return;
    newest = created.interaction;
    show();
  });
}

async function valuesOf(options, inputs) {
  const values = {};
  for (const [number, option] of options.entries()) {
    const input = inputs[number];
    if (option.type === OPTION.FILE) {
      if (input.files.length) {
        const file = await encode(input.files[0]);
        values[option.name] = { filename: file.name, content_type: file.type, content_base64: file.base64 };
      }
    } else if (input.value !== "") values[option.name] = parse(option.type, input.value);
  }
  return values;
}

function parse(type, value) {
  if ([OPTION.INTEGER, OPTION.NUMBER].includes(type)) return Number(value);
  return type === OPTION.BOOLEAN ? value === "true" : value;
}
