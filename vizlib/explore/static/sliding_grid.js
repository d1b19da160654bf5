// A grid of numbers: colours, numbers where they fit, marks on top. A pointer or the arrow keys say
// where, and a cell that is too small for a number is still a cell.

import { ARROWS, element } from "./elements.js";
import { css, inCell, within } from "./numbers.js";
import { colourOf, inkOn, letteringOf } from "./sliding_numbers.js";
import { atlasOf, sized } from "./tiles.js";

const EDGE = 8; // pixels around the cells, where a frame may reach
const SPOKEN = 49; // numbers that are said
const LINED = 9, // pixels of a cell that has lines around it
  DENSE = 24; // and of one whose lines are faint, or one would see nothing but lines

export class Grid {
  constructor(name, look, { pick, over, type } = {}) {
    Object.assign(this, { name, look, pick, over, type, rows: 0, columns: 0, cell: 1, cursor: null });
    this.marks = () => {};
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.root = element("div", { class: "grid", role: pick ? "application" : "img" }, this.canvas);
    this.base = new OffscreenCanvas(1, 1);
    if (pick) this.listen();
  }

  listen() {
    const { root } = this;
    root.tabIndex = 0;
    root.setAttribute("aria-roledescription", "grid of numbers");
    root.onpointerdown = (event) => this.point(event, "down");
    root.onpointermove = (event) =>
      event.buttons & 1 ? this.point(event, "drag") : this.over?.(this.at(event));
    root.onpointerleave = () => this.over?.(null);
    root.onfocus = root.onblur = () => this.draw();
    root.onkeydown = (event) => this.press(event);
  }

  point(event, how) {
    const cell = event.button > 0 ? null : this.at(event);
    if (!cell) return;
    this.cursor = cell;
    this.pick(cell, how);
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = ARROWS[event.key],
      [row, column] = this.cursor ?? [0, 0];
    if (move) {
      const inside = (at, count) => within(at, 0, count - 1);
      this.cursor = [inside(row + move[0], this.rows), inside(column + move[1], this.columns)];
      this.pick(this.cursor, "key");
    } else if (event.key === "Enter" || event.key === " ") this.pick([row, column], "enter");
    else if (!this.type?.(event.key, [row, column])) return;
    event.preventDefault();
    event.stopPropagation();
  }

  // The cell under a pointer, or null.
  at(event) {
    const box = this.root.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / this.cell),
      row = Math.floor((event.clientY - box.top) / this.cell);
    return row >= 0 && column >= 0 && row < this.rows && column < this.columns ? [row, column] : null;
  }

  // Where a cell lies on the stage.
  box([row, column], stage) {
    const own = this.root.getBoundingClientRect(),
      all = stage.getBoundingClientRect();
    const [x, y] = [own.left - all.left, own.top - all.top];
    return { x: x + column * this.cell, y: y + row * this.cell, side: this.cell };
  }

  // `blank(i)` are cells without a value yet, `outside` is how many cells on each
  // side are padding, or `padded` says it of each cell.
  set(given) {
    Object.assign(this, { blank: null, outside: null, padded: null, isPlain: false, fade: 1 }, given);
    const { look, columns, rows, cell } = this;
    if (this.lettered !== this.values || this.letteredAt !== cell) {
      const context = this.canvas.getContext("2d");
      this.letters = letteringOf(this.values, cell, look.font, context);
      Object.assign(this, { lettered: this.values, letteredAt: cell });
    }
    const [wide, high] = [columns * cell + 2 * EDGE, rows * cell + 2 * EDGE];
    this.canvas.style.cssText = `width:${wide}px;height:${high}px`;
    this.paintBase(wide, high);
    const keys = this.pick ? "; arrow keys move" : "",
      says = `${this.name}, ${rows} rows, ${columns} columns${keys}${this.spoken}`;
    if (this.root.getAttribute("aria-label") !== says) this.root.setAttribute("aria-label", says);
  }

  // The numbers of a small grid for those who do not see it, row by row.
  get spoken() {
    const { columns, values, letters, blank } = this;
    if (values.length > SPOKEN) return "";
    const text = (value, i) =>
      blank?.(i) || Number.isNaN(value) ? "…" : inCell(value, letters?.places ?? 2);
    const texts = Array.from(values, text);
    const rows = texts.flatMap((_, i) => (i % columns ? [] : [texts.slice(i, i + columns).join(", ")]));
    return `: ${rows.join("; ")}`;
  }

  paintBase(wide, high) {
    const context = sized(this.base, wide, high),
      { columns, rows, cell, values, limit, look, fade, blank } = this;
    context.translate(EDGE, EDGE);
    context.globalAlpha = fade;
    const shape = { count: 1, height: rows, width: columns };
    const picture = atlasOf(values, shape, 1, () => limit, look.packed);
    context.fillStyle = look.faint;
    context.fillRect(0, 0, columns * cell, rows * cell);
    context.drawImage(picture, 0, 0, columns * cell, rows * cell);
    if (this.outside || this.padded?.some(Boolean)) this.hatch(context);
    for (let i = 0; i < values.length; i++) {
      if (blank?.(i) || Number.isNaN(values[i])) this.fill(context, i, look.faint);
    }
    if (cell >= LINED) this.paintLines(context);
    if (this.letters && !this.isPlain) this.paintNumbers(context);
  }

  // One cell in another colour, within its lines.
  repaint(context, i, packed) {
    const { columns, cell, letters } = this,
      line = cell >= LINED ? 0.5 : 0;
    const [x, y, side] = [(i % columns) * cell, Math.floor(i / columns) * cell, cell - 2 * line];
    context.fillStyle = css(packed);
    context.fillRect(x + line, y + line, side, side);
    if (letters && !this.isPlain) this.write(context, i, this.values[i], inkOn(packed), 400);
  }

  fill(context, i, style) {
    const { columns, cell } = this;
    context.fillStyle = style;
    context.fillRect((i % columns) * cell, Math.floor(i / columns) * cell, cell, cell);
  }

  // Padding is no pixel: where it is zero it has no colour, and it is hatched in any case.
  hatch(context) {
    const { columns, rows, cell, look } = this,
      area = new Path2D();
    if (this.padded) {
      this.padded.forEach((is, i) => {
        if (is) area.rect((i % columns) * cell, Math.floor(i / columns) * cell, cell, cell);
      });
    } else {
      const [top, right, bottom, left] = this.outside;
      area.rect(0, 0, columns * cell, rows * cell);
      area.rect(left * cell, top * cell, (columns - left - right) * cell, (rows - top - bottom) * cell);
    }
    context.save();
    context.clip(area, "evenodd");
    context.globalAlpha *= this.isCopied ? 0.45 : 1;
    context.fillStyle = look.faint;
    context.fillRect(0, 0, columns * cell, rows * cell);
    Object.assign(context, { strokeStyle: look.hatch, lineWidth: 1.2 });
    context.beginPath();
    for (let x = -rows * cell; x < columns * cell; x += 7) {
      context.moveTo(x, rows * cell);
      context.lineTo(x + rows * cell, 0);
    }
    context.stroke();
    context.restore();
  }

  isOutside(i) {
    if (this.padded) return this.padded[i];
    if (!this.outside) return false;
    const [top, right, bottom, left] = this.outside,
      row = Math.floor(i / this.columns),
      column = i % this.columns;
    return row < top || row >= this.rows - bottom || column < left || column >= this.columns - right;
  }

  paintLines(context) {
    const { columns, rows, cell, look } = this;
    context.save();
    if (cell < DENSE) context.globalAlpha *= 0.45;
    Object.assign(context, { strokeStyle: look.line, lineWidth: 1 });
    context.beginPath();
    for (let c = 0; c <= columns; c++) {
      context.moveTo(c * cell, 0);
      context.lineTo(c * cell, rows * cell);
    }
    for (let r = 0; r <= rows; r++) {
      context.moveTo(0, r * cell);
      context.lineTo(columns * cell, r * cell);
    }
    context.stroke();
    context.restore();
  }

  paintNumbers(context) {
    this.values.forEach((value, i) => {
      if (!this.blank?.(i) && !Number.isNaN(value)) this.paintNumber(context, i, value, this.isOutside(i));
    });
  }

  paintNumber(context, i, value, isOutside) {
    const { look, limit } = this;
    const isGrey = isOutside && !this.isCopied;
    const ink = isGrey ? look.quiet : isOutside ? look.ink : inkOn(colourOf(value, limit, look.packed));
    this.write(context, i, value, ink, isOutside ? 400 : 600);
  }

  write(context, i, value, ink, weight) {
    const { columns, cell, letters, look } = this;
    Object.assign(context, { fillStyle: ink, font: `${weight} ${letters.px}px ${look.font}` });
    Object.assign(context, { textAlign: "center", textBaseline: "middle" });
    const [x, y] = [(i % columns) + 0.5, Math.floor(i / columns) + 0.52];
    context.fillText(inCell(value, letters.places), x * cell, y * cell);
  }

  // The cells as they are, and what is marked in this moment.
  draw() {
    const size = [this.columns, this.rows].map((count) => count * this.cell + 2 * EDGE);
    const context = sized(this.canvas, ...size);
    context.drawImage(this.base, 0, 0, ...size);
    context.translate(EDGE, EDGE);
    this.marks(context, this);
    if (!this.cursor || !this.root.matches(":focus-visible")) return;
    const [row, column] = this.cursor, { cell, look } = this;
    frame(context, [column * cell, row * cell, cell, cell], look.ink, look, 2, [3, 3]);
  }
}

// A frame that shows on white and on navy alike: a halo lies under it.
export function frame(context, box, style, look, width = 3, dash = []) {
  context.lineJoin = "round";
  context.setLineDash(dash);
  if (!dash.length) {
    Object.assign(context, { strokeStyle: look.halo, lineWidth: width + 2.5 });
    context.strokeRect(...box);
  }
  Object.assign(context, { strokeStyle: style, lineWidth: width });
  context.strokeRect(...box);
  context.setLineDash([]);
}

// A single cell with its number, somewhere on the way.
export function paintCell(context, { x, y, side }, value, { limit, letters, look, isPadding = false }) {
  const packed = colourOf(value, limit, look.packed);
  context.fillStyle = isPadding ? look.faint : css(packed);
  context.fillRect(x, y, side, side);
  if (!letters || side < 18) return;
  context.fillStyle = isPadding ? look.quiet : inkOn(packed);
  context.font = `600 ${Math.min(letters.px, side * 0.45)}px ${look.font}`;
  Object.assign(context, { textAlign: "center", textBaseline: "middle" });
  context.fillText(inCell(value, letters.places), x + side / 2, y + side * 0.52);
}
