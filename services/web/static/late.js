// What a video got after its manifest was loaded: captions, pictures for the seek bar. Shaka looks only once.

const KIND = "subtitles";
const TYPE = "text/vtt";
/** About as often as Shaka looks whether a video still grows. */
const AGAIN_MS = 2000;

export class LateTracks {
  constructor() {
    this.shaka = null;
    this.video = null;
    this.added = new Set();
    this.again = 0;
  }

  /** The player has loaded a manifest, or (null) has none any more. */
  loaded(shaka) {
    this.shaka = shaka;
    this.added.clear();
    return this.complete();
  }

  /** What the video has by now. */
  offer(video) {
    this.video = video;
    return this.complete();
  }

  async complete() {
    if (!this.shaka || !this.video) return;
    await Promise.all([this.addCaptions(), this.addPictures()]);
  }

  async addCaptions() {
    const there = new Set([...this.added, ...this.shaka.getTextTracks().map((track) => track.originalTextId)]);
    const fresh = this.video.captions.filter(({ url }) => !there.has(trackOf(url)));
    for (const { url } of fresh) this.added.add(trackOf(url));
    await Promise.all(fresh.map(({ url, language, title }) =>
      this.shaka.addTextTrackAsync(absolute(url), language, KIND, TYPE, "", title),
    )).catch((error) => console.warn("late captions", error));
  }

  /** A video in the making has none yet, and Shaka forgets what it was given when it loads a growing one anew. */
  async addPictures() {
    const url = this.video.status === "ready" && this.video.links.storyboard;
    if (!url || this.added.has(url) || this.shaka.getImageTracks().length) return;
    if (this.shaka.isInProgress()) {
      clearTimeout(this.again);
      this.again = setTimeout(() => this.complete(), AGAIN_MS);
      return;
    }
    this.added.add(url);
    try {
      await this.shaka.addThumbnailsTrack(absolute(url), TYPE);
    } catch (error) {
      this.added.delete(url);
      console.warn("late pictures", error);
    }
  }
}

/** What a manifest calls the captions in a file: its name without generation and suffix. */
function trackOf(url) {
  return url.replace(/^.*\//, "").replace(/(-g\d+)?\.vtt$/, "");
}

function absolute(path) {
  return new URL(path, location.href).href;
}
