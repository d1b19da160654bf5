// What can be done in the view: go somewhere, take another image, make a channel weaker.

import { Answers } from "./answers.js";
import { mapsOf } from "./graph.js";
import { fromInk } from "./ink.js";
import { changed } from "./state.js";

const SIDE = 28; // pixels of a drawing as the network reads it

export class Actions {
  constructor(state, onChange) {
    this.state = state;
    this.onChange = onChange;
    this.answers = new Answers(state, onChange);
    this.sketch = null; // the pad, where this network takes drawings
    this.tell = () => {}; // tells an address, or a notebook's sliders, where you stand
  }

  go(to) {
    const { state } = this,
      { place } = state,
      isOther = (to.layer ?? place.layer) !== place.layer;
    Object.assign(place, { spot: isOther ? null : place.spot, term: null, hover: null }, to);
    place.channel = Math.max(0, Math.min(place.channel, mapsOf(state.made[place.layer]).count - 1));
    if (isOther) {
      state.needs = null;
      this.answers.ask();
    }
    this.tell();
    this.onChange();
  }

  showImage(number) {
    const { images } = this.state;
    this.sketch?.layImage(images.bytes(number), ...images.size);
    this.take(images.input(number), { image: number, isEmpty: false });
  }

  // The same network with the weights of another epoch.
  showEpoch(epoch) {
    const { state } = this;
    state.place.epoch = epoch;
    state.tensors = state.sets[epoch];
    this.tell();
    this.answers.answer();
  }

  // An image that the kernel gives in the place of a drawing.
  showGiven(own) {
    if (!own.length) return;
    this.state.ink = null;
    this.sketch?.layImage(own, SIDE, SIDE);
    this.take(this.state.images.prepared(own), { image: null, isEmpty: false });
  }

  showInk(ink, side) {
    const read = fromInk(ink, side);
    this.state.ink = ink;
    this.take(this.state.images.prepared(read ?? new Uint8Array(SIDE ** 2)), { image: null, isEmpty: !read });
  }

  take(input, { image, isEmpty }) {
    Object.assign(this.state, { input, isEmpty });
    this.state.place.image = image;
    this.tell();
    this.answers.answer();
  }

  // Multiplies the chosen channel by `factor` in all that follows.
  fade(factor) {
    const { changes, place } = this.state,
      own = { ...changes[place.layer], [place.channel]: factor };
    if (factor === 1) delete own[place.channel];
    this.change({ ...changes, [place.layer]: own });
  }

  restore() {
    this.change({});
  }

  change(changes) {
    this.state.changes = changed(changes);
    this.tell();
    this.answers.answer();
    this.onChange(); // the slider stands where it was put, also where the answer takes long
  }
}
