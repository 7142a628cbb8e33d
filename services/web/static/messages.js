// Short messages at the edge, and the one question that is asked.

const SHOWN_MS = 5000;

export function toast(text, { failed = false } = {}) {
  const message = document.createElement("div");
  message.className = failed ? "toast failed" : "toast";
  message.textContent = text;
  document.getElementById("toasts").append(message);
  setTimeout(() => message.remove(), SHOWN_MS);
}

/** Ask whether a video is to be deleted; resolves to the answer. */
export function confirmDelete(title) {
  const dialog = document.getElementById("delete-dialog");
  dialog.querySelector("[data-title]").textContent = title;
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "delete"), { once: true });
  });
}
