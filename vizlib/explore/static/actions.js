// What can be done in the page: go somewhere, take another image, make a channel weaker.

import { addressOf, placeOf } from "./address.js";
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
    this.tells = false; // an address that was not asked for stays as it is until somebody moves
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

  // What an address says, or another map of the same words.
  goTo(words) {
    const { image, ...to } = placeOf(words, this.state);
    if (image !== undefined && image !== this.state.place.image) this.showImage(image);
    this.go(to);
  }

  tell() {
    const text = addressOf(this.state.place);
    if (this.tells && location.hash !== text) history.replaceState(null, "", text);
  }

  showImage(number) {
    const { images } = this.state;
    this.sketch?.layImage(images.bytes[number], ...images.size);
    this.take(images.inputs[number], { image: number, isEmpty: false });
  }

  showInk(ink, side) {
    const read = fromInk(ink, side),
      input = this.state.images.prepared(read ?? new Uint8Array(SIDE ** 2));
    this.take(input, { image: null, isEmpty: !read });
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
    this.state.changes = changed({ ...changes, [place.layer]: own });
    this.answers.answer();
  }

  restore() {
    this.state.changes = {};
    this.answers.answer();
  }
}
