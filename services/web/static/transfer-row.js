// One upload as the page shows it: its name, how far it is, and what can be done with it.

const list = document.getElementById("transfers");
const template = document.getElementById("transfer-template");

export class TransferRow {
  /** `on` has what the buttons do: `pause`, `resume`, `cancel`, `choose`. */
  constructor(name, on) {
    this.name = name;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.part("name").textContent = name;
    this.part("progress").setAttribute("aria-label", `Upload of ${name}`);
    for (const action of ["pause", "resume", "cancel", "choose"]) {
      this.part(action).addEventListener("click", () => on[action]());
    }
    this.label("pause", "Pause the upload of");
    this.label("resume", "Go on with the upload of");
    this.label("cancel", "Cancel the upload of");
    list.append(this.element);
    list.hidden = false;
  }

  part(name) {
    return this.element.querySelector(`[data-${name}]`);
  }

  label(action, words) {
    this.part(action).setAttribute("aria-label", `${words} ${this.name}`);
  }

  say(text) {
    this.part("state").textContent = text;
  }

  /** How much of it has come, 0 to 1. */
  show(fraction) {
    this.part("progress").value = fraction;
  }

  /** Which of the buttons there are, besides the one that ends it. */
  offer(...actions) {
    const focused = this.element.contains(document.activeElement);
    for (const action of ["pause", "resume", "choose"]) this.part(action).hidden = !actions.includes(action);
    if (focused && document.activeElement.hidden) this.part(actions[0] ?? "cancel").focus();
  }

  /** One of `sending`, `paused`, `failed`, `done`. */
  turn(state) {
    this.element.dataset.state = state;
    if (state === "failed") this.element.setAttribute("role", "alert");
    else this.element.removeAttribute("role");
    this.part("cancel").hidden = state === "done";
    this.label("cancel", state === "failed" ? "Dismiss the message about" : "Cancel the upload of");
  }

  leave() {
    this.element.remove();
    list.hidden = !list.childElementCount;
  }
}
