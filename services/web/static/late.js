// Captions that a video got after its manifest was loaded: Shaka would find them only by loading again.

const KIND = "subtitles";
const TYPE = "text/vtt";

export class LateTracks {
  constructor() {
    this.shaka = null;
    this.video = null;
    this.added = new Set();
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
    const there = new Set([...this.added, ...this.shaka.getTextTracks().map((track) => track.originalTextId)]);
    const fresh = this.video.captions.filter(({ url }) => !there.has(trackOf(url)));
    for (const { url } of fresh) this.added.add(trackOf(url));
    await Promise.all(fresh.map(({ url, language, title }) =>
      this.shaka.addTextTrackAsync(absolute(url), language, KIND, TYPE, "", title),
    )).catch((error) => console.warn("late captions", error));
  }
}

/** What a manifest calls the captions in a file: its name without generation and suffix. */
function trackOf(url) {
  return url.replace(/^.*\//, "").replace(/(-g\d+)?\.vtt$/, "");
}

function absolute(path) {
  return new URL(path, location.href).href;
}
