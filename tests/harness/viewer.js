// Runs in every page of a test's viewer: what its video went through, and which pictures it showed.

(() => {
  const BITS = 11; // as in tests/harness/numbered.py
  const STRIP = 12; // the strip is a twelfth of the picture's height
  const SEEK_DEADLINE_MS = 30_000;
  const EVENTS = ["loadedmetadata", "playing", "waiting", "stalled", "ended", "error"];

  const events = [];
  const violations = [];
  const pictures = [];
  // Without smoothing each bit is read at the middle of its box.
  const pen = new OffscreenCanvas(BITS, 1).getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingEnabled = false;

  const video = () => document.querySelector("video");

  document.addEventListener("securitypolicyviolation", (event) => {
    violations.push(`${event.violatedDirective} ${event.blockedURI}`);
  });
  // Media events do not bubble, but they are captured on their way.
  for (const name of EVENTS) document.addEventListener(name, (event) => {
    if (event.target === video()) events.push(name);
  }, true);

  /** The picture that is shown now: the number in it, and the time that it belongs to. */
  function picture() {
    const frame = new VideoFrame(video());
    pen.drawImage(frame, 0, 0, frame.displayWidth, frame.displayHeight / STRIP, 0, 0, BITS, 1);
    const { data } = pen.getImageData(0, 0, BITS, 1);
    const bits = Array.from({ length: BITS }, (_, bit) => (data[4 * bit] > 127 ? 1 << bit : 0));
    const seen = { number: bits.reduce((sum, bit) => sum + bit), time_s: frame.timestamp / 1e6 };
    frame.close();
    return seen;
  }

  function note() {
    pictures.push(picture());
    video().requestVideoFrameCallback(note);
  }

  function ranges(buffered) {
    return Array.from({ length: buffered.length }, (_, index) => [buffered.start(index), buffered.end(index)]);
  }

  function state() {
    const shown = video();
    const quality = shown.getVideoPlaybackQuality();
    return {
      position_s: shown.currentTime,
      duration_s: shown.duration,
      ended: shown.ended,
      width: shown.videoWidth,
      height: shown.videoHeight,
      buffered: ranges(shown.buffered),
      decoded: quality.totalVideoFrames,
      corrupted: quality.corruptedVideoFrames,
      error: shown.error?.message ?? null,
      events,
    };
  }

  /** Go to the middle of a picture's time, and read what is shown once that time is. */
  async function seek(frame, fps) {
    video().currentTime = (frame + 0.5) / fps;
    const end = performance.now() + SEEK_DEADLINE_MS;
    while (performance.now() < end) {
      await new Promise(requestAnimationFrame);
      // Between two pictures, a busy machine may have none for a while.
      if (video().readyState < HTMLMediaElement.HAVE_CURRENT_DATA) continue;
      const seen = picture();
      if (Math.round(seen.time_s * fps) === frame) return seen.number;
    }
    throw new Error(`picture ${frame} was never shown`);
  }

  window.viewer = {
    state,
    seek,
    violations,
    picture,
    pictures,
    notePictures: () => video().requestVideoFrameCallback(note),
  };
})();
