// The cluster's page, kept as things are. The server draws its parts; here those that changed are put in place.

import { sentence } from "./http.js";

const POLL_MS = 2000;
const PATIENCE_MS = 15_000;

const state = document.getElementById("cluster-state");
const problem = document.getElementById("cluster-problem");
let timer = 0;
let seenAt = state.childElementCount ? new Date() : null;

async function fetched() {
  let response;
  try {
    const options = { headers: { Accept: "application/json, text/html;q=0.9" }, signal: AbortSignal.timeout(PATIENCE_MS) };
    response = await fetch("/cluster/state", options);
  } catch {
    throw new Error(sentence(0, ""));
  }
  const text = await response.text();
  if (!response.ok) throw new Error(sentence(response.status, text));
  return text;
}

/** Replace the parts that changed. One in which somebody marks text stays until the next time. */
function put(text) {
  const fresh = document.createElement("template");
  fresh.innerHTML = text;
  if (!state.childElementCount) state.replaceChildren(fresh.content.cloneNode(true));
  for (const part of fresh.content.querySelectorAll("[data-part]")) {
    const present = document.getElementById(part.id);
    if (present.innerHTML !== part.innerHTML && !isMarked(present)) present.innerHTML = part.innerHTML;
  }
}

function isMarked(element) {
  const selection = getSelection();
  return !selection.isCollapsed && element.contains(selection.anchorNode);
}

function complain(text) {
  const old = seenAt ? ` What is shown is from ${seenAt.toLocaleTimeString()}.` : "";
  if (problem.textContent !== text + old) problem.textContent = text + old;
  problem.hidden = false;
  state.classList.toggle("old", Boolean(seenAt));
}

async function refresh() {
  try {
    put(await fetched());
    seenAt = new Date();
    problem.hidden = true;
    state.classList.remove("old");
  } catch (error) {
    complain(error.message);
  }
  schedule();
}

/** A page that nobody sees does not ask. */
function schedule() {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(refresh, POLL_MS);
}

document.addEventListener("visibilitychange", schedule);
schedule();
