// What the page knows: the network and its images, where you stand, and what was computed last.

import { imagesOf, tensorsOf } from "./contents.js";
import { run } from "./engine.js";
import { graph, mapsOf } from "./graph.js";
import { packedPalette } from "./numbers.js";
import { endsIn } from "./scores.js";

export class State {
  constructor(data) {
    this.data = data;
    this.network = graph(data.program);
    this.tensors = tensorsOf(data);
    this.images = imagesOf(data);
    this.names = this.network.stages.map(({ name }) => name);
    this.colours = packedPalette(Uint8Array.from(atob(data.palette), (c) => c.charCodeAt(0)));
    this.place = { image: 0, layer: this.names[0], channel: 0, spot: null, hover: null, term: null };
    this.changes = changed(data.changes);
    this.input = this.images.inputs[0];
    this.isEmpty = false; // a pad without a stroke
    this.whole = this.compute(this.input); // with all channels on
    this.made = this.compute(this.input, this.changes);
    this.needs = null;
    this.ends = endsIn(this.network, this.made);
  }

  // All stages by name, at once: an answer that may take longer is a job.
  compute(image, changes = {}) {
    const steps = run(this.data.program, this.tensors, image, changes);
    return { input: image, ...Object.fromEntries(steps) };
  }

  get isWhole() {
    return !Object.keys(this.changes).length;
  }

  // What the chosen channel is multiplied by.
  get factor() {
    return this.changes[this.place.layer]?.[this.place.channel] ?? 1;
  }

  get tensor() {
    return this.made[this.place.layer];
  }

  get maps() {
    return mapsOf(this.tensor);
  }

  get unit() {
    return this.maps.isVector ? "unit" : "channel";
  }

  // The values of the chosen map; a vector is one map.
  get values() {
    const { isVector, height, width } = this.maps,
      size = height * width,
      { channel } = this.place;
    const { values } = this.tensor;
    return isVector ? values : values.subarray(channel * size, (channel + 1) * size);
  }

  // The place pointed at; or the one that was clicked; or the strongest one of the map.
  get at() {
    const { channel, hover, spot } = this.place,
      { isVector, height, width } = this.maps;
    if (isVector) return [channel, 0, 0];
    const [row, column] = hover ?? spot ?? [height, width];
    if (row < height && column < width) return [channel, row, column];
    const best = strongestOf(this.values);
    return [channel, Math.floor(best / width), best % width];
  }
}

export const changed = (changes) =>
  Object.fromEntries(Object.entries(changes).filter(([, own]) => Object.keys(own).length));

function strongestOf(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (Math.abs(values[i]) > Math.abs(values[best])) best = i;
  return best;
}
