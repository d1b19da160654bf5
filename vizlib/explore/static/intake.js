// Where images come from: the pad, and beside it the view's own images.

import { element } from "./elements.js";
import { bytes } from "./numbers.js";
import { Sketch } from "./sketch.js";

const SIDE_OF_PAD = 280; // pixels
const MOST_SAMPLES = 24; // images that stand beside the pad; a slider goes through all of them

export class Intake {
  constructor(root, samples, state, actions) {
    const { images, data } = state,
      count = data.isPad ? 0 : Math.min(images.count, MOST_SAMPLES);
    Object.assign(this, { state, actions });
    const numbers = Array.from({ length: count }, (_, i) => i);
    this.samples = numbers.map((i) => sample(images.picture(i), i, () => actions.showImage(i)));
    samples.append(...this.samples);
    samples.hidden = !count;
    root.classList.toggle("many", count > 10);
    root.classList.toggle("looking", !this.takesInk);
    if (!this.takesInk) return;
    this.sketch = actions.sketch = new Sketch(root, SIDE_OF_PAD, (ink) => actions.showInk(ink, SIDE_OF_PAD));
    if (!data.isPad) this.sketch.layImage(images.bytes(state.place.image), ...images.size);
  }

  // A recording answers no drawing.
  get takesInk() {
    const { images, fed, isPage } = this.state;
    return images.takesInk && !(fed && isPage);
  }

  // A pad opens with what was drawn on it or given to it, or empty.
  open(model) {
    if (!this.sketch || !model.get("drawn")) return;
    const given = bytes(model.get("given")),
      ink = bytes(model.get("ink"));
    if (given.length) return this.actions.showGiven(given);
    if (ink.length) this.sketch.lay(ink);
    this.actions.showInk(this.sketch.ink(), SIDE_OF_PAD);
  }

  paint() {
    const { image } = this.state.place;
    this.samples.forEach((button, i) => button.setAttribute("aria-pressed", String(i === image)));
  }
}

const sample = (picture, i, onclick) =>
  element("button", { type: "button", "aria-label": `image ${i}`, onclick }, picture);
