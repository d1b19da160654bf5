// How one value is made, in numbers: what was read, what it was multiplied by, what it adds up to.
//
// `explain` returns { kind, words, terms, … } for a value of a stage; `terms` are [{ stage, channel,
// value }], what each channel that was read adds to it.

import { isMove, mapsOf, placed, readPart, valueAt } from "./graph.js";
import { OPERATIONS } from "./engine.js";

const EXPLAINED = [
  [/^conv\dd$/, convolution],
  [/^conv_transpose\dd$/, spreading],
  [/^linear$/, neuron],
  [/^(max|avg)_pool|^adaptive/, pooling],
  [/^batch_norm$/, normalization],
  [/^(layer|group)_norm$/, groupNormalization],
  [/^(add|sub|mul|div|rsub|rdiv)$/, twoValues],
  [/^cat$/, concatenation],
  [/^(softmax|log_softmax)$/, shares],
];

export function explain(network, tensors, made, name, place) {
  const step = network.steps.get(name);
  if (!step) return { kind: "input", words: "the image, as the network gets it", terms: [] };
  const [source] = network.reads(name),
    input = made[source];
  const seen = { network, tensors, made, step, place, source, input, value: at(made[name], place) };
  // Of a layer that the page does not compute neither weights nor settings are known.
  const known = step.isTold ? [] : EXPLAINED,
    [, explained] = known.find(([operation]) => operation.test(step.operation)) ?? [];
  return { value: seen.value, source, ...(explained ?? alone)(seen) };
}

const at = (tensor, place) => valueAt(tensor, mapsOf(tensor), place);
const optional = (tensors, option) => (option ? tensors[option.tensor].values : null);

// --- Sums of products ------------------------------------------------------------------------

const plusBias = (bias) => (bias === null ? "" : ", plus a bias");

function convolution({ tensors, step, place: [channel, row, column], source, input }) {
  const { options, operation } = step,
    weight = tensors[options.weight.tensor],
    maps = mapsOf(input);
  const isLine = operation === "conv1d",
    depth = weight.shape[1];
  const [height, width] = isLine ? [1, weight.shape[2]] : weight.shape.slice(2);
  const first = Math.floor(channel / (weight.shape[0] / (options.groups ?? 1))) * depth;
  const part = readPart(
    step,
    tensors,
    { channel, top: row, left: column, bottom: row + 1, right: column + 1 },
    maps,
    maps,
  );
  const [down, across] = isLine ? [1, [options.dilation ?? 1].flat()[0]] : pair(options.dilation ?? 1);
  const bias = optional(tensors, options.bias)?.[channel] ?? null;
  const terms = Array.from({ length: depth }, (_, c) => {
    const kernel = weight.values.subarray(
      (channel * depth + c) * height * width,
      (channel * depth + c + 1) * height * width,
    );
    const window = Array.from(kernel, (_, i) => {
      const [r, q] = [part.top + Math.floor(i / width) * down, part.left + (i % width) * across];
      return valueInside(input, maps, [first + c, r, q]);
    });
    return windowTerm(source, first + c, window, kernel);
  });
  const size = isLine ? `${width}` : `${height}×${width}`,
    windows = depth === 1 ? "a window" : `${depth} windows`;
  return {
    ...windowsAdded(terms, height, width, bias),
    words: `${windows} of ${size}, times ${depth === 1 ? "its kernel" : "kernels"}${plusBias(bias)}`,
  };
}

// A transposed convolution turned around: the inputs whose kernels reach this place, each times the
// weight that falls on it.
function spreading({ tensors, step, place: [channel, row, column], source, input }) {
  const { options, operation } = step,
    weight = tensors[options.weight.tensor],
    maps = mapsOf(input);
  const isLine = operation.endsWith("1d"),
    each = weight.shape[1];
  const [height, width] = isLine ? [1, weight.shape[2]] : weight.shape.slice(2);
  const along = (name, usual) =>
    isLine ? [usual, [options[name] ?? usual].flat()[0]] : pair(options[name] ?? usual);
  const [stride, padding, dilation] = [along("stride", 1), along("padding", 0), along("dilation", 1)];
  const depth = maps.count / (options.groups ?? 1),
    first = Math.floor(channel / each) * depth;
  const bias = optional(tensors, options.bias)?.[channel] ?? null;
  const terms = Array.from({ length: depth }, (_, c) => {
    const from = ((first + c) * each + (channel % each)) * height * width;
    const kernel = weight.values.subarray(from, from + height * width);
    const window = Array.from(kernel, (_, i) => {
      const r = (row + padding[0] - Math.floor(i / width) * dilation[0]) / stride[0];
      const q = (column + padding[1] - (i % width) * dilation[1]) / stride[1];
      const isThere = Number.isInteger(r) && Number.isInteger(q);
      return isThere ? valueInside(input, maps, [first + c, r, q]) : null;
    });
    return windowTerm(source, first + c, window, kernel);
  });
  return {
    ...windowsAdded(terms, height, width, bias),
    words: `${depth} map${depth > 1 ? "s" : ""}, whose kernels fall on this place${plusBias(bias)}`,
  };
}

function neuron({ tensors, step, place, source, input }) {
  const weight = tensors[step.options.weight.tensor],
    length = weight.shape[1];
  const [unit, line] = input.shape.length > 2 ? [place[2], place[1]] : [place[0], 0];
  const weights = weight.values.subarray(unit * length, (unit + 1) * length);
  const inputs = input.values.subarray(line * length, (line + 1) * length);
  const bias = optional(tensors, step.options.bias)?.[unit] ?? null;
  const terms = Array.from(weights, (w, i) => ({
    stage: source,
    channel: i,
    input: inputs[i],
    weight: w,
    value: inputs[i] * w,
  }));
  const parts = (sign) => sumOf(terms.map(({ value }) => value).filter((value) => value * sign > 0));
  return {
    kind: "products",
    terms,
    bias,
    positive: parts(1),
    negative: parts(-1),
    sum: parts(1) + parts(-1) + (bias ?? 0),
    words: `all ${length} inputs, each times its weight${plusBias(bias)}`,
  };
}

const pair = (option) => {
  const given = [option].flat();
  return [given[0], given.at(-1)];
};
const sumOf = (values) => values.reduce((sum, value) => sum + value, 0);

// The value at a place of a map; null beyond its edges, where padding is.
const valueInside = (input, maps, [channel, r, q]) =>
  r >= 0 && q >= 0 && r < maps.height && q < maps.width ? valueAt(input, maps, [channel, r, q]) : null;

function windowTerm(stage, channel, window, kernel) {
  const products = window.map((value, i) => (value ?? 0) * kernel[i]);
  return { stage, channel, window, kernel: [...kernel], products, value: sumOf(products) };
}

function windowsAdded(terms, height, width, bias) {
  const sum = sumOf(terms.map(({ value }) => value)) + (bias ?? 0);
  return { kind: "windows", height, width, bias, terms, sum };
}

// --- One window ------------------------------------------------------------------------------

function pooling({ tensors, made, step, place: [channel, row, column], source, input }) {
  const maps = mapsOf(input),
    to = mapsOf(made[step.name]);
  const part = readPart(
    step,
    tensors,
    { channel, top: row, left: column, bottom: row + 1, right: column + 1 },
    maps,
    to,
  );
  const window = [];
  for (let r = part.top; r < part.bottom; r++) {
    for (let q = part.left; q < part.right; q++) {
      window.push(valueInside(input, maps, [channel, r, q]));
    }
  }
  const inside = window.filter((value) => value !== null),
    isMax = step.operation.includes("max");
  const winner = isMax ? window.indexOf(Math.max(...inside)) : -1;
  return {
    kind: "window",
    window,
    winner,
    height: part.bottom - part.top,
    width: part.right - part.left,
    terms: [{ stage: source, channel, value: null }],
    sum: isMax ? window[winner] : sumOf(inside) / inside.length,
    words: isMax ? `the largest of ${inside.length}` : `the mean of ${inside.length}`,
  };
}

// --- One value -------------------------------------------------------------------------------

function normalization({ tensors, step, place, source, input }) {
  const { options } = step,
    [channel] = place,
    x = at(input, place);
  const mean = tensors[options.running_mean.tensor].values[channel];
  const deviation = Math.sqrt(tensors[options.running_var.tensor].values[channel] + (options.eps ?? 1e-5));
  const weight = optional(tensors, options.weight)?.[channel] ?? 1,
    bias = optional(tensors, options.bias)?.[channel] ?? 0;
  return {
    kind: "normal",
    x,
    mean,
    deviation,
    weight,
    bias,
    terms: [{ stage: source, channel, value: null }],
    sum: ((x - mean) / deviation) * weight + bias,
    words: "less the mean, by the deviation, times a weight, plus a bias",
  };
}

// The same with the mean and the deviation of all values of this image that are normalized together.
function groupNormalization({ tensors, step, place, source, input }) {
  const { operation, options } = step,
    [channel, row, column] = place,
    maps = mapsOf(input),
    size = maps.height * maps.width;
  const isLayer = operation === "layer_norm",
    number = (channel * maps.height + row) * maps.width + column;
  const length = isLayer
    ? [options.normalized_shape].flat().reduce((a, b) => a * b, 1)
    : (maps.count / options.num_groups) * size;
  const from = Math.floor(number / length) * length,
    values = input.values.subarray(from, from + length);
  const mean = sumOf([...values]) / length,
    squares = sumOf(Array.from(values, (value) => (value - mean) ** 2));
  const deviation = Math.sqrt(squares / length + (options.eps ?? 1e-5)),
    own = isLayer ? number % length : channel;
  const weight = optional(tensors, options.weight)?.[own] ?? 1,
    bias = optional(tensors, options.bias)?.[own] ?? 0;
  const x = input.values[number];
  return {
    kind: "normal",
    x,
    mean,
    deviation,
    weight,
    bias,
    terms: [{ stage: source, channel, value: null }],
    sum: ((x - mean) / deviation) * weight + bias,
    words: `less the mean of ${length} values, by their deviation, times a weight, plus a bias`,
  };
}

function twoValues({ network, tensors, made, step, place }) {
  const other = step.options.other,
    names = network.reads(step.name);
  const values = names.map((name) => ({
    stage: name,
    channel: place[0],
    value: alike(made[name], place),
  }));
  if (typeof other === "number") values.push({ stage: "", channel: 0, value: other });
  if (other?.tensor !== undefined)
    values.push({ stage: "", channel: 0, value: alike(tensors[other.tensor], place) });
  if (values.length === 1) values.push(values[0]);
  const [one, two] = values.map((each) => each.value),
    sum = PAIRS[step.operation](one, two * (step.options.alpha ?? 1));
  return {
    kind: "pair",
    values,
    sign: SIGNS[step.operation],
    sum,
    terms: values.filter(({ stage }) => stage),
    words: WORDS[step.operation],
  };
}

const PAIRS = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  rsub: (a, b) => b - a,
  rdiv: (a, b) => b / a,
};
const SIGNS = { add: "+", sub: "−", mul: "×", div: "÷", rsub: "from", rdiv: "divides" };
const WORDS = {
  add: "the sum of two values",
  sub: "the difference of two values",
  mul: "the product of two values",
  div: "one value divided by another",
  rsub: "the difference of two values",
  rdiv: "one value divided by another",
};

// The value at the same place of a tensor whose axes of one are repeated.
function alike(tensor, place) {
  const maps = mapsOf(tensor.shape.length > 1 ? tensor : { shape: [1, ...tensor.shape] }),
    sizes = [maps.count, maps.height, maps.width];
  if (tensor.values.length === 1) return tensor.values[0];
  return valueAt(
    tensor,
    maps,
    place.map((each, axis) => (sizes[axis] === 1 ? 0 : each)),
  );
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

function moved(stage, place, made) {
  const [channel, row, column] = place,
    where = mapsOf(made[stage]).isVector
      ? `unit ${channel}`
      : `channel ${channel}, row ${row}, column ${column}`;
  return {
    kind: "moved",
    sum: at(made[stage], place),
    terms: [{ stage, channel, value: null }],
    words: `the same value as in ${stage}, ${where}`,
  };
}

function shares({ step, source, input, place: [unit] }) {
  const top = Math.max(...input.values),
    powers = Array.from(input.values, (v) => Math.exp(v - top));
  const isLog = step.operation === "log_softmax",
    share = powers[unit] / sumOf(powers);
  return {
    kind: "share",
    score: input.values[unit],
    share,
    sum: isLog ? Math.log(share) : share,
    isLog,
    terms: [{ stage: source, channel: unit, value: null }],
    words: isLog ? "the logarithm of its share of all powers of e" : "its share of all powers of e",
  };
}

// A function of the value at the same place; or a value that only moved.
function alone({ tensors, made, step, place, source, input }) {
  const maps = mapsOf(input),
    to = mapsOf(made[step.name]),
    { operation, options } = step;
  if (isMove(operation)) {
    const from =
      to.isVector && !maps.isVector
        ? placed(place[0], maps)
        : { channel: place[0], top: place[1], left: place[2] };
    return moved(source, [from.channel, from.top, from.left], made);
  }
  const isAlike = maps.count === to.count && maps.height === to.height && maps.width === to.width;
  if (!isAlike || !isPointwise(operation)) {
    return { kind: "unknown", terms: [], words: `made by ${operation} of ${source}` };
  }
  const rest = Object.fromEntries(Object.entries(options).filter(([key]) => key !== "input"));
  if (options.weight)
    rest.weight = { shape: [1], values: [slopeOf(tensors[options.weight.tensor], place[0])] };
  const one = (v) => ({ shape: [1, 1], values: new Float32Array([v]) });
  const f = (v) => OPERATIONS[operation](one(v), rest).values[0],
    x = at(input, place);
  return {
    kind: "function",
    f,
    x,
    sum: f(x),
    terms: [{ stage: source, channel: place[0], value: null }],
    words: operation === "relu" ? "negative becomes zero" : `${operation} of one value`,
  };
}

const slopeOf = ({ values }, channel) => values[values.length === 1 ? 0 : channel];

const POINTWISE = new Set([
  "relu",
  "relu6",
  "leaky_relu",
  "elu",
  "celu",
  "selu",
  "hardtanh",
  "clamp",
  "sigmoid",
  "logsigmoid",
  "tanh",
  "gelu",
  "silu",
  "mish",
  "softplus",
  "softsign",
  "hardsigmoid",
  "hardswish",
  "abs",
  "neg",
  "exp",
  "sqrt",
  "prelu",
]);
const isPointwise = (operation) => POINTWISE.has(operation);
