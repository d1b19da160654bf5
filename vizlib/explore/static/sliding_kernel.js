// The weights that are shown, as numbers to be typed, dragged (up is more) and stepped by arrow keys.

import { css, inCell, statistics, within } from "./numbers.js";
import { element } from "./elements.js";
import { colourOf, inkOn, letteringOf, say } from "./sliding_numbers.js";

const STEP = 8, // pixels of a drag that change a weight
  HEAVIEST = 9999; // of a weight that is typed
const HELP = "type, drag up or down, or press ↑ ↓; ← → go to the next weight";

export class KernelCells {
  // `change(i, value)` is told what weight number i of the kernel shall be.
  constructor(change, look) {
    Object.assign(this, { change, look, values: [], shape: [0, 0] });
    this.root = element("div", { class: "kernel", role: "group", "aria-label": "weights of the kernel" });
    this.pen = new OffscreenCanvas(1, 1).getContext("2d");
  }

  show(values, [rows, columns], cell) {
    Object.assign(this, { values, columns, cell });
    const letters = letteringOf(values, cell, this.look.font, this.pen) ?? { px: 0, places: 2 };
    this.root.style.gridTemplate = `repeat(${rows}, ${cell}px) / repeat(${columns}, ${cell}px)`;
    while (this.root.children.length > values.length) this.root.lastChild.remove();
    while (this.root.children.length < values.length)
      this.root.append(this.cellAt(this.root.children.length));
    const limit = statistics(values).peak || 1;
    [...this.root.children].forEach((input, i) => {
      const packed = colourOf(values[i], limit, this.look.packed);
      if (!input.matches(":focus")) input.value = letters.px ? inCell(values[i], letters.places) : "";
      const style = { background: css(packed), color: inkOn(packed), fontSize: `${letters.px || 11}px` };
      Object.assign(input.style, style);
      const [row, column] = [Math.floor(i / columns), i % columns];
      input.setAttribute("aria-label", `weight in row ${row}, column ${column}: ${say(values[i])}`);
    });
    if (!this.root.querySelector("[tabindex='0']")) this.root.children[0].tabIndex = 0;
  }

  light(which) {
    [...this.root.children].forEach((input, i) => input.classList.toggle("lit", i === which));
  }

  cellAt(i) {
    const kind = { type: "text", inputmode: "decimal", autocomplete: "off" };
    const input = element("input", { ...kind, title: HELP, tabindex: -1 });
    input.onfocus = () => {
      for (const other of this.root.children) other.tabIndex = other === input ? 0 : -1;
      input.value = say(this.values[i]);
      input.select();
    };
    input.oninput = () => this.put(i, Number.parseFloat(input.value.replace("−", "-").replace(",", ".")));
    input.onblur = () => this.show(this.values, [this.values.length / this.columns, this.columns], this.cell);
    input.onkeydown = (event) => this.press(event, i, input);
    this.drag(i, input);
    return input;
  }

  put(i, value) {
    if (Number.isFinite(value)) this.change(i, within(value, -HEAVIEST, HEAVIEST));
  }

  // A step that suits the other weights: whole numbers move by 1.
  get unit() {
    return statistics(this.values).peak < 1.5 ? 0.1 : 1;
  }

  by(i, input, amount) {
    this.put(i, Math.round((this.values[i] + amount) * 1000) / 1000);
    input.value = say(this.values[i]);
    input.select();
  }

  press(event, i, input) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.stopPropagation(); // JupyterLab has keys of its own
    const up = { ArrowUp: 1, ArrowDown: -1 }[event.key],
      beside = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const isAllChosen = input.selectionEnd - input.selectionStart === input.value.length;
    if (up) this.by(i, input, up * (event.shiftKey ? 0.1 : this.unit));
    else if (beside && isAllChosen) this.root.children[i + beside]?.focus();
    else if (event.key === "Enter") input.blur();
    else return;
    event.preventDefault();
  }

  drag(i, input) {
    let start = null;
    input.onpointerdown = (event) => {
      start = { y: event.clientY, value: this.values[i], unit: this.unit / 2 };
      input.setPointerCapture(event.pointerId);
    };
    input.onpointermove = (event) => {
      if (!start || !event.buttons || Math.abs(event.clientY - start.y) < STEP / 2) return;
      const steps = Math.round((start.y - event.clientY) / STEP);
      this.put(i, Math.round((start.value + steps * start.unit) * 1000) / 1000);
      input.value = say(this.values[i]);
    };
    input.onpointerup = input.onpointercancel = () => (start = null);
  }
}
