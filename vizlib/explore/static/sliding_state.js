// What is convolved, with what, and how: all that is shown is computed here from the sliders' places.

import { OPERATIONS } from "./engine.js";
import { floats, statistics } from "./numbers.js";
import { cellOf, cornerOf, faultOf, geometryOf, tapsOf } from "./sliding_geometry.js";

const SETTINGS = ["kernel", "stride", "padding", "dilation"];
const MODES = { zeros: "constant" }; // what an operation calls a layer's padding mode, if otherwise

export class SlidingState {
  constructor(model) {
    const { shape, weightShape, weight, groups, mode, choices, own, ...held } = model.get("held"),
      [kernels, depth, ...largest] = weightShape,
      bias = floats(held.bias);
    Object.assign(this, { model, kernels, depth, largest, groups, mode, choices, own });
    [this.channels, ...this.size] = shape;
    this.given = floats(weight);
    this.bias = bias.length ? bias : null;
    this.read = new Map(); // image → what is read, and what torch and the next layers make of it
    this.made = null; // the last output that there was
    this.keepReads();
    model.on("change:reads", () => this.keepReads());
  }

  keepReads() {
    for (const { image, maps, output, after } of this.model.get("reads")) {
      const followers = after.map(([name, values]) => [name, floats(values)]);
      this.read.set(image, { maps: floats(maps), output: floats(output), followers });
    }
  }

  place(name) {
    return this.model.get(name);
  }

  get setting() {
    return Object.fromEntries(SETTINGS.map((name) => [name, this.choices[name][this.place(name)]]));
  }

  get isOwn() {
    return SETTINGS.every((name) => this.own[name] === this.place(name));
  }

  get isEdited() {
    const { weights, pixels } = this.model.get("edits");
    return [weights, ...Object.values(pixels)].some((each) => Object.keys(each).length);
  }

  // Computes anew what has changed; false where the image has not arrived.
  refresh() {
    const image = this.place("image"),
      edits = this.model.get("edits");
    if (!this.read.has(image)) return false;
    const key = JSON.stringify([image, this.setting, edits]);
    if (key !== this.key) this.compute(this.read.get(image), edits, edits.pixels[image] ?? {});
    this.key = key;
    return true;
  }

  compute({ maps }, { weights }, pixels) {
    const { kernel, stride, dilation } = this.setting,
      [height, width] = this.size;
    this.geometry = geometryOf(this.size, this.setting);
    this.fault = faultOf(this.geometry, this.mode);
    this.values = edited(maps, pixels);
    this.whole = edited(this.given, weights);
    this.weight = this.middle(kernel);
    const { down, across } = this.geometry,
      pad = [across.before, across.after, down.before, down.after];
    const mode = this.fault ? "constant" : (MODES[this.mode] ?? this.mode);
    const padded = (shape, values) => OPERATIONS.pad({ shape, values }, { pad, mode });
    this.padded = padded([1, this.channels, height, width], this.values);
    // Which pixel stands where, counted from 1; 0 is none.
    const numbers = Float32Array.from({ length: height * width }, (_, i) => i + 1);
    this.pixels = padded([1, 1, height, width], numbers);
    this.limit = statistics(this.values).peak || 1;
    if (this.fault) return;
    const { weight, groups } = this, bias = this.bias && { shape: [this.kernels], values: this.bias };
    const { values, shape } = OPERATIONS.conv2d(this.padded, { weight, bias, stride, dilation, groups });
    this.made = { values, rows: shape[2], columns: shape[3], limit: statistics(values).peak || 1 };
  }

  // The middle of each kernel; `from` says where each of its weights stands in the whole one.
  middle([rows, columns]) {
    const [high, wide] = this.largest,
      top = Math.floor((high - rows) / 2),
      left = Math.floor((wide - columns) / 2);
    const from = [];
    for (let map = 0; map < this.kernels * this.depth; map++)
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++) from.push((map * high + top + i) * wide + left + j);
    const values = Float32Array.from(from, (at) => this.whole[at]);
    return { shape: [this.kernels, this.depth, rows, columns], values, from };
  }

  // The channels of the input that the chosen output channel reads, and the one that is shown.
  get sources() {
    const group = Math.floor(this.place("channel") / (this.kernels / this.groups));
    return Array.from({ length: this.depth }, (_, i) => group * this.depth + i);
  }

  get source() {
    return this.sources[this.place("input")];
  }

  mapOf(channel) {
    const { down, across } = this.geometry,
      size = down.whole * across.whole;
    return this.padded.values.subarray(channel * size, (channel + 1) * size);
  }

  get output() {
    const { values, rows, columns } = this.made,
      size = rows * columns;
    return values.subarray(this.place("channel") * size, (this.place("channel") + 1) * size);
  }

  // Where the weights that are shown stand among those of the kernel's middle.
  get kernelStart() {
    const [, , rows, columns] = this.weight.shape;
    return (this.place("channel") * this.depth + this.place("input")) * rows * columns;
  }

  // Step k: of each input channel that is read the patch, the weights, the products and their sum.
  step(k) {
    const { geometry, weight, fault } = this,
      { across } = geometry;
    const cell = fault ? [0, 0] : cellOf(geometry, k),
      taps = tapsOf(geometry, cornerOf(geometry, cell));
    const start = this.place("channel") * this.depth * taps.length;
    const parts = this.sources.map((channel, i) => {
      const map = this.mapOf(channel);
      const valueAt = (row, column) => (column < across.whole ? map[row * across.whole + column] : NaN);
      const patch = taps.map((tap) => valueAt(...tap) ?? NaN);
      const weights = [...weight.values.subarray(start + i * taps.length, start + (i + 1) * taps.length)];
      const products = patch.map((value, j) => value * weights[j]);
      return { channel, patch, weights, products, sum: products.reduce((all, each) => all + each, 0) };
    });
    const bias = this.bias?.[this.place("channel")] ?? 0;
    const total = parts.reduce((all, part) => all + part.sum, bias);
    return { k, cell, taps, parts, shown: parts[this.place("input")], bias, total };
  }

  isPadding([row, column]) {
    const { down, across } = this.geometry,
      inside = (at, { before, size }) => at >= before && at < before + size;
    return !inside(row, down) || !inside(column, across);
  }

  // The number of the pixel in a cell of the padded input; −1 in padding of zeros.
  pixelAt([row, column]) {
    return (this.pixels.values[row * this.geometry.across.whole + column] || 0) - 1;
  }

  // All cells of the padded input that hold a pixel: one, but for padding that repeats the image.
  cellsOf(pixel) {
    const { whole } = this.geometry.across,
      found = [];
    this.pixels.values.forEach((one, i) => {
      if (one === pixel + 1) found.push([Math.floor(i / whole), i % whole]);
    });
    return found;
  }

  // The other place of a single slider at which the window fits, the nearest one for each slider.
  get mends() {
    const { choices } = this;
    return ["dilation", "padding", "stride", "kernel"].flatMap((name) => {
      const fits = (one) => !faultOf(geometryOf(this.size, { ...this.setting, [name]: one }), this.mode);
      const distance = (i) => Math.abs(i - this.place(name));
      const found = choices[name].flatMap((one, i) => (fits(one) ? [i] : []));
      found.sort((a, b) => distance(a) - distance(b));
      return found.length ? [{ name, index: found[0], value: choices[name][found[0]] }] : [];
    });
  }
}

function edited(values, changes) {
  const copy = values.slice();
  for (const [at, value] of Object.entries(changes)) copy[at] = value;
  return copy;
}
