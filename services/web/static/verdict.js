// What came of looking at a finished video as a whole, in a sentence.

import { call } from "./http.js";

/** Shows the sentence of each new verdict; the details of the former one are of no use. */
export class VerdictNote {
  constructor(note, id) {
    this.note = note;
    this.id = id;
    this.verdict = note.dataset.verdict || null;
    if (this.verdict) this.tell();
  }

  show({ verdict }) {
    const known = verdict === this.verdict;
    this.verdict = verdict;
    this.note.hidden = !verdict;
    if (verdict && !known) this.tell();
  }

  async tell() {
    try {
      this.note.textContent = sentence(await call("GET", `/api/videos/${this.id}/verification`));
    } catch (problem) {
      console.warn("verification", problem);
    }
  }
}

function sentence({ verdict, faults, faults_untold: untold }) {
  const mended = faults.filter(({ outcome }) => outcome === "mended").length;
  const left = faults.length - mended + untold;
  if (verdict === "sound") return mended ? `Checked: ${counted(mended)} found and mended.` : "Checked: all is well.";
  if (verdict === "faulty") return `Checked: ${counted(left)} could not be mended${where(faults)}.`;
  return "Checked: nothing wrong was seen, but not everything could be looked at.";
}

function counted(faults) {
  return faults === 1 ? "1 fault" : `${faults} faults`;
}

/** Which tracks somebody may want to know of. */
function where(faults) {
  const tracks = new Set(faults.filter(({ outcome, track }) => track && outcome !== "mended").map(({ track }) => track));
  return tracks.size ? ` (${[...tracks].join(", ")})` : "";
}
