// Where images come from: the pad, and beside it the view's own images.

import { press } from "./elements.js";
import { bytes } from "./numbers.js";
import { PAD, Sketch, samplesOf } from "./sketch.js";

const MOST_SAMPLES = 24; // images that stand beside the pad; a slider goes through all of them

export class Intake {
  constructor(root, samples, state, actions) {
    const { images, data } = state, count = data.isPad ? 0 : Math.min(images.count, MOST_SAMPLES);
    Object.assign(this, { state, actions });
    const pictures = Array.from({ length: count }, (_, i) => images.picture(i));
    this.samples = samplesOf(pictures, (i) => actions.showImage(i));
    samples.append(...this.samples);
    samples.hidden = !count;
    root.classList.toggle("many", count > 10);
    root.classList.toggle("looking", !this.takesInk);
    if (!this.takesInk) return;
    this.sketch = actions.sketch = new Sketch(root, (ink) => actions.showInk(ink, PAD));
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
    const given = bytes(model.get("given")), ink = bytes(model.get("ink"));
    if (given.length) return this.actions.showGiven(given);
    if (ink.length) this.sketch.lay(ink);
    this.actions.showInk(this.sketch.ink(), PAD);
  }

  paint() {
    this.samples.forEach((button, i) => press(button, i === this.state.place.image));
  }
}
