// What a click on the input does: it asks who reads a pixel, or paints one; a number can be typed.

import { css, statistics } from "./numbers.js";
import { element, press } from "./elements.js";
import { colourOf, inkOn, say } from "./sliding_numbers.js";

const SWATCHES = 5; // whole numbers that have a swatch each

export class Tools {
  // `act.paint(pixel, value)` changes a pixel, `act.change()` is told when another tool is taken.
  constructor(act, look) {
    Object.assign(this, { act, look, isPainting: false, brush: 0, brushes: [] });
    const button = (text, paints) =>
      element("button", { type: "button", onclick: () => this.take(paints) }, text);
    this.ask = button("Who reads it?", false);
    this.paint = button("Paint", true);
    const both = { class: "tie", role: "group", "aria-label": "what a click on the input does" };
    this.swatches = element("span", { class: "tie", role: "group", "aria-label": "value to paint" });
    const kind = { type: "text", inputmode: "decimal", autocomplete: "off" };
    this.field = element("input", { ...kind, "aria-label": "value of the pixel" });
    this.field.oninput = () => this.typed(this.field.value);
    this.pixel = element("label", { class: "pixel" }, "pixel ", this.field);
    const kinds = element("span", both, this.ask, this.paint);
    this.root = element("div", { class: "tools" }, kinds, this.swatches, this.pixel);
    this.take(false);
  }

  take(isPainting) {
    this.isPainting = isPainting;
    press(this.ask, !isPainting);
    press(this.paint, isPainting);
    this.swatches.hidden = !isPainting;
    this.act.change();
  }

  // The pixel that was asked for can be typed; `asked` is null where none was, or where it is padding.
  showPixel(asked, value) {
    this.asked = asked;
    this.pixel.hidden = asked === null || this.isPainting;
    if (asked !== null && !this.field.matches(":focus")) this.field.value = say(value);
  }

  typed(text) {
    const value = Number.parseFloat(text.replace("−", "-").replace(",", "."));
    if (this.asked !== null && Number.isFinite(value)) this.act.paint(this.asked, value);
  }

  // A digit that is pressed on the input: whole numbers as they are, else ninths of the whitest value.
  valueOf(key) {
    if (!/^\d$/.test(key)) return null;
    return this.isWhole ? Number(key) : this.low + (Number(key) / 9) * (this.high - this.low);
  }

  // The values to paint with are those of the map.
  showBrushes(values, limit) {
    const { min, max } = statistics(values);
    this.isWhole = values.every(Number.isInteger) && max - min < 2 * SWATCHES;
    [this.low, this.high] = [min, max > min ? max : min + 1];
    const count = Math.min(SWATCHES, Math.floor(this.high - this.low) + 1);
    const brushes = this.isWhole
      ? Array.from({ length: count }, (_, i) => this.high - count + 1 + i)
      : [this.low, (this.low + this.high) / 2, this.high];
    if (String(brushes) === String(this.brushes)) return;
    this.brushes = brushes;
    this.brush = brushes.at(-1);
    this.swatches.replaceChildren(...brushes.map((value) => this.swatchOf(value, limit)));
    this.mark();
  }

  swatchOf(value, limit) {
    const packed = colourOf(value, limit, this.look.packed),
      name = `paint ${say(value)}`;
    const given = { type: "button", class: "swatch", "aria-label": name, title: name };
    const button = element("button", { ...given, onclick: () => this.choose(value) }, say(value, 2));
    Object.assign(button.style, { background: css(packed), color: inkOn(packed) });
    return button;
  }

  choose(value) {
    this.brush = value;
    this.mark();
  }

  mark() {
    [...this.swatches.children].forEach((one, i) => press(one, this.brushes[i] === this.brush));
  }
}
