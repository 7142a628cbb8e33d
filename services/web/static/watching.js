// The player together with the state of its video: waits until there is something to play.

import { percent } from "./format.js";
import { follow } from "./live.js";
import { Player } from "./player.js";

const PLAYABLE = ["playable", "ready"];

/** For so long, a page that has all else listens for the verdict: it comes when no other work waits, or never. */
const VERDICT_MS = 120_000;

/** Start the player; `onChange` is told each new record, until nothing more comes by itself. */
export function start(onChange = () => {}) {
  const container = document.getElementById("player");
  const player = new Player(container);
  window.tritontube = { player };

  const show = (video) => {
    container.dataset.status = video.status;
    player.reach.extend(video.status === "ready" ? Infinity : video.playable_s);
    player.limit(heightOf(video));
    shape(container, video);
    player.late.offer(video);
    onChange(video);
    if (PLAYABLE.includes(video.status)) player.load();
    else if (player.loaded) return;
    else if (video.status === "failed") player.say("This video could not be processed", video.reason ?? "");
    else player.say("Getting your video ready", waitingText(video), { busy: true });
  };
  if (container.dataset.status !== "ready") {
    player.reach.extend(Number(container.dataset.playable));
    player.limit(Number(container.dataset.height));
  }
  if (PLAYABLE.includes(container.dataset.status)) player.load();
  const stop = follow(`/api/videos/${container.dataset.id}/events`, {
    video: (video) => {
      show(video);
      if (video.settled && video.verdict) stop();
      else if (video.settled) setTimeout(stop, VERDICT_MS);
    },
    deleted: () => player.deleted(),
  });
  container.addEventListener("deleted", stop);
  return player;
}

/** How high the highest of the qualities is that can be watched from the beginning. */
function heightOf({ renditions }) {
  return Math.max(0, ...renditions.filter(({ begun }) => begun).map(({ height }) => height));
}

/** Give the stage the form of the video, as soon as that is known. The style sheet knows what suits upright ones. */
function shape(container, { width, height }) {
  container.classList.toggle("upright", height > width);
  if (!(width > height)) return;
  container.style.setProperty("--width", width);
  container.style.setProperty("--height", height);
}

function waitingText(video) {
  const done = video.progress > 0 ? ` ${percent(video.progress)} is done.` : "";
  return `It starts here by itself as soon as there is something to see.${done}`;
}
