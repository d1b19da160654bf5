// The strongest channels of a layer first, in pages: for layers of so many that each is small.
//
// The page is the one with the chosen channel on it, and so to turn it is to choose another one.

import { disable, element, put } from "./elements.js";
import { statistics } from "./numbers.js";

const MANY = 24; // fewer maps can all be seen at once

export const isMany = ({ count, height, isVector }) => !isVector && height > 1 && count > MANY;

const orders = new WeakMap(); // of tensors that were sorted already: the same one is painted often

// All channels, that with the largest absolute value first.
function byStrength(tensor, maps) {
  if (!orders.has(tensor)) orders.set(tensor, sorted(tensor, maps));
  return orders.get(tensor);
}

function sorted({ values }, { count, height, width }) {
  const size = height * width, peak = (i) => statistics(values.subarray(i * size, (i + 1) * size)).peak;
  const peaks = Array.from({ length: count }, (_, i) => peak(i));
  return [...peaks.keys()].sort((a, b) => peaks[b] - peaks[a]);
}

// The page of so many channels that has the chosen one on it.
export function pageOf(tensor, maps, chosen, size) {
  const order = byStrength(tensor, maps),
    at = order.indexOf(chosen),
    first = at - (at % size);
  return { order, at, size, first, channels: order.slice(first, first + size) };
}

export class Strongest {
  constructor(root, state, actions, band) {
    Object.assign(this, { root, state, actions, band });
    const button = (about, text, onclick) => element("button", { type: "button", onclick, ...about }, text);
    const step = (name, text, by) =>
      button({ class: "step", title: name, "aria-label": name }, text, () => this.turn(by));
    this.toggle = button({ role: "switch", class: "switch" }, "strongest first", () => this.switch());
    this.back = step("previous page", "‹", -1);
    this.next = step("next page", "›", 1);
    this.told = element("output");
    this.pages = element("span", {}, this.back, this.told, this.next);
    root.append(this.toggle, this.pages);
  }

  // Who asks for the strongest one is taken there.
  switch() {
    const { state, actions } = this;
    state.isStrongest = !state.isStrongest;
    actions.go(state.isStrongest ? { channel: byStrength(state.tensor, state.maps)[0] } : {});
  }

  // The channel at the same place of the next page, or the last one there.
  turn(by) {
    const { order, at, size, first } = this.band.page,
      to = first + by * size;
    if (to < 0 || to >= order.length) return;
    this.actions.go({ channel: order[Math.min(at + by * size, order.length - 1)] });
  }

  paint() {
    const { page } = this.band;
    this.root.hidden = !isMany(this.state.maps);
    this.toggle.setAttribute("aria-checked", String(this.state.isStrongest));
    this.pages.hidden = !page;
    if (!page) return;
    const { order, first, channels } = page,
      last = first + channels.length;
    disable(this.back, first === 0);
    disable(this.next, last === order.length);
    put(this.told, `${first + 1}–${last} of ${order.length} by largest |value|`);
  }
}
