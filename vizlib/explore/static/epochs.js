// The view of a network in which one goes back in time: its epochs, what grew, and the curves.

import { element, put } from "./elements.js";
import { liveView } from "./live.js";
import { lookOf } from "./look.js";
import { floats } from "./numbers.js";
import { part, show } from "./panels.js";
import { Slider } from "./slider.js";
import { stepper } from "./sliders.js";

const WIDTH = 84; // of the one kernel that is large, as panels are described

class Past {
  constructor(root, state, actions) {
    Object.assign(this, { root, state, channel: 0, key: null });
    const { epochs, first } = state.data,
      go = (epoch) => actions.showEpoch(epoch),
      model = { get: () => state.place.epoch },
      lastOf = () => epochs.length - 1;
    this.steps = stepper("epoch", { model, lastOf, change: (_, at) => go(at) });
    this.slider = new Slider("epoch", go);
    this.slider.root.hidden = !state.isPage; // a notebook has one of its own
    this.said = element("p", { role: "status" });
    const told = element("p", { class: "told", role: "status" }),
      say = (text) => put(told, text);
    const pick = (_, { channel }) => actions.go({ layer: first, channel });
    this.parts = this.panels.map((panel) => part(panel, { pick, say }));
    this.row = element("div", { class: "panels" }, ...this.parts.map((each) => each.root));
    const steer = element("div", { class: "steer" }, this.steps.root, this.slider.root, this.said);
    const about = { class: "past", "aria-label": "training" };
    root.querySelector("header").after(element("section", about, steer, this.row, told));
  }

  // Those that Python packed for this epoch, with the very weights that the page computes with.
  get panels() {
    const { data, place, network, sets } = this.state,
      [kernels, ...curves] = data.frames[place.epoch].panels;
    const [count, height, width] = kernels.shape,
      size = height * width;
    // Learning in the page changes no snapshot.
    const own = () => sets[place.epoch][network.steps.get(data.first).options.weight.tensor].values;
    kernels.values ??= (kernels.data ? floats(kernels.data) : own()).subarray(0, count * size);
    for (const curve of curves) curve.values ??= floats(curve.data);
    const isHere = place.layer === data.first && place.channel < count;
    kernels.chosen = isHere ? place.channel : null;
    this.channel = kernels.chosen ?? this.channel;
    const values = kernels.values.subarray(this.channel * size, (this.channel + 1) * size),
      title = `weights of channel ${this.channel}`,
      one = { title, values, shape: [1, height, width], picture: null, width: WIDTH };
    return [kernels, { ...kernels, ...one }, ...curves];
  }

  paint() {
    const { root, row, state, parts } = this,
      { epoch, layer, channel } = state.place,
      { epochs, frames } = state.data;
    this.steps.say();
    this.slider.show(epoch, epochs.length - 1, epochs[epoch]);
    put(this.said, frames[epoch].says);
    const key = [epoch, layer, channel, row.clientWidth, root.className].join();
    if (key === this.key) return; // a stroke changes nothing here
    this.key = key;
    const look = lookOf(root, row, state.colours);
    this.panels.forEach((panel, i) => show(parts[i], panel, look));
    for (const one of parts) one.reread?.();
  }

  end() {
    this.steps.stop();
  }
}

const widget = liveView((root, state, actions) => [new Past(root, state, actions)]);
export default widget;
