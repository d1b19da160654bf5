// Several networks answer one image, while it is drawn, moved and turned: all is computed here.

import { changed } from "./changes.js";
import { Frames } from "./frames.js";
import { fromInk } from "./ink.js";
import { Aside } from "./intakes.js";
import { Jobs } from "./jobs.js";
import { floats, winnerOf } from "./numbers.js";
import { Rival, answers } from "./rivals.js";
import { PAD } from "./sketch.js";
import { viewOf } from "./viewing.js";
import { calledBy, chart, column, emptied, panelOf, sentence } from "./verdicts.js";

const BLACK = 1e-3; // what is no brighter than that is no ink

// The values from a first one to a last one, rounded as Python rounds them.
const placesOf = ([first, last, step]) =>
  Array.from({ length: Math.round((last - first) / step) + 1 }, (_, i) => +(first + i * step).toFixed(6));

// Where frames come from: like those of a kernel, but made here.
class Comparison {
  constructor(model) {
    this.held = model.get("held");
    this.sliders = model.get("names");
    this.rivals = this.held.networks.map((each) => new Rival(each));
    this.names = this.rivals.map(({ name }) => name);
    this.grains = floats(this.held.grains);
    const all = floats(this.held.images), size = this.grains.length;
    this.images = Array.from({ length: all.length / size }, (_, i) => all.subarray(i * size, (i + 1) * size));
    this.along = Object.keys(this.held.changes);
    this.places = Object.fromEntries(this.along.map((name) => [name, placesOf(this.held.changes[name])]));
    this.nameOf = calledBy(this.held.classes);
    this.arrived = new Set();
    this.asides = new Set();
    this.jobs = new Jobs();
    this.version = 0; // of what is looked at
  }

  fetch() {}

  tell() {
    for (const told of this.arrived) told();
  }

  // The last frame stands until the next one is whole.
  get(place) {
    const at = Object.fromEntries(this.sliders.map((name, i) => [name, place[i]]));
    if (at.image !== this.image) this.look(at.image);
    const key = [this.version, ...place].join();
    if (key !== this.key) this.answer(at, key);
    return this.frame;
  }

  look(image) {
    Object.assign(this, { image, base: this.images[image], isDrawn: false });
    this.isNew();
  }

  draw(ink) {
    const prepared = fromInk(ink, PAD) ?? new Uint8Array(this.grains.length);
    const base = Float32Array.from(prepared, (value) => value / 255);
    Object.assign(this, { base, isDrawn: true });
    this.isNew();
    this.tell();
  }

  isNew() {
    this.version++;
    this.isEmpty = Boolean(this.held.ink) && !this.base.some((share) => share > BLACK);
    for (const aside of this.asides) aside.show(this.isDrawn ? null : this.image);
  }

  // What the networks get, from 0 to 1, and as they know black and white.
  input(at) {
    const { shape, ink, ends } = this.held, [low, high] = this.isDrawn ? ink : ends[at.image];
    const values = Object.fromEntries(this.along.map((name) => [name, this.places[name][at[name]]]));
    const shown = changed(this.base, shape, values, this.grains);
    return { shown, shape: [1, ...shape], values: shown.map((share) => share * (high - low) + low) };
  }

  answer(at, key) {
    this.key = key;
    const image = this.input(at), label = this.isDrawn ? undefined : this.held.labels[at.image];
    let isLater = false;
    this.jobs.stop("sweep");
    this.jobs.start("answer", answers(this.rivals, image), (found) => {
      this.answered = { at, label, found, shown: image.shown };
      this.frame = this.framed();
      if (isLater) this.tell();
      setTimeout(() => key === this.key && this.sweep(at));
    });
    isLater = true;
  }

  // All places along one slider, while the others stay.
  sweep(at) {
    const along = this.along[at.along];
    const others = this.sliders.filter((name) => name !== along);
    const key = [this.version, along, ...others.map((name) => at[name])].join();
    if (key === this.swept?.key) return;
    this.jobs.start("sweep", this.sweeping(at, along), (found) => {
      this.swept = { key, along, ...found };
      this.frame = this.framed();
      this.tell();
    });
  }

  *sweeping(at, along) {
    const indexOf = (name) => this.places[name].indexOf(this.held.changes[name].at(-1));
    const neutral = this.along.map((name) => [name, indexOf(name)]);
    const unchanged = { ...at, ...Object.fromEntries(neutral) }, all = [];
    const [first] = yield* answers(this.rivals.slice(0, 1), this.input(unchanged));
    for (const place of this.places[along].keys()) {
      all.push(yield* answers(this.rivals, this.input({ ...at, [along]: place })));
    }
    return { target: this.answered.label ?? winnerOf(first.shares), all };
  }

  framed() {
    const { at, label, found, shown } = this.answered, { shape, classes } = this.held;
    const winners = found.map(({ shares }) => winnerOf(shares)), right = label ?? winners[0];
    const bars = found.map((each, i) => column(this.names[i], each, { label, right, classes }));
    bars[0].below = true;
    const read = () => sentence(this.names, winners, label, this.nameOf);
    const says = this.isEmpty ? "An empty pad: draw a digit." : read();
    const title = this.isDrawn ? "what they get" : `image ${at.image}, changed`;
    const columns = this.isEmpty ? bars.map((each, i) => emptied(each, this.names[i])) : bars;
    const panels = [panelOf(title, shown, shape), this.chart(at), ...columns];
    return { panels, says, headline: says, differ: !this.isEmpty && new Set(winners).size > 1, last: {} };
  }

  chart(at) {
    const along = this.along[at.along], [start, , step, unit] = this.held.changes[along];
    const swept = this.swept?.along === along && !this.isEmpty ? this.swept : null;
    const title = swept ? `probability of ${this.nameOf(swept.target)}` : "probability";
    const about = { along: `${along} (${unit})`, at: at[along], start, step, title };
    return chart(this.names, swept, { ...about, count: this.places[along].length });
  }

  furnish(root, change) {
    const onImage = (image) => {
      this.look(image);
      change("image", image);
      this.tell();
    };
    const { images } = this, { shape, ink } = this.held, onInk = (drawn) => this.draw(drawn);
    const aside = new Aside(root, { images, shape, takesInk: Boolean(ink), onInk, onImage });
    this.asides.add(aside);
    return () => this.asides.delete(aside);
  }
}

const isHere = (model) => "networks" in model.get("held");
const widget = viewOf((model) => (isHere(model) ? new Comparison(model) : new Frames(model)));
export default widget;
