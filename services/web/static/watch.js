// The watch page: player, title, progress, and what can be done with the video.

import * as captions from "./captions.js";
import { bitrate, clock, percent } from "./format.js";
import { call } from "./http.js";
import { confirmDelete, toast } from "./messages.js";
import { VerdictNote } from "./verdict.js";
import { start } from "./watching.js";

const ACTIVE = ["uploaded", "processing", "playable"];
const WORDS = { uploaded: "Waiting", processing: "Processing", playable: "Playable, processing" };

const byId = (id) => document.getElementById(id);
const id = document.querySelector(".watch").dataset.id;
const verdict = new VerdictNote(byId("verdict"), id);

function show(video) {
  setTitle(video.title);
  showFacts(video);
  showWork(video);
  byId("failure").hidden = video.status !== "failed";
  byId("retry").hidden = !video.retryable;
  byId("failure").querySelector("[data-reason]").textContent = video.reason ?? "";
  byId("retry").hidden = !video.retryable;
  showLadder(video.renditions);
  showSounds(video.audio);
  captions.show(video.captions);
  showOmitted(video.omitted);
  verdict.show(video);
  showOriginal(video.links.original);
}

function setTitle(title) {
  byId("title").textContent = title;
  byId("delete").dataset.title = title;
  document.title = `${title} · TritonTube`;
}

function showFacts(video) {
  byId("duration").hidden = !video.duration_s;
  byId("duration").textContent = clock(Math.max(Math.round(video.duration_s ?? 0), 1));
  byId("resolution").hidden = !video.width;
  byId("resolution").textContent = `${video.width} × ${video.height}`;
}

function showWork(video) {
  const working = byId("working");
  working.hidden = !ACTIVE.includes(video.status);
  if (working.hidden) return;
  working.querySelector("[data-state]").textContent = WORDS[video.status];
  working.querySelector("[data-percent]").textContent = percent(video.progress);
  working.querySelector("[data-progress]").value = video.progress;
  working.querySelector("[data-hint]").textContent = video.status === "playable"
    ? "You can watch what is ready already."
    : "It becomes playable long before it is done.";
}

function showLadder(renditions) {
  if (!renditions.length) return;
  byId("ladder").replaceChildren(...[...renditions].reverse().map(rung));
}

function showOmitted(omitted) {
  byId("omitted").replaceChildren(...omitted.map(({ title, reason, progress }) => {
    const line = document.createElement("li");
    line.className = "hint";
    line.textContent = progress === null
      ? `${title} could not be made: ${reason}`
      : `${title} is being made again: ${percent(progress)}`;
    return line;
  }));
}

function showSounds(tracks) {
  byId("sound-section").hidden = tracks.length < 2;
  byId("sounds").replaceChildren(...tracks.map((track) => row([track.language, track.title])));
}

function showOriginal(path) {
  const link = byId("original");
  link.hidden = !path;
  if (path) link.href = path;
}

function rung({ name, width, height, bitrate: rate, download }) {
  const line = row([name, `${width} × ${height}`, bitrate(rate)]);
  if (!download) return line;
  const link = document.createElement("a");
  Object.assign(link, { href: download, download: "", title: `Download ${name} as one file`, textContent: "MP4" });
  line.append(link);
  return line;
}

function row(texts) {
  const line = document.createElement("li");
  line.append(...texts.map((text, index) => {
    const cell = document.createElement(index ? "span" : "b");
    cell.textContent = text;
    return cell;
  }));
  return line;
}

function showRename(shown) {
  byId("rename-form").hidden = !shown;
  document.querySelector(".title-row").hidden = shown;
  if (!shown) return byId("rename").focus();
  const field = byId("rename-form").elements.title;
  field.value = byId("title").textContent;
  field.select();
}

async function rename(event) {
  event.preventDefault();
  const title = new FormData(event.target).get("title");
  await attempt(async () => {
    setTitle((await call("PATCH", `/api/videos/${id}`, { title })).title);
    showRename(false);
  });
}

async function askAndDelete() {
  if (!(await confirmDelete(byId("title").textContent))) return;
  await attempt(async () => {
    await call("DELETE", `/api/videos/${id}`);
    location.assign("/");
  });
}

async function retry() {
  await attempt(async () => show(await call("POST", `/api/videos/${id}/retry`)));
}

async function cancel() {
  await attempt(async () => show(await call("POST", `/api/videos/${id}/cancel`)));
}

async function copy(button) {
  const { copy: path, copyFrom } = button.dataset;
  const text = copyFrom ? absolute(byId(copyFrom).textContent) : new URL(path, location.href).href;
  await attempt(async () => {
    // Browsers offer their clipboard to pages on HTTPS and on this very machine only.
    if (!navigator.clipboard) throw new Error(`This page may not copy for you: ${text}`);
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  });
}

/** The snippet works on other sites only with this server's name in it. */
function absolute(snippet) {
  return snippet.replace('src="/', `src="${location.origin}/`);
}

/** There is nothing any more that could be done with the video, and none of its files. */
function showDeleted() {
  const things = ".actions, .facts, #working, #failure, #rename, #rename-form";
  for (const thing of document.querySelectorAll(things)) thing.hidden = true;
  document.querySelector(".title-row").hidden = false;
}

async function attempt(action) {
  try {
    await action();
  } catch (problem) {
    toast(problem.message, { failed: true });
  }
}

byId("snippet").textContent = absolute(byId("snippet").textContent);
byId("rename").addEventListener("click", () => showRename(true));
byId("rename-form").addEventListener("submit", rename);
byId("rename-form").addEventListener("reset", () => showRename(false));
byId("rename-form").addEventListener("keydown", (event) => event.key === "Escape" && showRename(false));
byId("delete").addEventListener("click", askAndDelete);
byId("retry").addEventListener("click", retry);
byId("cancel").addEventListener("click", cancel);
for (const button of document.querySelectorAll("[data-copy], [data-copy-from]")) {
  button.addEventListener("click", () => copy(button));
}
const player = start(show);
byId("player").addEventListener("deleted", showDeleted);
captions.begin(async () => {
  const video = await call("GET", `/api/videos/${id}`);
  show(video);
  await player.late.offer(video);
});
