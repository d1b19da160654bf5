// The pad: strokes become ink. What is drawn goes on as bytes, 0 for no ink and 255 for ink.

import { element, press } from "./elements.js";
import { grey } from "./tiles.js";

export const PAD = 280; // pixels of its side
const KEPT = 40; // drawings to go back to
const BRUSHES = { thin: [14, 0.35], middle: [26, 0.65], thick: [42, 1] }; // pixels, and the size of its dot
const ERASER = 44; // pixels: wider than most strokes, so that no faint edge stays

export class Sketch {
  constructor(root, onInk) {
    Object.assign(this, { onInk, before: [] });
    const about = { role: "img", tabindex: 0, "aria-label": "drawing pad, for a mouse, a finger or a pen" };
    this.canvas = element("canvas", { class: "pad", width: PAD, height: PAD, ...about });
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    Object.assign(this.context, { lineCap: "round", lineJoin: "round" });
    const button = (text, name, onclick) =>
      element("button", { type: "button", title: name, "aria-label": name, onclick }, text);
    this.brushes = Object.entries(BRUSHES).map(([name, [width, dot]]) => {
      const brush = button("", `${name} brush`, () => this.choose(width));
      brush.style.setProperty("--dot", `calc(${dot} * var(--u))`);
      return [width, brush];
    });
    this.eraser = button("⌫", "eraser", () => this.erase(!this.isErasing));
    this.undo = button("↶", "undo", () => this.goBack());
    const clear = button("✕", "clear", () => this.change(() => this.lay(new Uint8Array(PAD ** 2))));
    const brushes = this.brushes.map(([, brush]) => brush);
    const tools = element("div", { class: "tools" }, ...brushes, this.eraser, this.undo, clear);
    root.prepend(tools, element("div", { class: "paper" }, this.canvas));
    this.lay(new Uint8Array(PAD ** 2));
    this.choose(BRUSHES.middle[0]);
    this.follow();
  }

  choose(width) {
    this.width = width;
    this.erase(false);
  }

  erase(isErasing) {
    this.isErasing = isErasing;
    press(this.eraser, isErasing);
    for (const [width, brush] of this.brushes) press(brush, !isErasing && width === this.width);
  }

  follow() {
    let pointer = null, last;
    const place = (event) => {
      const box = this.canvas.getBoundingClientRect();
      const inner = (value, edge, size) => ((value - edge) / size) * PAD;
      return [inner(event.clientX, box.left, box.width), inner(event.clientY, box.top, box.height)];
    };
    const drawTo = (event) => {
      const to = place(event);
      this.line(last ?? to, to);
      last = to;
    };
    this.canvas.onpointerdown = (event) => {
      if (event.button || pointer !== null) return;
      pointer = event.pointerId;
      this.canvas.setPointerCapture(pointer);
      this.remember();
      // A stroke on a test image starts a drawing of one's own; the eraser works on the image.
      if (this.isImage && !this.isErasing) this.lay(new Uint8Array(PAD ** 2));
      this.isImage = false;
      last = undefined;
      drawTo(event);
      this.tell();
    };
    this.canvas.onpointermove = (event) => {
      if (event.pointerId !== pointer) return;
      const all = event.getCoalescedEvents?.() ?? [];
      (all.length ? all : [event]).forEach(drawTo);
      this.tell();
    };
    this.canvas.onpointerup = this.canvas.onpointercancel = (event) => {
      if (event.pointerId === pointer) pointer = null;
    };
    this.canvas.oncontextmenu = (event) => event.preventDefault();
  }

  line(from, to) {
    const width = this.isErasing ? ERASER : this.width;
    const style = this.isErasing ? "#000" : "#fff";
    Object.assign(this.context, { strokeStyle: style, lineWidth: width });
    this.context.beginPath();
    this.context.moveTo(...from);
    this.context.lineTo(to[0] + 0.01, to[1]); // a line that goes nowhere is not drawn at all
    this.context.stroke();
  }

  ink() {
    const { data } = this.context.getImageData(0, 0, PAD, PAD);
    return new Uint8Array(new Uint32Array(data.buffer)); // of a pixel's four bytes the lowest, its red
  }

  lay(bytes) {
    this.layImage(bytes, PAD, PAD);
    this.isImage = false;
  }

  // A test image, enlarged: it is only looked at, and the network gets it as it is.
  layImage(bytes, height, width) {
    this.context.imageSmoothingQuality = "high";
    this.context.drawImage(grey(bytes, height, width), 0, 0, PAD, PAD);
    this.isImage = true;
  }

  change(paint) {
    this.remember();
    paint();
    this.tell();
  }

  remember() {
    this.before.push([this.ink(), this.isImage]);
    if (this.before.length > KEPT) this.before.shift();
  }

  goBack() {
    const [ink] = this.before.pop() ?? [];
    if (!ink) return;
    this.lay(ink);
    this.tell();
  }

  tell() {
    this.onInk(this.ink());
  }
}

// What stands beside it: a button for each picture.
export const samplesOf = (pictures, onImage) => pictures.map((picture, i) =>
  element("button", { type: "button", "aria-label": `image ${i}`, onclick: () => onImage(i) }, picture));
