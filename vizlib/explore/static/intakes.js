// Beside the networks: a pad, if they take its ink, and images to choose from.

import { element, press } from "./elements.js";
import { pictureOf } from "./maps.js";
import { Sketch, samplesOf } from "./sketch.js";
import { enlarged } from "./tiles.js";
import { panelOf } from "./verdicts.js";

const SAMPLES = 10; // images beside it

export class Aside {
  constructor(root, { images, shape, takesInk, onInk, onImage }) {
    Object.assign(this, { images, shape });
    const some = images.length > 1 ? images.slice(0, SAMPLES) : [];
    const small = (shares) => enlarged(element("canvas"), pictureOf(panelOf("", shares, shape)));
    this.samples = samplesOf(some.map(small), onImage);
    const about = { class: "samples", role: "group", "aria-label": "images" };
    this.root = element("div", { class: "aside" }, element("div", about, ...this.samples));
    if (takesInk) this.sketch = new Sketch(this.root, onInk);
    root.classList.toggle("beside", takesInk || some.length > 0);
    root.prepend(this.root);
  }

  // What is looked at: an image, or none where something is drawn.
  show(image) {
    this.samples.forEach((button, i) => press(button, i === image));
    if (image === null || !this.sketch) return;
    const bytes = Uint8Array.from(this.images[image], (share) => Math.round(255 * share));
    this.sketch.layImage(bytes, ...this.shape.slice(1));
    this.sketch.isImage = bytes.some(Boolean);
  }
}
