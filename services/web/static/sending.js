// Two ways to send a file: by tus in parts, which goes on after whatever broke it off, and as a form.

import { sentence } from "./http.js";

export const ENDPOINT = new URL("/uploads", location.href).href;

const RETRY_MS = [0, 1000, 3000, 5000, ...Array(60).fill(10_000)];
const BROKEN = "The connection is lost.";

/** Whether this browser and this page can go on with what broke off. */
export function canResume() {
  return Boolean(window.tus?.isSupported);
}

/**
 * Sends a file by tus 1.0.0. `hooks` are told what happens: `progress(sent, total)`, `stalled()` when it is tried
 * again, `done(id)`, and `failed(text, again)`, where `again` says whether starting again may help.
 */
export class ResumableSending {
  constructor(file, partBytes, hooks) {
    this.wanted = false;
    this.refused = false;
    this.upload = new window.tus.Upload(file, {
      endpoint: ENDPOINT,
      chunkSize: partBytes,
      retryDelays: RETRY_MS,
      removeFingerprintOnSuccess: true,
      metadata: { filename: file.name, filetype: file.type },
      onProgress: hooks.progress,
      onShouldRetry: (error) => {
        const again = mayPass(error);
        if (again) hooks.stalled();
        return again;
      },
      onSuccess: () => hooks.done(this.upload.url.split("/").pop()),
      onError: (error) => {
        this.refused = !mayPass(error);
        hooks.failed(words(error), !this.refused);
      },
    });
  }

  get url() {
    return this.upload.url;
  }

  /** Begin, or go on: also with what an earlier page has begun of the same file. */
  async start() {
    this.wanted = true;
    if (!this.url) {
      const [earlier] = await this.upload.findPreviousUploads();
      if (earlier) this.upload.resumeFromPreviousUpload(earlier);
    }
    if (this.wanted) this.upload.start();
  }

  pause() {
    this.wanted = false;
    return this.upload.abort();
  }

  /** Stop, and have nobody remember it. */
  async cancel() {
    await this.pause();
    if (this.url) await discard(this.url, { known: !this.refused });
  }
}

/**
 * Forget an upload, here and, if it is `known` there, on the server: where that cannot be reached it does so by
 * itself, later.
 */
export async function discard(url, { known = true } = {}) {
  const storage = window.tus.defaultOptions.urlStorage;
  const entries = (await storage.findAllUploads()).filter(({ uploadUrl }) => uploadUrl === url);
  await Promise.all(entries.map(({ urlStorageKey }) => storage.removeUpload(urlStorageKey)));
  if (known) await window.tus.Upload.terminate(url).catch(() => {});
}

/** Sends a file in a single request, which cannot be continued. Hooks as above. */
export class PlainSending {
  constructor(file, action, hooks) {
    this.file = file;
    this.action = action;
    this.hooks = hooks;
    this.request = null;
  }

  async start() {
    const request = new XMLHttpRequest();
    this.request = request;
    const body = new FormData();
    body.append("file", this.file);
    request.open("POST", this.action);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", ({ loaded, total }) => this.hooks.progress(loaded, total));
    request.addEventListener("load", () => this.finish(request));
    request.addEventListener("error", () => this.hooks.failed(BROKEN, true));
    request.send(body);
  }

  finish(request) {
    if (request.status === 201) this.hooks.done(JSON.parse(request.responseText).id);
    else this.hooks.failed(sentence(request.status, request.responseText), false);
  }

  async cancel() {
    this.request?.abort();
  }
}

/** Whether the same request may be taken the next time: the server is away, or busy with the one before. */
function mayPass({ originalResponse: answer }) {
  const status = answer?.getStatus() ?? 0;
  return !status || status >= 500 || [408, 409, 423, 429].includes(status);
}

function words({ originalResponse: answer }) {
  return answer?.getStatus() ? sentence(answer.getStatus(), answer.getBody()) : BROKEN;
}
