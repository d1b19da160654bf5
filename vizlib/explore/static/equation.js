// How one value is made, in numbers: what was read, what it was multiplied by, what it adds up to.
//
// `explain` returns { kind, words, terms, … } for a value of a stage; `terms` are [{ stage, channel,
// value }], what each channel that was read adds to it.

import { OPERATIONS, PAIRS, ROWS, axisOf, both, divisor, isPointwise, moments } from "./engine.js";
import { pooledFrom, product, range, usualAxis } from "./engine.js";
import { asPlanes, isMove, mapsOf, placed, readPart, slidesOf, valueAt } from "./graph.js";

const EXPLAINED = [
  [/^conv\dd$/, convolution],
  [/^conv_transpose\dd$/, spreading],
  [/^linear$/, neuron],
  [/^matmul$/, twoTensors],
  [/^(max|avg)_pool|^adaptive/, pooling],
  [/^batch_norm$/, normalization],
  [/^(layer|group|instance)_norm$/, rowNormalization],
  [/^(add|sub|mul|div|rsub|rdiv)$/, twoValues],
  [/^cat$/, concatenation],
  [/^move$/, anyMove],
  [/^(softmax|log_softmax)$/, shares],
];

export function explain(network, tensors, made, name, place) {
  const step = network.steps.get(name);
  if (!step) return { kind: "input", words: "the image, as the network gets it", terms: [] };
  const [source] = network.reads(name), input = made[source];
  const seen = { network, tensors, made, step, place, source, input, value: at(made[name], place) };
  // Of a layer that the page does not compute neither weights nor settings are known.
  const known = step.isTold ? [] : EXPLAINED;
  const [, explained] = known.find(([operation]) => operation.test(step.operation)) ?? [];
  return { value: seen.value, source, ...(explained ?? alone)(seen) };
}

const inARow = ([channel, row, column], { height, width }) => (channel * height + row) * width + column;
const at = (tensor, place) => valueAt(tensor, mapsOf(tensor), place);
const own = (tensors, option, number) => (option ? tensors[option.tensor].values[number] : null);
const only = (stage, channel) => [{ stage, channel, value: null }];
const sumOf = (values) => values.reduce((sum, value) => sum + value, 0);

// --- Sums of products ------------------------------------------------------------------------

const plusBias = (bias) => (bias === null ? "" : ", plus a bias");

function convolution({ tensors, step, place, source, input }) {
  const { weight, groups = 1 } = asPlanes(step, tensors), [down, across] = slidesOf(step, tensors, input);
  const [channel, row, column] = place, [kernels, depth, height, width] = weight.shape;
  const sum = windowsAdded({ tensors, step, place, source, input }, weight, {
    depth,
    first: Math.floor(channel / (kernels / groups)) * depth,
    kernelOf: (c) => channel * depth + c,
    placeOf: (i, j) => [
      row * down.stride - down.before + i * down.dilation,
      column * across.stride - across.before + j * across.dilation,
    ],
  });
  const size = step.operation === "conv1d" ? width : `${height}×${width}`;
  const [windows, kernel] = depth === 1 ? ["a window", "its kernel"] : [`${depth} windows`, "kernels"];
  return { ...sum, words: `${windows} of ${size}, times ${kernel}${plusBias(sum.bias)}` };
}

// A transposed convolution turned around: the inputs whose kernels reach this place, each times the
// weight that falls on it.
function spreading({ tensors, step, place, source, input }) {
  const { weight, groups = 1, stride = 1, padding = 0, dilation = 1 } = asPlanes(step, tensors);
  const [[down, across], [above, left], [high, wide]] = [stride, padding, dilation].map(both);
  const [channel, row, column] = place, each = weight.shape[1], depth = weight.shape[0] / groups;
  const first = Math.floor(channel / each) * depth;
  const sum = windowsAdded({ tensors, step, place, source, input }, weight, {
    depth,
    first,
    kernelOf: (c) => (first + c) * each + (channel % each),
    placeOf: (i, j) => [(row + above - i * high) / down, (column + left - j * wide) / across],
  });
  const maps = `${depth} map${depth > 1 ? "s" : ""}`;
  return { ...sum, words: `${maps}, whose kernels fall on this place${plusBias(sum.bias)}` };
}

// Of `depth` channels from the `first` one on a window each, times its kernel: which one is told by
// `kernelOf`, and by `placeOf` the row and the column of the input that each of its weights meets.
function windowsAdded({ tensors, step, place, source, input }, weight, { depth, first, kernelOf, placeOf }) {
  const [height, width] = weight.shape.slice(2), size = height * width, maps = mapsOf(input);
  const terms = Array.from({ length: depth }, (_, c) => {
    const channel = first + c, from = kernelOf(c) * size;
    const kernel = [...weight.values.subarray(from, from + size)];
    const placeAt = (i) => placeOf(Math.floor(i / width), i % width);
    const window = kernel.map((_, i) => valueInside(input, maps, [channel, ...placeAt(i)]));
    const products = window.map((value, i) => (value ?? 0) * kernel[i]);
    return { stage: source, channel, window, kernel, products, value: sumOf(products) };
  });
  const bias = own(tensors, step.options.bias, place[0]), sum = sumOf(terms.map(({ value }) => value));
  return { kind: "windows", height, width, bias, terms, sum: sum + (bias ?? 0) };
}

// The value at a place of a map; null beyond its edges, where padding is, and between its values.
function valueInside(input, maps, [channel, r, q]) {
  const isThere = r >= 0 && q >= 0 && r < maps.height && q < maps.width;
  return isThere && Number.isInteger(r) && Number.isInteger(q) ? valueAt(input, maps, [channel, r, q]) : null;
}

function neuron({ tensors, made, step, place, source, input }) {
  const weight = tensors[step.options.weight.tensor], [units, length] = weight.shape;
  const all = inARow(place, mapsOf(made[step.name])), unit = all % units, line = Math.floor(all / units);
  const weights = weight.values.subarray(unit * length, (unit + 1) * length);
  const bias = own(tensors, step.options.bias, unit);
  const words = `all ${length} inputs, each times its weight${plusBias(bias)}`;
  return { ...productsAdded(source, input, line * length, weights, bias), row: unit, words };
}

// A row of one tensor, times a column of another.
function twoTensors({ tensors, made, step, place, source, input }) {
  const { stage, tensor } = step.options.other, other = stage ? made[stage] : tensors[tensor];
  const [rows, length] = input.shape.slice(-2), columns = other.shape.at(-1);
  const all = inARow(place, mapsOf(made[step.name])), row = Math.floor(all / columns);
  const first = other.shape.length === 2 ? 0 : Math.floor(row / rows) * length * columns;
  const column = range(0, length).map((k) => other.values[first + k * columns + (all % columns)]);
  const words = `a row of ${length} values, times a column of ${stage ?? "the network's own"}`;
  return { ...productsAdded(source, input, row * length, column, null), words };
}

// Values from the place `first` on, each times its factor.
function productsAdded(source, input, first, factors, bias) {
  const { height, width } = mapsOf(input);
  const terms = Array.from(factors, (weight, number) => {
    const at = first + number, channel = Math.floor(at / (height * width)), x = input.values[at];
    return { stage: source, channel, number, input: x, weight, value: x * weight };
  });
  const parts = (sign) => sumOf(terms.map(({ value }) => value).filter((value) => value * sign > 0));
  const [positive, negative] = [parts(1), parts(-1)], sum = positive + negative + (bias ?? 0);
  return { kind: "products", terms, bias, positive, negative, sum };
}

// --- One window ------------------------------------------------------------------------------

function pooling({ tensors, made, step, place: [channel, row, column], source, input }) {
  const part = { channel, top: row, left: column, bottom: row + 1, right: column + 1 };
  const { top, left, bottom, right } = readPart(step, tensors, part, input, made[step.name]);
  const options = asPlanes(step, tensors), [down, across] = both(options.dilation ?? 1);
  const height = Math.ceil((bottom - top) / down), width = Math.ceil((right - left) / across);
  const placeAt = (i) => [channel, top + Math.floor(i / width) * down, left + (i % width) * across];
  const maps = mapsOf(input), window = range(0, height * width).map((i) => valueInside(input, maps, placeAt(i)));
  const inside = window.filter((value) => value !== null), isMax = step.operation.includes("max");
  const winner = isMax ? window.indexOf(Math.max(...inside)) : -1;
  const count = isMax || options.output_size ? inside.length : countedBy(options, maps, row, column);
  const sum = isMax ? window[winner] : sumOf(inside) / count;
  const zeros = count > inside.length ? ", the padding's zeros among them" : "";
  const words = `the ${isMax ? "largest" : "mean"} of ${count}${zeros}`;
  return { kind: "window", window, winner, height, width, terms: only(source, channel), sum, words };
}

// What a mean divides by: with the zeros of the padding, unless they are not to count.
function countedBy(options, { height, width }, row, column) {
  const [rows, columns] = pooledFrom({ shape: [height, width] }, options);
  return divisor(options)(rows[row], columns[column]);
}

// --- One value -------------------------------------------------------------------------------

function normalization({ tensors, step, place, source, input }) {
  const { running_mean, running_var, eps = 1e-5 } = step.options, [channel] = place;
  const mean = own(tensors, running_mean, channel);
  const deviation = Math.sqrt(own(tensors, running_var, channel) + eps);
  const seen = { tensors, step, channel, source, number: channel, said: "the mean, by the deviation" };
  return normal(seen, at(input, place), mean, deviation);
}

// The same with the mean and the deviation of all values of this image that are normalized together.
function rowNormalization({ tensors, step, place, source, input }) {
  const { eps, ...options } = step.options, all = inARow(place, mapsOf(input));
  const [length, which] = ROWS[step.operation](input, options), from = Math.floor(all / length) * length;
  const { mean, deviation } = moments(input.values.subarray(from, from + length), eps);
  const said = `the mean of ${length} values, by their deviation`;
  const seen = { tensors, step, channel: place[0], source, number: which(all), said };
  return normal(seen, input.values[all], mean, deviation);
}

function normal({ tensors, step: { options }, channel, source, number, said }, x, mean, deviation) {
  const weight = own(tensors, options.weight, number) ?? 1, bias = own(tensors, options.bias, number) ?? 0;
  const sum = ((x - mean) / deviation) * weight + bias;
  const words = `less ${said}, times a weight, plus a bias`;
  const terms = only(source, channel);
  return { kind: "normal", x, mean, deviation, weight, bias, terms, row: number, sum, words };
}

function twoValues({ tensors, made, step: { operation, options }, place }) {
  const { input, other, alpha = 1 } = options, channel = place[0];
  const values = [input, other].map((one) => {
    if (typeof one === "number") return { stage: "", value: one };
    if ("tensor" in one) return { stage: "", value: alike(tensors[one.tensor], place) };
    return { stage: one.stage, channel, value: alike(made[one.stage], place) };
  });
  const terms = values.filter(({ stage }) => stage);
  const sum = PAIRS[operation](values[0].value, values[1].value * alpha), [sign, words] = SAID[operation];
  return { kind: "pair", values, sign, sum, terms, words };
}

const SAID = {
  add: ["+", "the sum of two values"],
  sub: ["−", "the difference of two values"],
  mul: ["×", "the product of two values"],
  div: ["÷", "one value divided by another"],
  rsub: ["from", "the difference of two values"],
  rdiv: ["divides", "one value divided by another"],
};

// The value at the same place of a tensor whose axes of one are repeated.
function alike(tensor, place) {
  if (tensor.values.length === 1) return tensor.values[0];
  const maps = mapsOf(tensor.shape.length > 1 ? tensor : { shape: [1, ...tensor.shape] });
  const sizes = [maps.count, maps.height, maps.width];
  return valueAt(tensor, maps, place.map((each, axis) => (sizes[axis] === 1 ? 0 : each)));
}

function concatenation({ network, made, step, place: [channel, row, column] }) {
  let from = channel;
  for (const name of network.reads(step.name)) {
    const { count } = mapsOf(made[name]);
    if (from < count) return moved(name, [from, row, column], made);
    from -= count;
  }
  return { kind: "unknown", terms: [], words: "joined from several layers" };
}

// The stretches are followed up to the place.
function anyMove({ tensors, made, step: { name, options }, place }) {
  const { runs } = options;
  let at = inARow(place, mapsOf(made[name])), i = 0;
  for (; at >= runs[i + 1]; i += 3) at -= runs[i + 1];
  let number = runs[i] + at * runs[i + 2] - 1;
  for (const { stage, tensor } of options.tensors) {
    const read = stage ? made[stage] : tensors[tensor], maps = mapsOf(read);
    if (number >= 0 && number < read.values.length && stage) {
      const from = placed(number, maps);
      return moved(stage, [from.channel, from.top, from.left], made);
    }
    number -= read.values.length;
  }
  return { kind: "unknown", terms: [], words: "a number of the network's own, or the zero of a padding" };
}

function moved(stage, place, made) {
  const [channel, row, column] = place, { isVector } = mapsOf(made[stage]);
  const where = isVector ? `unit ${channel}` : `channel ${channel}, row ${row}, column ${column}`;
  const words = `the same value as in ${stage}, ${where}`;
  return { kind: "moved", sum: at(made[stage], place), terms: only(stage, channel), words };
}

function shares({ step, source, input, place }) {
  const { dim = usualAxis(input) } = step.options, axis = axisOf(input, dim), count = input.shape[axis];
  const all = inARow(place, mapsOf(input)), apart = product(input.shape.slice(axis + 1));
  const unit = Math.floor(all / apart) % count, first = all - unit * apart;
  const values = range(0, count).map((i) => input.values[first + i * apart]), top = Math.max(...values);
  const powers = values.map((v) => Math.exp(v - top)), share = powers[unit] / sumOf(powers);
  const isLog = step.operation === "log_softmax";
  const words = `${isLog ? "the logarithm of " : ""}its share of all powers of e`;
  const score = values[unit], sum = isLog ? Math.log(share) : share;
  return { kind: "share", score, share, sum, isLog, terms: only(source, place[0]), words };
}

// A function of the value at the same place; or a value that only moved.
function alone({ tensors, made, step, place, source, input }) {
  const maps = mapsOf(input), to = mapsOf(made[step.name]), { operation, options } = step, [channel] = place;
  if (isMove(operation)) {
    if (!to.isVector || maps.isVector) return moved(source, place, made);
    const from = placed(channel, maps);
    return moved(source, [from.channel, from.top, from.left], made);
  }
  const isAlike = maps.count === to.count && maps.height === to.height && maps.width === to.width;
  if (!isAlike || !isPointwise(operation)) {
    return { kind: "unknown", terms: [], words: `made by ${operation} of ${source}` };
  }
  const { input: _, weight, ...rest } = options;
  if (weight) rest.weight = { shape: [1], values: [slopeOf(tensors[weight.tensor], channel)] };
  const one = (v) => ({ shape: [1, 1], values: new Float32Array([v]) });
  const f = (v) => OPERATIONS[operation](one(v), rest).values[0], x = at(input, place);
  const words = operation === "relu" ? "negative becomes zero" : `${operation} of one value`;
  return { kind: "function", f, x, sum: f(x), terms: only(source, channel), words };
}

const slopeOf = ({ values }, channel) => values[values.length === 1 ? 0 : channel];
