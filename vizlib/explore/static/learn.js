// The fold in which the network learns: this is a 4, one step, and what came of it.

import { disable, element, put } from "./elements.js";
import { Jobs } from "./jobs.js";
import { oneStep, whyNot } from "./learning.js";
import { Slider } from "./slider.js";
import { WeightChange } from "./weight.js";

const RATES = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];

export class Learn {
  constructor(root, state, actions) {
    Object.assign(this, { root, state, actions, jobs: new Jobs(), rate: 0, image: null });
    root.append(element("summary", {}, "Learn"));
    // JupyterLab takes arrow keys and Enter for its own where nobody stops them.
    root.onkeydown = (event) => event.ctrlKey || event.metaKey || event.stopPropagation();
    root.ontoggle = () => actions.onChange();
    const why = whyNot(state);
    if (why) root.append(element("p", { class: "quiet" }, `No step here: ${why}.`));
    else this.furnish();
  }

  furnish() {
    const { root, state } = this,
      button = (text, onclick) => element("button", { type: "button", onclick }, text);
    this.label = element("select", {}, ...state.data.classes.map((name, i) => new Option(name, i)));
    const change = (at) => {
      this.rate = at;
      this.paint();
    };
    this.slider = new Slider("rate", change, { max: RATES.length - 1 });
    this.told = element("p", { class: "told", role: "status" });
    this.back = button("As it was", () => this.undo());
    const stays = state.isPage ? "The file stays" : "The network in your kernel stays",
      image = element("label", {}, "This image shows ", this.label);
    this.weight = new WeightChange(state, () => this.actions.onChange());
    const choices = element("div", { class: "choices" }, image, this.slider.root);
    choices.append(button("One step", () => this.step()), this.back, this.told);
    choices.append(element("p", { class: "quiet" }, `${stays} as it is.`));
    root.append(element("div", { class: "lesson" }, choices, this.weight.root));
  }

  // What the last step changed, as long as the view shows it.
  get last() {
    const { taught, tensors } = this.state;
    return taught?.after === tensors ? taught : null;
  }

  step() {
    const { state, last, label } = this,
      { first = state.tensors, count = 0 } = last ?? {};
    if (state.isEmpty) return put(this.told, "An empty pad: draw a digit.");
    this.jobs.start("step", oneStep(state, Number(label.value), RATES[this.rate]), (found) => {
      if (found.before !== state.tensors) return; // another epoch's are shown by now
      state.taught = { ...found, first, count: count + 1 };
      this.use(found.after);
    });
  }

  undo() {
    if (this.last) this.use(this.last.first);
  }

  use(tensors) {
    this.state.tensors = tensors;
    this.actions.answers.answer();
    this.actions.onChange();
  }

  paint(explained) {
    const { state, last, slider } = this;
    this.explained = explained ?? this.explained;
    if (!this.root.open || !slider) return;
    this.choose();
    slider.show(this.rate, RATES.length - 1, String(RATES[this.rate]));
    disable(this.back, !last);
    put(this.told, last ? saidOf(last, state.data.classes) : "");
    this.weight.paint(last, this.explained);
  }

  // Another image comes with its label, if that is known.
  choose() {
    const { place, data, input } = this.state;
    if (this.image === input) return;
    this.image = input;
    const label = data.labels[place.image];
    if (label < data.classes.length) this.label.value = label;
  }
}

function saidOf({ count, losses, answers }, classes) {
  const [from, to] = answers.map((each) => classes[each]),
    change = Math.abs(losses[0] - losses[1]),
    decimals = Math.min(Math.max(1 - Math.floor(Math.log10(change)), 2), 6); // so that it is seen
  const least = 10 ** -decimals,
    [high, low] = losses.map((loss) => (loss < least ? "<" : "") + Math.max(loss, least).toFixed(decimals));
  const answer = from === to ? `answer ${from}` : `answer ${from} → ${to}`;
  return `Step ${count}: loss ${high} → ${low}; ${answer}`;
}
