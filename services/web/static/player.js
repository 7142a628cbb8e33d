// The player: Shaka with its own controls, or the browser's HLS where there is no Media Source Extensions.

import { clock } from "./format.js";
import { call } from "./http.js";
import { LateTracks } from "./late.js";
import { Reach } from "./reach.js";

const RETRY_MS = 1500;
const MAX_RETRIES = 20;
const GONE = [404, 410];
const NEWER_BROWSER = "A newer one can: any current Chrome, Edge, Firefox or Safari.";
const BANDWIDTH_ESTIMATE = 4_000_000;
/** A little more than one segment. */
const OPENING_S = 5;

const CONTROLS = {
  bigButtons: ["play_pause"],
  topControlPanelElements: [],
  controlPanelElements: ["play_pause", "mute_volume", "clock", "spacer", "overflow_menu", "fullscreen"],
  overflowMenuButtons: ["quality", "playback_rate", "language", "captions", "picture_in_picture"],
  contextMenuElements: ["loop", "picture_in_picture", "save_video_frame", "statistics"],
  seekBarColors: { base: "rgb(255 255 255 / 25%)", buffered: "rgb(255 255 255 / 45%)", played: "#4fd6d2" },
  showAudioCodec: false,
  showVideoCodec: false,
  // Casting would fetch a script from elsewhere.
  castSenderUrl: "",
};

const CONFIGURATION = {
  streaming: {
    bufferingGoal: 30,
    bufferBehind: 60,
    rebufferingGoal: 1,
    // A video in the making: wait at the end of what there is, and go on when there is more.
    inaccurateManifestTolerance: 0,
    retryParameters: { maxAttempts: 6, baseDelay: 500, backoffFactor: 1.6, fuzzFactor: 0.3, timeout: 20000 },
  },
  manifest: {
    retryParameters: { maxAttempts: 6, baseDelay: 500, backoffFactor: 1.6, fuzzFactor: 0.3, timeout: 10000 },
    // A video in the making is as long from the beginning as it will be; no live edge that moves with the clock.
    dash: { autoCorrectDrift: false, ignoreMinBufferTime: true, ignoreSuggestedPresentationDelay: true },
  },
  abr: {
    defaultBandwidthEstimate: BANDWIDTH_ESTIMATE,
    // A device too slow for a quality gives it up for half a minute, menu included. Two seconds with every
    // seventh picture missing, as after any hiccup at the start, are not enough to tell.
    advanced: { droppedFramesInterval: 6, droppedFramesThreshold: 0.4 },
  },
};

/** Shaka's own clock counts back from the end while a video is in the making; this one never does. */
function registerClock() {
  class Clock extends window.shaka.ui.Element {
    constructor(parent, controls) {
      super(parent, controls);
      const text = document.createElement("div");
      text.className = "clock";
      parent.append(text);
      this.eventManager.listen(controls, "timeandseekrangeupdated", () => {
        const end = Number.isFinite(this.video.duration) ? this.video.duration : 0;
        text.textContent = `${clock(controls.getDisplayTime())} / ${clock(end)}`;
      });
    }
  }
  window.shaka.ui.Controls.registerElement("clock", {
    create: (parent, controls) => new Clock(parent, controls),
  });
}

export class Player {
  constructor(container) {
    this.container = container;
    this.video = container.querySelector("video");
    this.notice = container.querySelector("#notice");
    this.manifest = container.dataset.manifest;
    this.hls = container.dataset.hls;
    this.shaka = null;
    this.loading = null;
    this.loaded = false;
    this.over = false;
    this.retries = 0;
    this.height = Infinity;
    this.late = new LateTracks();
    this.reach = new Reach(this.video, container.querySelector("#not-yet"));
    for (const name of ["play", "pause"]) {
      this.video.addEventListener(name, () => container.classList.toggle("playing", !this.video.paused));
    }
  }

  /** Show a sentence in place of the picture. */
  say(title, text, { busy = false } = {}) {
    this.notice.querySelector("[data-notice-title]").textContent = title;
    this.notice.querySelector("[data-notice-text]").textContent = text;
    this.notice.querySelector(".spinner").hidden = !busy;
    this.notice.hidden = false;
  }

  /** Begin to play, unless that was done already. */
  load() {
    if (this.over) return this.loading;
    this.loading ??= this.begin();
    return this.loading;
  }

  async begin() {
    window.shaka?.polyfill.installAll();
    if (window.shaka?.Player.isBrowserSupported()) await this.beginWithShaka();
    else this.beginNatively();
  }

  async beginWithShaka() {
    this.shaka ??= await this.makeShaka();
    this.beginLow();
    try {
      await this.shaka.load(this.manifest, 0);
      this.loaded = true;
      this.late.loaded(this.shaka);
      this.retries = 0;
      this.notice.hidden = true;
      // Browsers may refuse to start with sound before the visitor did anything; the big button is there then.
      if (this.video.autoplay) this.video.play().catch(() => {});
    } catch (error) {
      await this.failed(error);
    }
  }

  /** As long as only the beginning can be watched, there may be least of the better qualities. */
  beginLow() {
    const opening = this.reach.seconds < OPENING_S;
    this.shaka.configure("abr.useNetworkInformation", !opening);
    this.shaka.configure("abr.defaultBandwidthEstimate", opening ? 1 : BANDWIDTH_ESTIMATE);
  }

  /**
   * Choose no quality higher than this by itself: of a video in the making the manifest tells of all, but the
   * better ones take a while to begin, and a picture now is better than a fine one in a quarter of a minute.
   */
  limit(height) {
    this.height = height || Infinity;
    this.shaka?.configure("abr.restrictions.maxHeight", this.height);
  }

  async makeShaka() {
    registerClock();
    const player = new window.shaka.Player();
    // Before anything else: captions are then drawn by Shaka on the picture, and look alike in all browsers.
    player.setVideoContainer(this.container);
    await player.attach(this.video);
    const overlay = new window.shaka.ui.Overlay(player, this.container, this.video);
    // Every track has a name of its own; two of one language differ in nothing else.
    const { LABEL } = window.shaka.ui.Overlay.TrackLabelFormat;
    overlay.configure({ ...CONTROLS, trackLabelFormat: LABEL, textTrackLabelFormat: LABEL });
    player.configure(CONFIGURATION);
    player.configure("abr.restrictions.maxHeight", this.height);
    // Everything there is may be asked for at once, whatever the clock says; this spares a warning about clocks.
    player.configure("manifest.dash.clockSyncUri", this.manifest);
    player.addEventListener("error", (event) => this.failed(event.detail));
    return player;
  }

  beginNatively() {
    if (!this.video.canPlayType("application/vnd.apple.mpegurl")) {
      this.say("This browser cannot play the video", NEWER_BROWSER);
      return;
    }
    this.video.controls = true;
    this.video.src = this.hls;
    this.loaded = true;
    this.notice.hidden = true;
  }

  /** See what an error means: the end, or another attempt in a moment. */
  async failed(error) {
    const { Code, Severity } = window.shaka.util.Error;
    if (this.over) return;
    console.warn("player", error);
    if (error?.code === Code.BAD_HTTP_STATUS && GONE.includes(error.data[1]) && (await this.isDeleted())) {
      this.deleted();
    } else if (error?.code === Code.CONTENT_UNSUPPORTED_BY_BROWSER) {
      this.end("This browser cannot play the video", NEWER_BROWSER);
    } else if (error?.severity !== Severity.RECOVERABLE) {
      this.retryLater();
    }
  }

  /** Whether the server says that there is no such video (any more). */
  async isDeleted() {
    try {
      await call("GET", `/api/videos/${this.container.dataset.id}`);
      return false;
    } catch (problem) {
      return GONE.includes(problem.status);
    }
  }

  /** The video was deleted: say so, to the page as well. */
  deleted() {
    if (this.over) return;
    this.end("This video was deleted", "");
    this.container.dispatchEvent(new Event("deleted"));
  }

  /** Stop for good, and say why. */
  end(title, text) {
    this.over = true;
    this.loaded = false;
    this.late.loaded(null);
    this.say(title, text);
    this.video.pause();
    if (this.shaka) this.shaka.unload();
    else this.video.removeAttribute("src");
  }

  retryLater() {
    if (this.over) return;
    this.loaded = false;
    this.late.loaded(null);
    if (this.retries >= MAX_RETRIES) {
      this.say("Playback stopped", "The video cannot be loaded at the moment. Reload the page to try again.");
      return;
    }
    this.retries += 1;
    this.say("One moment", "The video is being fetched…", { busy: true });
    setTimeout(() => this.resume(), RETRY_MS);
  }

  /** Load again, at the place where it stopped. */
  async resume() {
    if (this.over) return;
    const at = this.video.currentTime || 0;
    this.loading = this.beginWithShaka();
    await this.loading;
    if (this.loaded && at > 0) this.video.currentTime = at;
  }
}
