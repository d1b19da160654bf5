// Beside the networks: a pad, if they take its ink, and images to choose from.

import { element } from "./elements.js";
import { Sketch } from "./sketch.js";
import { pictured } from "./tiles.js";
import { pictureOf } from "./verdicts.js";

export const SIDE = 280; // pixels of the pad
const SAMPLES = 10; // images beside it

export class Aside {
  constructor(root, { images, shape, takesInk, onInk, onImage }) {
    Object.assign(this, { images, shape });
    const some = images.length > 1 ? images.slice(0, SAMPLES) : [];
    this.samples = some.map((shares, i) => {
      const about = { type: "button", "aria-label": `image ${i}`, onclick: () => onImage(i) };
      return element("button", about, sample(shares, shape));
    });
    const about = { class: "samples", role: "group", "aria-label": "images" };
    const group = element("div", about, ...this.samples);
    this.root = element("div", { class: "aside" }, group);
    if (takesInk) this.sketch = new Sketch(this.root, SIDE, onInk);
    root.classList.toggle("beside", takesInk || some.length > 0);
    root.prepend(this.root);
  }

  // What is looked at: an image, or none where something is drawn.
  show(image) {
    this.samples.forEach((button, i) => button.setAttribute("aria-pressed", String(i === image)));
    if (image === null || !this.sketch) return;
    const bytes = Uint8Array.from(this.images[image], (share) => Math.round(255 * share));
    this.sketch.layImage(bytes, ...this.shape.slice(1));
    this.sketch.isImage = bytes.some(Boolean);
  }
}

function sample(shares, shape) {
  const { shape: [height, width, depth], values } = pictureOf("", shares, shape);
  const small = element("canvas", { width, height });
  const part = (i, c) => values[i * depth + Math.min(c, depth - 1)];
  small.getContext("2d").drawImage(pictured(width, height, (pixels) => {
    for (let i = 0; i < pixels.length; i++) {
      pixels[i] = (255 << 24) | (part(i, 2) << 16) | (part(i, 1) << 8) | part(i, 0);
    }
  }), 0, 0);
  return small;
}
