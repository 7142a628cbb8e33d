// The captions on the watch page: which there are, giving and removing them.

import { call } from "./http.js";
import { toast } from "./messages.js";

const byId = (id) => document.getElementById(id);
const path = (name) => `${byId("captions").dataset.path}/${encodeURIComponent(name)}`;

let changed = () => {};

/** Enliven the form; `onChange` is called when the captions have been changed. */
export function begin(onChange) {
  changed = onChange;
  byId("captions-form").addEventListener("submit", (event) => event.preventDefault());
  byId("captions-file").addEventListener("change", give);
  byId("captions").addEventListener("click", ({ target }) => {
    const button = target.closest("[data-remove]");
    if (button) remove(button.dataset.remove);
  });
}

export function show(captions) {
  byId("captions").replaceChildren(...captions.map(row));
}

function row({ name, title, url }) {
  const line = byId("captions-row").content.cloneNode(true).firstElementChild;
  line.querySelector("b").textContent = name;
  Object.assign(line.querySelector("a"), { href: url, textContent: title });
  Object.assign(line.querySelector("button"), { title: `Remove ${title}`, ariaLabel: `Remove ${title}` });
  line.querySelector("button").dataset.remove = name;
  return line;
}

async function give({ target }) {
  const [file] = target.files;
  const name = byId("captions-form").elements.name;
  if (!file || !name.reportValidity()) return reset(target);
  await attempt(async () => {
    await call("PUT", path(name.value), new Blob([await textOf(file)], { type: "text/plain" }));
    toast("The captions are there.");
  });
  reset(target);
}

async function remove(name) {
  await attempt(() => call("DELETE", path(name)));
}

/** Most files are in UTF-8; old ones in SubRip often come from Windows. */
async function textOf(file) {
  const bytes = await file.arrayBuffer();
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    const wide = /^(\xff\xfe|\xfe\xff)/.test(String.fromCharCode(...new Uint8Array(bytes.slice(0, 2))));
    return new TextDecoder(wide ? "utf-16" : "windows-1252").decode(bytes);
  }
}

/** So that the same file can be chosen once more. */
function reset(input) {
  input.value = "";
}

async function attempt(action) {
  try {
    await action();
    await changed();
  } catch (problem) {
    toast(problem.message, { failed: true });
  }
}
