// Sliders of the browser's own, each with a step back and a step on, all on one grid.

import { element, put } from "./elements.js";
import { within } from "./numbers.js";

export class Slider {
  constructor(name, onMove, { max = 0, step = 1 } = {}) {
    this.input = element("input", { type: "range", min: 0, max, step, id: `slide-${name}` });
    this.label = element("label", { for: `slide-${name}` }, name);
    this.output = element("output", { for: `slide-${name}` });
    this.onMove = onMove;
    const by = (sign, text) => {
      const title = `${sign < 0 ? "previous" : "next"} ${name}`, about = { title, "aria-label": title };
      const onclick = () => this.move(Number(this.input.value) + sign * step);
      return element("button", { type: "button", class: "step", ...about, onclick }, text);
    };
    this.input.oninput = () => this.move(Number(this.input.value));
    const parts = [this.label, by(-1, "‹"), this.input, by(1, "›"), this.output];
    this.root = element("div", { class: "field" }, ...parts);
  }

  move(value) {
    this.onMove(within(value, 0, Number(this.input.max)));
  }

  show(value, max, words, name) {
    if (this.input.max !== String(max)) this.input.max = max;
    if (this.input.value !== String(value)) this.input.value = value;
    this.input.style.setProperty("--at", `${max ? (100 * value) / max : 0}%`);
    this.input.setAttribute("aria-valuetext", words);
    put(this.output, words.replaceAll(".", ".\u200b")); // a long name breaks at its dots
    if (name) put(this.label, name);
  }
}
