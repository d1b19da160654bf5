// A network that the page cannot compute: the kernel gives what its layers made, or the page holds
// what was recorded of each image.

import { floats } from "./numbers.js";
import { GONE, setInk, tell } from "./kernel.js";

export class Fed {
  constructor(model, state) {
    Object.assign(this, { model, state, isWaiting: false, isOld: false, onNew: () => {} });
    model.on("change:made", () => {
      this.isWaiting = false;
      this.take();
      this.onNew();
      if (this.isOld) this.ask();
    });
  }

  // One question at a time: what came meanwhile is asked when the answer is there.
  ask() {
    const { model, state } = this;
    this.isOld = this.isWaiting;
    if (this.isWaiting) return;
    if (model.isPage) return model.set("made", { ...this.recorded(state.place.image) });
    this.isWaiting = true;
    this.epoch = state.place.epoch; // of the answer that is waited for
    setInk(model, state);
    model.set("asked", model.get("asked") + 1);
    model.save_changes();
    if (tell(() => model.send({}))) return; // which, unlike saving, fails without a kernel
    this.isWaiting = false;
    state.says = GONE;
    Object.assign(state.place, this.at);
    this.onNew();
  }

  recorded(image) {
    const { images, place } = this.state;
    return this.model.get("recorded")[place.epoch * images.count + image];
  }

  take() {
    const { image, stages, beside, says, error } = this.model.get("made"),
      { state } = this;
    this.at = { image, epoch: this.epoch ?? state.place.epoch };
    state.says = error;
    if (error) return;
    state.refusals = says;
    state.made = tensorsOfStages(stages);
    state.other = null;
    if (state.beside >= 0) state.other = tensorsOfStages(beside ?? this.recorded(state.beside).stages);
    state.input = state.made.input;
    state.whole ??= state.made;
    if (state.isWhole) state.whole = state.made;
  }
}

const tensorsOfStages = (stages) =>
  Object.fromEntries(
    Object.entries(stages).map(([name, { shape, values }]) => [name, { shape, values: floats(values) }]),
  );
