// Where images come from: the pad, and beside it the page's own images.

import { element } from "./elements.js";
import { Sketch } from "./sketch.js";

const SIDE_OF_PAD = 280; // pixels

export class Intake {
  constructor(root, samples, state, actions) {
    const { images } = state;
    this.state = state;
    this.samples = images.bytes.map((_, i) => sample(images.picture(i), i, () => actions.showImage(i)));
    samples.append(...this.samples);
    root.classList.toggle("many", this.samples.length > 10);
    root.classList.toggle("looking", !images.takesInk);
    if (!images.takesInk) return;
    this.sketch = actions.sketch = new Sketch(root, SIDE_OF_PAD, (ink) => actions.showInk(ink, SIDE_OF_PAD));
    this.sketch.layImage(images.bytes[0], ...images.size);
    // A pad that opens empty has no image beside it.
    this.opensEmpty = images.inputs.length === 1 && !images.bytes[0].some(Boolean);
    if (!this.opensEmpty) return;
    this.sketch.isImage = false;
    samples.hidden = true;
  }

  paint() {
    const { image } = this.state.place;
    this.samples.forEach((button, i) => button.setAttribute("aria-pressed", String(i === image)));
  }
}

const sample = (picture, i, onclick) =>
  element("button", { type: "button", "aria-label": `image ${i}`, onclick }, picture);
