// What the browser holds: the frames that it has seen, and those that are likely to come next.

import { tell } from "./kernel.js";
import { bytes, floats } from "./numbers.js";

const HOLD = 64 << 20; // bytes
const AHEAD = 6; // places fetched at once, to both sides along the slider that moved last

export class Frames {
  constructor(model) {
    this.model = model;
    this.arrived = new Set(); // called whenever something new is here
    this.waiting = false;
    this.moved = 0; // which slider moved last
    this.open();
    model.on("change:frames", () => {
      this.open();
      this.tell();
    });
    model.on("msg:custom", (content, buffers) => this.receive(content, buffers));
  }

  open() {
    this.held = new Map(); // place → frame, the least recently seen first
    this.bytes = 0;
    for (const frame of this.model.get("frames")) this.keep(frame);
  }

  tell() {
    for (const told of this.arrived) told();
  }

  receive({ frames = [], error }, buffers) {
    this.waiting = false;
    this.error = error;
    for (const frame of frames) this.keep(frame, buffers);
    this.tell();
  }

  keep(frame, buffers) {
    for (const panel of frame.panels) {
      if (panel.data === undefined) continue;
      const view = panel.data.buffer instanceof ArrayBuffer ? panel.data : buffers[panel.data.buffer];
      panel.values = panel.kind === "picture" ? bytes(view) : floats(view);
      this.bytes += panel.values.byteLength;
    }
    this.held.set(String(frame.place), frame);
    for (const [key, old] of this.held) {
      if (this.bytes <= HOLD || this.held.size === 1) break;
      this.held.delete(key);
      for (const panel of old.panels) this.bytes -= panel.values?.byteLength ?? 0;
    }
  }

  get(place) {
    const key = String(place), found = this.held.get(key);
    if (!found) return undefined;
    this.held.delete(key);
    this.held.set(key, found);
    return found;
  }

  // One question at a time: the place that is looked at, then those beside it.
  fetch(place, lasts) {
    if (this.waiting || this.error || this.model.get("alone")) return;
    const near = beside(place, this.moved, lasts[this.moved]);
    const missing = near.filter((other) => !this.held.has(String(other)));
    const isUrgent = !this.held.has(String(place));
    if (!missing.length || (!isUrgent && this.bytes > HOLD / 2)) return;
    this.waiting = tell(() => this.model.send({ places: isUrgent ? [place] : missing.slice(0, AHEAD) }));
    this.gone = !this.waiting;
  }
}

export function beside(place, which, last) {
  const places = [place];
  for (let step = 1; step <= AHEAD; step++) {
    for (const index of [place[which] + step, place[which] - step]) {
      if (index >= 0 && index <= last) places.push(place.with(which, index));
    }
  }
  return places;
}
