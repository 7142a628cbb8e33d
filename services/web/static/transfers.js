// Uploads from this page: several files, a few at a time, each with its progress, each can be paused.

import { percent, size } from "./format.js";
import * as leftovers from "./leftovers.js";
import { PlainSending, ResumableSending, canResume } from "./sending.js";
import { TransferRow } from "./transfer-row.js";

const AT_A_TIME = 2;
const DONE_SHOWN_MS = 4000;

const form = document.getElementById("upload-form");
const maxBytes = Number(form?.dataset.maxBytes);
const partBytes = Number(form?.dataset.partBytes);

const all = new Set();
const waiting = [];
const sending = new Set();

class Transfer {
  constructor(file, onUploaded) {
    this.onUploaded = onUploaded;
    this.began = { at: 0, sent: null };
    this.fraction = 0;
    const actions = ["pause", "resume", "cancel"].map((action) => [action, () => this[action]()]);
    this.row = new TransferRow(file.name, { ...Object.fromEntries(actions), choose: () => {} });
    const hooks = {
      progress: (sent, total) => this.show(sent, total),
      stalled: () => this.stall(),
      done: (id) => this.finish(id),
      failed: (text, again) => this.fail(text, again),
    };
    this.way = canResume() ? new ResumableSending(file, partBytes, hooks) : new PlainSending(file, form.action, hooks);
    all.add(this);
  }

  wait() {
    this.row.turn("sending");
    this.row.say("Waiting");
    this.row.offer();
    waiting.push(this);
    pump();
  }

  send() {
    this.began = { at: performance.now(), sent: null };
    this.row.offer(...(this.way.pause ? ["pause"] : []));
    this.way.start();
  }

  show(sent, total) {
    if (!sending.has(this)) return;
    this.began.sent ??= sent;
    this.fraction = sent / total;
    this.row.show(this.fraction);
    const perSecond = (sent - this.began.sent) / ((performance.now() - this.began.at) / 1000);
    const left = Math.ceil((total - sent) / perSecond);
    if (sent >= total) this.row.say("Storing…");
    else this.row.say(`${size(sent)} of ${size(total)}${Number.isFinite(left) ? ` · ${remaining(left)}` : ""}`);
  }

  stall() {
    this.row.say("The connection is lost. Trying again…");
    this.began = { at: performance.now(), sent: null };
  }

  pause() {
    this.way.pause();
    this.row.turn("paused");
    this.row.say(`Paused at ${percent(this.fraction)}`);
    this.row.offer("resume");
    ended(this);
  }

  resume() {
    this.wait();
  }

  finish(id) {
    this.row.turn("done");
    this.row.show(1);
    this.row.offer();
    this.row.say("Uploaded");
    all.delete(this);
    this.onUploaded({ id });
    setTimeout(() => this.row.leave(), DONE_SHOWN_MS);
    ended(this);
  }

  fail(text, again) {
    this.row.turn("failed");
    this.row.say(text);
    this.row.offer(...(again ? ["resume"] : []));
    ended(this);
  }

  cancel() {
    all.delete(this);
    this.row.leave();
    this.way.cancel();
    ended(this);
  }
}

function remaining(seconds) {
  if (seconds < 60) return `${seconds} s left`;
  return seconds < 5400 ? `${Math.ceil(seconds / 60)} min left` : `${Math.round(seconds / 3600)} h left`;
}

function pump() {
  while (sending.size < AT_A_TIME && waiting.length) {
    const next = waiting.shift();
    sending.add(next);
    next.send();
  }
}

function ended(transfer) {
  const index = waiting.indexOf(transfer);
  if (index >= 0) waiting.splice(index, 1);
  sending.delete(transfer);
  pump();
}

async function add(files, onUploaded) {
  for (const file of files) {
    await leftovers.taken(file);
    const transfer = new Transfer(file, onUploaded);
    if (file.size > maxBytes) transfer.fail(`Too large: this server takes up to ${size(maxBytes)}.`, false);
    else if (!file.size) transfer.fail("This file is empty.", false);
    else transfer.wait();
  }
}

/** Take files from the chooser and from anywhere they are dropped, and what is left from earlier. */
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
  leftovers.start(
    () => [...all].map((transfer) => transfer.way.url).filter(Boolean),
    (file) => add([file], onUploaded),
  );
  window.addEventListener("beforeunload", (event) => {
    if (sending.size) event.preventDefault();
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
