// Uploads from this page: several files, a few at a time, each with its progress, each can be cancelled.

import { size } from "./format.js";
import { sentence } from "./http.js";

const AT_A_TIME = 2;
const DONE_SHOWN_MS = 4000;

const form = document.getElementById("upload-form");
const list = document.getElementById("transfers");
const template = document.getElementById("transfer-template");
const maxBytes = Number(form?.dataset.maxBytes);

const waiting = [];
let running = 0;

class Transfer {
  constructor(file, onUploaded) {
    this.file = file;
    this.onUploaded = onUploaded;
    this.request = null;
    this.began = 0;
    this.row = template.content.firstElementChild.cloneNode(true);
    this.row.querySelector("[data-name]").textContent = file.name;
    this.bar = this.row.querySelector("[data-progress]");
    this.bar.setAttribute("aria-label", `Upload of ${file.name}`);
    this.button = this.row.querySelector("[data-cancel]");
    this.button.setAttribute("aria-label", `Cancel the upload of ${file.name}`);
    this.button.addEventListener("click", () => this.cancel());
    this.say("Waiting");
    list.append(this.row);
    list.hidden = false;
  }

  say(text) {
    this.row.querySelector("[data-state]").textContent = text;
  }

  /** Send the file; resolves when that is over, however it ended. */
  send() {
    const request = new XMLHttpRequest();
    this.request = request;
    this.began = performance.now();
    const body = new FormData();
    body.append("file", this.file);
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => this.show(event.loaded, event.total));
    return new Promise((resolve) => {
      request.addEventListener("load", () => this.finish(request));
      request.addEventListener("error", () => this.fail("The connection broke. Please upload it again."));
      request.addEventListener("loadend", resolve);
      request.send(body);
    });
  }

  show(sent, total) {
    this.bar.value = sent / total;
    const perSecond = sent / ((performance.now() - this.began) / 1000);
    const left = Math.ceil((total - sent) / perSecond);
    if (sent >= total) this.say("Storing…");
    else this.say(`${size(sent)} of ${size(total)}${Number.isFinite(left) ? ` · ${remaining(left)}` : ""}`);
  }

  finish(request) {
    if (request.status !== 201) return this.fail(sentence(request.status, request.responseText));
    this.row.classList.add("done");
    this.bar.value = 1;
    this.button.hidden = true;
    this.say("Uploaded");
    this.onUploaded(JSON.parse(request.responseText));
    setTimeout(() => this.leave(), DONE_SHOWN_MS);
  }

  fail(text) {
    this.row.classList.add("failed");
    this.row.setAttribute("role", "alert");
    this.button.setAttribute("aria-label", `Dismiss the message about ${this.file.name}`);
    this.say(text);
  }

  cancel() {
    const index = waiting.indexOf(this);
    if (index >= 0) waiting.splice(index, 1);
    this.request?.abort();
    this.leave();
  }

  leave() {
    this.row.remove();
    list.hidden = !list.childElementCount;
  }
}

function remaining(seconds) {
  if (seconds < 60) return `${seconds} s left`;
  return seconds < 5400 ? `${Math.ceil(seconds / 60)} min left` : `${Math.round(seconds / 3600)} h left`;
}

async function pump() {
  while (running < AT_A_TIME && waiting.length) {
    running += 1;
    waiting.shift().send().then(() => {
      running -= 1;
      pump();
    });
  }
}

function add(files, onUploaded) {
  for (const file of files) {
    const transfer = new Transfer(file, onUploaded);
    if (file.size > maxBytes) transfer.fail(`Too large: this server takes up to ${size(maxBytes)}.`);
    else if (!file.size) transfer.fail("This file is empty.");
    else waiting.push(transfer);
  }
  pump();
}

/** Take files from the chooser and from anywhere they are dropped. */
export function start(onUploaded) {
  if (!form) return;
  const input = form.elements.file;
  input.multiple = true;
  input.addEventListener("change", () => {
    add([...input.files], onUploaded);
    input.value = "";
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  acceptDrops((files) => add(files, onUploaded));
  window.addEventListener("beforeunload", (event) => {
    if (running) event.preventDefault();
  });
}

function acceptDrops(onFiles) {
  const cover = document.getElementById("drop-cover");
  let depth = 0;
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  const on = (name, handle) => window.addEventListener(name, (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    handle(event);
    cover.hidden = depth === 0;
  });
  on("dragenter", () => { depth += 1; });
  on("dragleave", () => { depth = Math.max(depth - 1, 0); });
  on("dragover", () => {});
  on("drop", (event) => {
    depth = 0;
    onFiles([...event.dataTransfer.files]);
  });
}
