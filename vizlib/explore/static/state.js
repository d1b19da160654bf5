// What the view knows: the network and its images, where you stand, and what was computed last.

import { imagesOf, setsOf } from "./contents.js";
import { run } from "./engine.js";
import { Fed } from "./fed.js";
import { graph, mapsOf } from "./graph.js";
import { bytes, packedPalette } from "./numbers.js";
import { endsIn } from "./scores.js";
import { Thread } from "./thread.js";
import { peakOf } from "./tiles.js";

const SCALE_OF = { map: 0, layer: 1, network: 2 };

export class State {
  constructor(model, weights) {
    this.model = model;
    this.data = model.get("held");
    this.isPage = Boolean(model.isPage);
    this.network = graph(this.data.program);
    this.sets = setsOf({ ...this.data, weights }, this.data.epochs?.length ?? 1);
    this.images = imagesOf(this.data);
    this.names = this.network.stages.map(({ name }) => name);
    this.colours = packedPalette(bytes(this.data.palette));
    this.place = {
      epoch: model.get("epoch") ?? 0, // its number among those of which there are weights
      image: model.get("image"),
      layer: this.names[model.get("layer")],
      channel: model.get("channel"),
      spot: spotOf(model.get("pixel")),
      hover: null,
      term: null,
    };
    this.tensors = this.sets[this.place.epoch];
    this.changes = changed(model.get("changes"));
    this.isEmpty = false; // a pad without a stroke
    this.ink = null; // what was drawn last
    this.says = ""; // what is to be said in place of an answer
    this.refusals = {}; // why a layer is not shown, by its name
    this.needs = null;
    this.isStrongest = false; // whether of many channels the strongest come first, in pages
    this.taught = null; // what the last step of learning changed
    this.other = null; // what the layers make of the image beside
    this.fed = this.data.isComputed ? null : new Fed(model, this);
    this.thread = new Thread(this.data);
  }

  async open() {
    this.input = this.images.input(this.place.image);
    if (this.fed) this.fed.take();
    else {
      this.whole = await this.answered(this.input, {}); // with all channels on
      this.made = this.isWhole ? this.whole : await this.answered(this.input, this.changes);
    }
    this.ends = endsIn(this.network, this.made);
    return this;
  }

  answered(image, changes) {
    return this.thread.answer("open", { tensors: this.tensors, image, changes });
  }

  // All stages by name, at once: an answer that may take longer is asked of the thread.
  compute(image) {
    const steps = run(this.data.program, this.tensors, image);
    return { input: image, ...Object.fromEntries(steps) };
  }

  // The value of the darkest colour of each map: its own peak, the layer's or the network's.
  limitsOf(tensor) {
    const scale = this.model.get("scale"),
      { count, height, width, isVector } = mapsOf(tensor),
      size = height * width;
    if (scale === SCALE_OF.network) return () => this.peak;
    if (scale === SCALE_OF.layer || isVector) return always(peakOf(tensor));
    const own = (i) => peakOf({ values: tensor.values.subarray(i * size, (i + 1) * size) });
    return (i) => (i < count ? own(i) : 1);
  }

  // Of all layers.
  get peak() {
    return Math.max(...this.names.map((name) => peakOf(this.made[name])));
  }

  // The image beside, which has the same scale as the first one.
  get beside() {
    return this.model.get("beside") - 1;
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

const always = (value) => () => value;

export const spotOf = (pixel) => (pixel.length ? pixel : null);

export const changed = (changes) =>
  Object.fromEntries(Object.entries(changes).filter(([, own]) => Object.keys(own).length));

function strongestOf(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (Math.abs(values[i]) > Math.abs(values[best])) best = i;
  return best;
}
