// How far a video in the making reaches, said in words where a viewer wants to see what is not there yet.

import { clock } from "./format.js";

const EVENTS = ["seeking", "waiting", "timeupdate", "playing", "durationchange"];
/** A player waits a little before the end of what it has. */
const SLACK_S = 0.5;

export class Reach {
  constructor(video, note) {
    this.video = video;
    this.note = note;
    this.seconds = Infinity;
    for (const name of EVENTS) video.addEventListener(name, () => this.show());
  }

  /** Everything before `seconds` can be watched by now. */
  extend(seconds) {
    this.seconds = seconds;
    this.show();
  }

  show() {
    const { video } = this;
    const starved = video.readyState > 0 && video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA;
    this.note.hidden = !(starved && video.currentTime > this.seconds - SLACK_S);
    if (!this.note.hidden) this.note.textContent = this.sentence();
  }

  sentence() {
    const whole = Number.isFinite(this.video.duration) ? ` of ${clock(this.video.duration)}` : "";
    return `This part is not ready yet: ${clock(this.seconds)}${whole} can be watched so far. `
      + "It goes on here by itself as soon as there is more.";
  }
}
