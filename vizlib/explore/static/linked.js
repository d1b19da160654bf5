// In a notebook the place is shared with the sliders and with the kernel.

import { bytes } from "./numbers.js";
import { spotOf } from "./state.js";
import { heed, setInk, tell } from "./kernel.js";

const TENTHS = 10; // places of the slider of strength
const INK_PAUSE = 200; // milliseconds between a stroke and the moment when the kernel is told

export class Linked {
  constructor(model, state, actions) {
    Object.assign(this, { model, state, actions });
    this.handlers = {
      epoch: () => this.showEpoch(),
      image: () => this.showImage(),
      layer: () => this.go(),
      channel: () => this.go(),
      pixel: () => this.go(),
      strength: () => this.fade(),
      scale: () => actions.onChange(),
      beside: () => actions.answers.answerBeside(),
      given: () => actions.showGiven(bytes(model.get("given"))),
    };
  }

  follow() {
    this.actions.tell = () => this.tell();
    const unheed = heed(this.model, this.handlers);
    this.tell();
    return unheed;
  }

  showImage() {
    const image = this.model.get("image");
    if (image !== this.state.place.image) this.actions.showImage(image);
  }

  showEpoch() {
    const epoch = this.model.get("epoch");
    if (epoch !== this.state.place.epoch) this.actions.showEpoch(epoch);
  }

  // What was told from here changes nothing when it comes back.
  go() {
    const { model, state, actions } = this,
      { place } = state;
    const layer = state.names[model.get("layer")],
      channel = model.get("channel"),
      pixel = model.get("pixel");
    if (layer !== place.layer) return actions.go({ layer, channel });
    if (channel !== place.channel) return actions.go({ channel });
    if (pixel.join() !== (place.spot ?? []).join()) actions.go({ spot: spotOf(pixel) });
  }

  fade() {
    const factor = this.model.get("strength") / TENTHS;
    if (Math.abs(factor - this.state.factor) > 0.05) this.actions.fade(factor);
  }

  tell() {
    const { model, state } = this,
      { place, changes, maps, factor } = state;
    const last = maps.count - 1;
    // The range first: a slider keeps its place inside the old one.
    if (last >= model.get("channel")) model.set("last_channel", last);
    model.set({
      ...{ layer: state.names.indexOf(place.layer), channel: place.channel, pixel: place.spot ?? [] },
      ...{ changes, strength: Math.round(factor * TENTHS), drawn: place.image === null },
      ...(place.image === null ? {} : { image: place.image }),
      ...(state.data.epochs ? { epoch: place.epoch } : {}),
    });
    model.set("last_channel", last);
    tell(() => model.save_changes());
    if (place.image === null) this.tellInk();
  }

  tellInk() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      setInk(this.model, this.state);
      tell(() => this.model.save_changes());
    }, INK_PAUSE);
  }
}
