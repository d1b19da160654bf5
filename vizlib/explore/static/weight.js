// What a step did to the weights of the channel where you stand: old − rate × gradient = new.

import { element, put } from "./elements.js";
import { chosenTerm } from "./equation_view.js";
import { signed, statistics } from "./numbers.js";
import { Slider } from "./slider.js";
import { atlasOf, enlarged, pointed } from "./tiles.js";

const NAMES = ["old", "gradient", "new"],
  SIDE_OF_WEIGHTS = 168; // pixels of a picture

export class WeightChange {
  constructor(state, onChange) {
    Object.assign(this, { state, onChange, key: null });
    this.pictures = NAMES.map((name) => element("canvas", { role: "img", "aria-label": name }));
    const [old, slope, made] = this.pictures.map((canvas, i) => {
      canvas.onclick = (event) => this.point(event);
      return element("figure", {}, element("figcaption", { class: "quiet" }, NAMES[i]), canvas);
    });
    this.title = element("h2");
    this.times = element("i");
    this.slider = new Slider("weight", (at) => this.choose(at));
    this.row = element("div", { class: "row" }, old, this.times, slope, element("i", {}, "="), made);
    this.sums = [element("p", { class: "addition" }), element("p", { class: "addition" })];
    const numbers = element("div", { class: "large" }, this.title, this.slider.root, ...this.sums);
    this.root = element("div", { class: "weight" }, this.row, numbers);
  }

  point(event) {
    const box = event.target.getBoundingClientRect(),
      cell = box.width / this.own.width;
    const row = Math.floor((event.clientY - box.top) / cell),
      column = Math.floor((event.clientX - box.left) / cell);
    this.choose(Math.min(row * this.own.width + column, this.own.values[0].length - 1));
  }

  choose(at) {
    this.at = at;
    this.onChange();
  }

  // `last` is the last step, if there was one.
  paint(last, explained) {
    this.root.hidden = !last;
    if (!last) return;
    const { state } = this,
      { layer, channel, term } = state.place,
      { weight, bias } = state.network.steps.get(layer)?.options ?? {};
    const { row = channel, kind } = explained, isEach = kind === "normal"; // a number for each value
    const of = (option) => partOf(last, option?.tensor, row, isEach),
      added = of(bias)?.values.map(([value]) => value);
    this.own = of(weight);
    if (this.own && explained.kind === "windows") this.own = kernelOf(this.own, explained, term);
    const many = this.own?.values[0].length ?? 0,
      name = [layer, `${state.unit} ${channel}`, this.own?.of].filter(Boolean).join(", ");
    for (const each of [this.row, this.slider.root]) each.hidden = many < 2;
    if (many) this.follow(name);
    if (many > 1) this.paintPictures(last.rate);
    put(this.title, `${name}: ${many ? this.where : "no weights that learn"}`);
    showSum(this.sums[0], this.own?.values.map((values) => values[this.at]), last.rate, "weight");
    showSum(this.sums[1], added, last.rate, "bias");
  }

  // Elsewhere the weight with the largest gradient is chosen.
  follow(key) {
    const sizes = this.own.values[1].map(Math.abs);
    if (key !== this.key) this.at = sizes.indexOf(Math.max(...sizes));
    this.key = key;
  }

  paintPictures(rate) {
    const { own, at } = this,
      { values, width } = own,
      [limit, steepest] = values.map((each) => statistics(each).peak || 1);
    values.forEach((each, i) => {
      paintWeights(this.pictures[i], each, width, i === 1 ? steepest : limit, this.state.colours, at);
    });
    put(this.times, `− ${rate} ×`);
    this.slider.show(at, values[0].length - 1, `${at} of ${values[0].length}`);
  }

  get where() {
    const { own, at } = this;
    if (own.values[0].length < 2) return "its weight";
    return own.of ? `row ${Math.floor(at / own.width)}, column ${at % own.width}` : `input ${at}`;
  }
}

// A row of one of the network's tensors: old values, their gradients, new ones.
function partOf({ before, slopes, after }, number, at, isEach) {
  if (number === undefined || after[number] === before[number]) return null;
  const all = [before, slopes, after].map((each) => each[number].values),
    rows = isEach ? all[0].length : before[number].shape[0],
    size = all[0].length / rows,
    row = rows === 1 ? 0 : at; // one for all channels
  const values = all.map((each) => each.subarray(row * size, (row + 1) * size));
  return { values, width: Math.ceil(Math.sqrt(size)) };
}

function kernelOf({ values }, { terms, height, width }, term) {
  const chosen = chosenTerm(terms, term),
    size = height * width,
    from = terms.indexOf(chosen) * size;
  const own = values.map((each) => each.subarray(from, from + size));
  return { values: own, width, of: `kernel of map ${chosen.channel}` };
}

function paintWeights(canvas, values, width, limit, colours, at) {
  const picture = atlasOf(values, { count: values.length, height: 1, width: 1 }, width, () => limit, colours);
  const scale = Math.max(1, Math.floor(SIDE_OF_WEIGHTS / width));
  const corner = [(at % width) * scale, Math.floor(at / width) * scale];
  pointed(enlarged(canvas, picture, scale).getContext("2d"), corner, [scale, scale], [6, 3]);
}

// --- The sum ---------------------------------------------------------------------------------

function showSum(root, numbers, rate, name) {
  root.hidden = !numbers;
  if (!numbers) return;
  const [old, slope, made] = stepInWords(...numbers, rate),
    part = (value, words) => element("span", {}, element("b", {}, value), element("small", {}, words));
  const sign = (text) => element("i", {}, text),
    steep = slope.startsWith("−") ? `(${slope})` : slope;
  const parts = [part(old, `old ${name}`), sign("−"), part(String(rate), "rate"), sign("×")];
  root.replaceChildren(...parts, part(steep, "gradient"), sign("="), part(made, `new ${name}`));
}

// With so many decimals that the step is seen, and that the numbers add up as they are written.
export function stepInWords(old, slope, made, rate) {
  const size = Math.abs(rate * slope),
    least = size ? Math.min(Math.max(2 - Math.floor(Math.log10(size)), 3), 8) : 4;
  const ways = [0, 1, 2, 3].map((more) => inDecimals(old, slope, rate, least + more)),
    exact = ways.findIndex(([, , sum], more) => sum === made.toFixed(least + more));
  return ways[Math.max(exact, 0)].map(signed);
}

function inDecimals(old, slope, rate, decimals) {
  const finer = Math.max(0, decimals + 1 + Math.floor(Math.log10(rate))); // its rest changes no decimal
  const [one, other] = [old.toFixed(decimals), slope.toFixed(finer)];
  return [one, other, (Number(one) - rate * Number(other)).toFixed(decimals)];
}
