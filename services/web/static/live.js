// Following videos by server-sent events, while anybody looks at the page.

/**
 * Call `handlers.video(record)` and `handlers.deleted(id)` as things change, and `handlers.opened()` each time
 * the stream begins: what happened before that was not heard. A hidden page does not listen, since browsers
 * allow few connections to one server.
 */
export function follow(path, handlers) {
  let source = null;
  let stopped = false;

  const open = () => {
    if (source || stopped || document.hidden) return;
    source = new EventSource(path);
    source.addEventListener("open", () => handlers.opened?.());
    source.addEventListener("video", (event) => handlers.video(JSON.parse(event.data)));
    source.addEventListener("deleted", (event) => handlers.deleted(JSON.parse(event.data).id));
    source.addEventListener("error", () => {
      // The browser connects again by itself, except after an answer that is no stream (503, say).
      if (source?.readyState === EventSource.CLOSED) {
        close();
        setTimeout(open, 3000);
      }
    });
  };
  const close = () => {
    source?.close();
    source = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", open);
  open();
  return () => {
    stopped = true;
    close();
  };
}
