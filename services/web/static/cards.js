// The grid of videos, kept as things are. The server draws the cards; here they are put in place.

import { percent } from "./format.js";
import { call } from "./http.js";
import { follow } from "./live.js";
import { confirmDelete, toast } from "./messages.js";

const grid = document.getElementById("videos");
const empty = document.getElementById("empty");
const showsNewest = "newest" in grid.dataset;

function cardOf(id) {
  return document.getElementById(`video-${id}`);
}

/** Draw a video's card anew, or for the first time where new ones belong on this page. */
export async function draw(id) {
  const response = await fetch(`/videos/${id}/card`);
  if (response.status === 404) return remove(id);
  if (!response.ok) return;
  const holder = document.createElement("template");
  holder.innerHTML = await response.text();
  const fresh = holder.content.querySelector(".card");
  const present = cardOf(id);
  if (present) {
    const focused = present.contains(document.activeElement) && document.activeElement.dataset.action;
    present.replaceWith(fresh);
    if (focused) fresh.querySelector(`[data-action="${focused}"], .card-link`)?.focus();
  } else if (showsNewest) {
    fresh.classList.add("arriving");
    insert(fresh);
  }
  empty.hidden = grid.childElementCount > 0;
}

/** Newest first: ids are made so that they sort that way. */
function insert(card) {
  const older = [...grid.children].find((other) => other.dataset.id > card.dataset.id);
  grid.insertBefore(card, older ?? null);
}

function remove(id) {
  cardOf(id)?.remove();
  empty.hidden = grid.childElementCount > 0;
}

function update(video) {
  const card = cardOf(video.id);
  const title = card?.querySelector(".card-title").textContent;
  const hasPoster = Boolean(card?.querySelector(".poster img"));
  const redraw = card?.dataset.status !== video.status || title !== video.title
    || hasPoster !== Boolean(video.links.poster);
  if (redraw) return draw(video.id);
  const bar = card.querySelector("[data-progress]");
  if (bar) {
    bar.value = video.progress;
    card.querySelector("[data-percent]").textContent = percent(video.progress);
  }
}

async function askAndDelete(card, title) {
  if (!(await confirmDelete(title))) return;
  card.classList.add("leaving");
  try {
    await call("DELETE", `/api/videos/${card.dataset.id}`);
    remove(card.dataset.id);
    toast("Deleted.");
  } catch (problem) {
    card.classList.remove("leaving");
    toast(problem.message, { failed: true });
  }
}

/** Retry or cancel. */
async function order(card, action) {
  try {
    await call("POST", `/api/videos/${card.dataset.id}/${action}`);
    await draw(card.dataset.id);
  } catch (problem) {
    toast(problem.message, { failed: true });
  }
}

export function start() {
  grid.addEventListener("click", (event) => {
    const button = event.target.closest("[data-action]");
    if (!button) return;
    const card = button.closest(".card");
    if (button.dataset.action === "delete") askAndDelete(card, button.dataset.title);
    else order(card, button.dataset.action);
  });
  follow("/api/events", {
    video: update,
    deleted: remove,
    opened: () => grid.querySelectorAll("[data-active]").forEach((card) => draw(card.dataset.id)),
  });
}
