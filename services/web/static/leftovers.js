// Uploads that an earlier page has begun and not finished: the browser remembers them, the server has the bytes.

import { percent, size } from "./format.js";
import { ENDPOINT, canResume, discard } from "./sending.js";
import { TransferRow } from "./transfer-row.js";

const TABS_ANSWER_MS = 300;

const shown = new Map(); // by fingerprint of the file

/** Show what can be continued. `held()` gives the addresses that this page is at, for the others. */
export async function start(held, onFile) {
  if (!canResume() || !window.tus.canStoreURLs) return;
  const elsewhere = await heldElsewhere(held);
  for (const entry of await window.tus.defaultOptions.urlStorage.findAllUploads()) {
    if (elsewhere.has(entry.uploadUrl) || held().includes(entry.uploadUrl)) continue;
    const offset = await offsetOf(entry);
    if (offset !== null) show(entry, offset, onFile);
  }
}

/** A file is being uploaded now: it is no leftover any more. */
export async function taken(file) {
  const left = canResume() && shown.get(await fingerprintOf(file));
  left?.forget();
}

function fingerprintOf(file) {
  return window.tus.defaultOptions.fingerprint(file, { endpoint: ENDPOINT });
}

/** How much the server has; null where it cannot go on, which is then forgotten, or cannot be asked. */
async function offsetOf(entry) {
  let answer;
  try {
    answer = await fetch(entry.uploadUrl, { method: "HEAD", headers: { "Tus-Resumable": "1.0.0" } });
  } catch {
    return null;
  }
  const offset = Number(answer.headers.get("Upload-Offset"));
  const over = answer.status === 404 || answer.status === 410 || (answer.ok && offset >= entry.size);
  if (over) await discard(entry.uploadUrl, { known: false });
  return answer.ok && !over ? offset : null;
}

function show(entry, offset, onFile) {
  const [, fingerprint] = entry.urlStorageKey.split("::");
  const row = new TransferRow(entry.metadata.filename, {
    choose: () => chooseFile((file) => check(file)),
    cancel: () => {
      forget();
      discard(entry.uploadUrl);
    },
  });
  const forget = () => {
    shown.delete(fingerprint);
    row.leave();
  };
  const check = async (file) => {
    if ((await fingerprintOf(file)) === fingerprint) onFile(file);
    else row.say(`That is another file: this one had ${size(entry.size)}.`);
  };
  shown.set(fingerprint, { forget });
  row.turn("paused");
  row.show(offset / entry.size);
  row.say(`${percent(offset / entry.size)} of ${size(entry.size)} has arrived`);
  row.offer("choose");
}

function chooseFile(onChosen) {
  const input = document.createElement("input");
  input.type = "file";
  input.addEventListener("change", () => onChosen(input.files[0]));
  input.click();
}

/** The uploads that other tabs are at. Each answers for itself, so a tab that is gone holds none. */
async function heldElsewhere(held) {
  const found = new Set();
  const channel = new BroadcastChannel("uploads");
  channel.addEventListener("message", ({ data }) => {
    if (data.asked) channel.postMessage({ held: held() });
    else for (const url of data.held) found.add(url);
  });
  channel.postMessage({ asked: true });
  await new Promise((resolve) => setTimeout(resolve, TABS_ANSWER_MS));
  return found;
}
