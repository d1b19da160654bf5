// The way back through a network: how much the loss grows with each value and with each weight.
//
// For each operation there is a rule. It is given the slopes of the loss for what the operation made,
// and the operation's own options, and returns the slopes for each option that is a tensor. What is
// used several times adds up its slopes. All of them are of double precision.

import { ACTIVATIONS, OPERATIONS, ROWS, adaptedFrom, axesOf, divisor, faded, inLine } from "./engine.js";
import { moments, pooledFrom, product, range, remade, slides, spread, tall, tallOptions } from "./engine.js";
import { SELU, told, usualAxis, walk } from "./engine.js";

const zeros = ({ values }) => new Float64Array(values.length);

// --- The loss --------------------------------------------------------------------------------

// The cross-entropy of some scores: minus the logarithm of the label's probability. Its slope for a
// score is the probability of that class, less 1 for the label.
export function crossEntropy({ shape, values }, label) {
  const top = values.reduce((a, b) => Math.max(a, b)), powers = Array.from(values, (v) => Math.exp(v - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  const slopes = Float64Array.from(powers, (power, i) => power / sum - (i === label ? 1 : 0));
  return { loss: Math.log(sum) - (values[label] - top), slopes: { shape, values: slopes } };
}

// --- Sums of products ------------------------------------------------------------------------

// A product grows with one factor by the other factor.
function linearBack(slopes, { input, weight, bias }) {
  const [many, length] = weight.shape, back = { input: zeros(input), weight: zeros(weight) };
  if (bias) back.bias = zeros(bias);
  slopes.values.forEach((slope, at) => {
    const unit = at % many, from = ((at - unit) / many) * length, row = unit * length;
    for (let i = 0; i < length; i++) {
      back.weight[row + i] += slope * input.values[from + i];
      back.input[from + i] += slope * weight.values[row + i];
    }
    if (bias) back.bias[unit] += slope;
  });
  return back;
}

// Each weight of a kernel meets one value in each window: its slope adds up those values, each times
// the slope of what its window became, and each of those values gets that slope times the weight.
function convolutionBack(slopes, { groups = 1, ...options }) {
  const { input, weight, bias } = options, [images, channels, height, width] = input.shape;
  const [kernels, depth, kh, kw] = weight.shape, [down, across] = slides(input, options);
  const back = { input: zeros(input), weight: zeros(weight) }, places = down.count * across.count;
  for (let n = 0; n < images; n++) {
    for (let k = 0; k < kernels; k++) {
      const first = Math.floor(k / (kernels / groups)) * depth, above = (n * kernels + k) * places;
      for (let tap = 0; tap < depth * kh * kw; tap++) {
        const c = Math.floor(tap / (kh * kw)), i = Math.floor(tap / kw) % kh, j = tap % kw;
        const own = k * depth * kh * kw + tap, plane = (n * channels + first + c) * height * width;
        let sum = 0;
        for (let r = 0; r < down.count; r++) {
          const row = r * down.stride - down.before + i * down.dilation;
          if (row < 0 || row >= height) continue;
          let column = j * across.dilation - across.before;
          for (let q = 0; q < across.count; q++, column += across.stride) {
            if (column < 0 || column >= width) continue;
            const slope = slopes.values[above + r * across.count + q], at = plane + row * width + column;
            sum += slope * input.values[at];
            back.input[at] += slope * weight.values[own];
          }
        }
        back.weight[own] += sum;
      }
    }
  }
  return bias ? { ...back, bias: perChannel(slopes, (slope) => slope) } : back;
}

// Adds up something of each value, for each channel.
function perChannel({ shape, values }, of) {
  const channels = shape[1], each = product(shape.slice(2)), sums = new Float64Array(channels);
  values.forEach((slope, i) => {
    const c = Math.floor(i / each) % channels;
    sums[c] += of(slope, i, c);
  });
  return sums;
}

// What is done to images of one row is done to signals.
const alongLineBack = (rule) => ({ shape, values }, { input, ...options }) =>
  rule(tall({ shape, values }), { input: tall(input), ...tallOptions(options) });

// --- One value at a time ---------------------------------------------------------------------

// How much a function without corners grows at v: seen a little above and a little below.
const LITTLE = 1e-5;
const nearby = (f) => (v, options) => (f(v + LITTLE, options) - f(v - LITTLE, options)) / (2 * LITTLE);

// How much the others grow.
const GROWTH = {
  ...remade(ACTIVATIONS, nearby),
  relu: (v) => (v > 0 ? 1 : 0),
  relu6: (v) => (v > 0 && v < 6 ? 1 : 0),
  leaky_relu: (v, { negative_slope = 0.01 }) => (v > 0 ? 1 : negative_slope),
  elu: (v, { alpha = 1 }) => (v > 0 ? 1 : alpha * Math.exp(v)),
  celu: (v, { alpha = 1 }) => (v > 0 ? 1 : Math.exp(v / alpha)),
  selu: (v) => SELU[0] * (v > 0 ? 1 : SELU[1] * Math.exp(v)),
  softsign: (v) => 1 / (1 + Math.abs(v)) ** 2,
  hardtanh: (v, { min_val = -1, max_val = 1 }) => (v > min_val && v < max_val ? 1 : 0),
  clamp: (v, { min = -Infinity, max = Infinity }) => (v >= min && v <= max ? 1 : 0),
  hardsigmoid: (v) => (v > -3 && v < 3 ? 1 / 6 : 0),
  hardswish: (v) => (v < -3 ? 0 : v <= 3 ? v / 3 + 0.5 : 1),
  abs: Math.sign,
  sqrt: (v) => 0.5 / Math.sqrt(v),
  rsqrt: (v) => -0.5 / v ** 1.5,
  log: (v) => 1 / v,
  reciprocal: (v) => -1 / v ** 2,
};

const growthBack = (growth) => ({ values }, { input, ...options }) =>
  ({ input: values.map((slope, i) => slope * growth(input.values[i], options)) });

// Below zero the value and its weight are a product.
function preluBack(slopes, { input, weight }) {
  const isOne = weight.values.length === 1, x = input.values, own = (c) => weight.values[isOne ? 0 : c];
  const back = zeros(input), sums = perChannel(slopes, (slope, i, c) => {
    back[i] = x[i] > 0 ? slope : slope * own(c);
    return x[i] > 0 ? 0 : slope * x[i];
  });
  return { input: back, weight: isOne ? [sums.reduce((a, b) => a + b)] : sums };
}

// In eval mode the mean and the deviation are numbers like any other.
function normBack(slopes, { input, running_mean, running_var, weight, bias, eps = 1e-5 }) {
  const deviation = Array.from(running_var.values, (value) => Math.sqrt(value + eps)), back = zeros(input);
  const normal = (i, c) => (input.values[i] - running_mean.values[c]) / deviation[c];
  const sums = perChannel(slopes, (slope, i, c) => {
    back[i] = (slope * (weight ? weight.values[c] : 1)) / deviation[c];
    return slope * normal(i, c);
  });
  return {
    input: back,
    ...(weight ? { weight: sums } : {}),
    ...(bias ? { bias: perChannel(slopes, (slope) => slope) } : {}),
  };
}

// Where a row's own mean and deviation are used, what moves all of its values alike changes nothing,
// and neither does what spreads them.
const rowsBack = (rows) => (slopes, { input, weight, bias, eps, ...options }) => {
  const [length, which] = rows(input, options), x = input.values, back = zeros(input);
  const sums = { ...(weight ? { weight: zeros(weight) } : {}), ...(bias ? { bias: zeros(bias) } : {}) };
  for (let from = 0; from < x.length; from += length) {
    const { mean, deviation } = moments(x.subarray(from, from + length), eps);
    const places = range(from, from + length);
    const normal = (i) => (x[i] - mean) / deviation;
    const own = (i) => slopes.values[i] * (weight ? weight.values[which(i)] : 1);
    const moved = places.reduce((sum, i) => sum + own(i), 0) / length;
    const stretched = places.reduce((sum, i) => sum + own(i) * normal(i), 0) / length;
    for (const i of places) {
      back[i] = (own(i) - moved - stretched * normal(i)) / deviation;
      if (weight) sums.weight[which(i)] += slopes.values[i] * normal(i);
      if (bias) sums.bias[which(i)] += slopes.values[i];
    }
  }
  return { input: back, ...sums };
};

// A score lifts its own share, and takes from all others.
function softmaxBack(slopes, { input, dim = usualAxis(input) }, log = false) {
  const { mul, sub, sum } = OPERATIONS, shares = OPERATIONS.softmax(input, { dim });
  const all = sum(log ? slopes : mul(slopes, { other: shares }), { dim, keepdim: true });
  if (log) return { input: sub(slopes, { other: mul(shares, { other: all }) }).values };
  return { input: mul(shares, { other: sub(slopes, { other: all }) }).values };
}

// --- Windows ---------------------------------------------------------------------------------

// Shares out the slope of each window: `give` gets it with the places of the window's values.
function poolBack([down, across], slopes, input, give) {
  const [height, width] = input.shape.slice(-2), size = down.length * across.length, back = zeros(input);
  slopes.values.forEach((slope, at) => {
    const plane = Math.floor(at / size) * height * width, places = [];
    const rows = down[Math.floor((at % size) / across.length)], columns = across[at % across.length];
    for (let row = rows.from; row < rows.to; row += rows.step)
      for (let column = columns.from; column < columns.to; column += columns.step)
        places.push(plane + row * width + column);
    give(back, slope, places, rows, columns);
  });
  return { input: back };
}

// The largest value gets all of it, the first one of equals.
const maxBack = (sides) => (slopes, { input, ...options }) =>
  poolBack(sides(input, options), slopes, input, (back, slope, places) => {
    back[places.reduce((best, at) => (input.values[at] > input.values[best] ? at : best))] += slope;
  });

// All values get the same.
const averageBack = (sides, divided) => (slopes, { input, ...options }) => {
  const by = divided(options);
  return poolBack(sides(input, options), slopes, input, (back, slope, places, ...place) => {
    for (const at of places) back[at] += slope / by(places, ...place);
  });
};

const POOLS = {
  max_pool2d: maxBack(pooledFrom),
  adaptive_max_pool2d: maxBack(adaptedFrom),
  avg_pool2d: averageBack(pooledFrom, (options) => (_, ...place) => divisor(options)(...place)),
  adaptive_avg_pool2d: averageBack(adaptedFrom, () => ({ length }) => length),
};

// A mean or a sum of whole axes.
const reducedBack = (share) => (slopes, { input, dim }) => {
  const { shape } = input, axes = axesOf(input, dim), back = zeros(input);
  const { steps } = spread({ shape: shape.map((size, d) => (axes.includes(d) ? 1 : size)) }, shape.length);
  const part = share(slopes.values.length / back.length);
  walk(shape, [steps], (at, from) => (back[at] = slopes.values[from] * part));
  return { input: back };
};

// --- Two tensors -----------------------------------------------------------------------------

// How much f(a, b) grows with each of them; what was repeated adds up its slopes.
const pairwiseBack = (withFirst, withOther) => (slopes, { input, other, alpha = 1 }) => {
  const second = typeof other === "number" ? { shape: [], values: [other] } : other;
  const steps = [input, second].map((each) => spread(each, slopes.shape.length).steps);
  const back = { input: zeros(input), other: zeros(second) };
  walk(slopes.shape, steps, (at, i, j) => {
    const a = input.values[i], b = second.values[j] * alpha, slope = slopes.values[at];
    back.input[i] += slope * withFirst(a, b);
    back.other[j] += slope * withOther(a, b) * alpha;
  });
  return back;
};

// The slopes times the other factor, turned; where many rows share one factor, they are one table.
function matmulBack(slopes, { input, other }) {
  const table = (x) => (other.shape.length > 2 ? x : OPERATIONS.flatten(x, { end_dim: -2 }));
  const turned = (x) => OPERATIONS.transpose(x, { dim0: -2, dim1: -1 });
  const back = (left, right) => OPERATIONS.matmul(left, { other: right }).values;
  return { input: back(table(slopes), turned(other)), other: back(turned(table(input)), table(slopes)) };
}

// --- Values that only move -------------------------------------------------------------------

// The operation itself tells where each value came from: it is given numbers of places, from 1 on, in
// the place of values. What came from nowhere, as padding did, has the number 0.
const movedBack = (operation) => (slopes, { input, tensors = [input], ...options }) => {
  let count = 0;
  const places = tensors.map(({ shape, values }) => ({ shape, values: values.map(() => ++count) }));
  const from = OPERATIONS[operation](places[0], { ...options, tensors: places, value: 0 }).values;
  const back = new Float64Array(count + 1);
  from.forEach((place, at) => (back[place] += slopes.values[at]));
  const parts = places.map(({ values }) => back.subarray(values[0], values[0] + values.length));
  return input ? { input: parts[0] } : { tensors: parts };
};

const MOVES = ["reshape", "flatten", "permute", "transpose", "cat", "pad", "move", "identity", "dropout"];

// --- All of them -----------------------------------------------------------------------------

const BACK = { conv2d: convolutionBack, ...POOLS };

export const RULES = {
  ...remade(GROWTH, growthBack),
  ...Object.fromEntries(MOVES.map((name) => [name, movedBack(name)])),
  ...{ ...BACK, ...inLine(remade(BACK, alongLineBack)) },
  ...{ linear: linearBack, matmul: matmulBack, prelu: preluBack, batch_norm: normBack },
  ...remade(ROWS, rowsBack),
  softmax: softmaxBack,
  log_softmax: (slopes, options) => softmaxBack(slopes, options, true),
  mean: reducedBack((share) => share),
  sum: reducedBack(() => 1),
  add: pairwiseBack(() => 1, () => 1),
  sub: pairwiseBack(() => 1, () => -1),
  rsub: pairwiseBack(() => -1, () => 1),
  mul: pairwiseBack((_, b) => b, (a) => a),
  div: pairwiseBack((_, b) => 1 / b, (a, b) => -a / b ** 2),
  rdiv: pairwiseBack((a, b) => -b / a ** 2, (a) => 1 / a),
};

// --- A whole network -------------------------------------------------------------------------

// Goes back from a stage with the slopes of the loss for it, a step at a time, and returns the slopes
// for all stages by name and for the network's own tensors by number.
export function* backward({ steps }, tensors, made, changes, start, slopes) {
  const found = { stages: { __proto__: null, [start]: slopes }, tensors: [] };
  const add = (option, part) => {
    if (Array.isArray(option)) return option.forEach((one, i) => add(one, part[i]));
    if (typeof option !== "object") return;
    const [all, key, from] = "stage" in option
      ? [found.stages, option.stage, made]
      : [found.tensors, option.tensor, tensors];
    const { shape, values } = from[key];
    all[key] ??= { shape, values: new Float64Array(values.length) };
    part.forEach((slope, i) => (all[key].values[i] += slope));
  };
  for (const { name, operation, options } of [...steps].reverse()) {
    if (!(name in found.stages)) continue;
    // What was made weaker has as much less to say.
    const own = faded(found.stages[name], changes[name] ?? {});
    const back = RULES[operation](own, told(options, made, tensors));
    for (const [key, part] of Object.entries(back)) add(options[key], part);
    yield;
  }
  return found;
}

// One step of gradient descent: each weight that learns goes down its slope, as far as `rate` says.
export function stepped(tensors, learns, slopes, rate) {
  return tensors.map((each, i) => {
    if (!learns[i] || !slopes[i]) return each;
    return { ...each, values: each.values.map((weight, k) => weight - rate * slopes[i].values[k]) };
  });
}
