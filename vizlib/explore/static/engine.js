// A network, computed here: each operation is PyTorch's of the same name, with its options by name.
//
// A tensor is { shape, values }: all of its numbers in one row, the last axis the fastest. Axes are
// N, C, H, W as in PyTorch. An operation takes a tensor and its options and returns a new tensor;
// sums are of double precision, and only what is stored is rounded to 32 bits.

export const product = (sizes) => sizes.reduce((all, size) => all * size, 1);
const tensor = (shape, values = new Float32Array(product(shape))) => ({ shape, values });
export const both = (option) => (Array.isArray(option) ? [option[0], option.at(-1)] : [option, option]);
export const axisOf = (x, axis) => (axis < 0 ? axis + x.shape.length : axis);
export const axesOf = (x, axes = null) =>
  (axes === null || axes.length === 0 ? [...x.shape.keys()] : [axes].flat().map((axis) => axisOf(x, axis)));
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// --- Sums of products ------------------------------------------------------------------------

// Multiplies each row (of `length` numbers) with each kernel, and hands the sums to `store`. Two
// rows by four kernels at a time: eight sums grow while six numbers are read.
function multiply(rows, rowCount, kernels, kernelCount, length, store) {
  for (let k = 0; k < kernelCount; k += 4) {
    const many = Math.min(4, kernelCount - k);
    const [k0, k1, k2, k3] = [0, 1, 2, 3].map((i) => (k + Math.min(i, many - 1)) * length);
    for (let r = 0; r < rowCount; r += 2) {
      const r0 = r * length, r1 = Math.min(r + 1, rowCount - 1) * length;
      let a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
      for (let i = 0; i < length; i++) {
        const a = rows[r0 + i], b = rows[r1 + i];
        const w0 = kernels[k0 + i], w1 = kernels[k1 + i], w2 = kernels[k2 + i], w3 = kernels[k3 + i];
        a0 += a * w0; a1 += a * w1; a2 += a * w2; a3 += a * w3;
        b0 += b * w0; b1 += b * w1; b2 += b * w2; b3 += b * w3;
      }
      store(r, k, many, a0, a1, a2, a3);
      if (r + 1 < rowCount) store(r + 1, k, many, b0, b1, b2, b3);
    }
  }
}

// Keeps the sums that `multiply` hands over, that of row r and kernel k at start + r · perRow +
// k · perKernel.
function keeper(values, start, perRow, perKernel, bias) {
  const put = (r, k, sum) => { values[start + r * perRow + k * perKernel] = sum + (bias ? bias[k] : 0); };
  return (r, k, many, s0, s1, s2, s3) => {
    put(r, k, s0);
    if (many > 1) put(r, k + 1, s1);
    if (many > 2) put(r, k + 2, s2);
    if (many > 3) put(r, k + 3, s3);
  };
}

let scratch = new Float64Array(0); // where rows are laid out, kept from one operation to the next

function room(size) {
  if (scratch.length < size) scratch = new Float64Array(size);
  return scratch;
}

function laid(values) {
  const rows = room(values.length);
  rows.set(values);
  return rows;
}

function linear(x, { weight, bias }) {
  const [many, length] = weight.shape, out = tensor([...x.shape.slice(0, -1), many]);
  const store = keeper(out.values, 0, many, 1, bias?.values);
  multiply(laid(x.values), x.values.length / length, weight.values, many, length, store);
  return out;
}

// --- Convolution -----------------------------------------------------------------------------

// How a kernel slides along one axis: its reach, and where the first window begins.
function sliding(size, kernel, stride, padding, dilation) {
  const span = dilation * (kernel - 1) + 1;
  const total = padding === "same" ? span - 1 : padding === "valid" ? 0 : 2 * padding;
  const before = Math.floor(total / 2);
  return { size, kernel, stride, dilation, before, count: Math.floor((size + total - span) / stride) + 1 };
}

// Lays out the windows of some channels, each window as one row: a convolution is then each window
// times each kernel. What lies in the padding is 0.
function windows(plane, channels, down, across, values) {
  const length = channels * down.kernel * across.kernel, rows = room(length * down.count * across.count);
  rows.fill(0, 0, length * down.count * across.count);
  for (let c = 0, tap = 0; c < channels; c++) {
    for (let i = 0; i < down.kernel; i++) {
      for (let j = 0; j < across.kernel; j++, tap++) {
        for (let r = 0; r < down.count; r++) {
          const row = r * down.stride - down.before + i * down.dilation;
          if (row < 0 || row >= down.size) continue;
          const line = plane + (c * down.size + row) * across.size;
          let at = r * across.count * length + tap, column = j * across.dilation - across.before;
          for (let q = 0; q < across.count; q++, at += length, column += across.stride) {
            if (column >= 0 && column < across.size) rows[at] = values[line + column];
          }
        }
      }
    }
  }
  return rows;
}

// The same along both axes.
export function slides(x, { weight, stride = 1, padding = 0, dilation = 1 }) {
  const [strides, paddings, dilations] = [stride, padding, dilation].map(both);
  return [0, 1].map((d) =>
    sliding(x.shape[2 + d], weight.shape[2 + d], strides[d], paddings[d], dilations[d]));
}

function conv2d(x, { groups = 1, ...options }) {
  const [images, channels, height, width] = x.shape, { weight, bias } = options;
  const [kernels, depth, ...kernel] = weight.shape, [down, across] = slides(x, options);
  const places = down.count * across.count, length = depth * kernel[0] * kernel[1];
  const out = tensor([images, kernels, down.count, across.count]), many = kernels / groups;
  for (let n = 0; n < images; n++) {
    for (let g = 0; g < groups; g++) {
      const rows = windows((n * channels + g * depth) * height * width, depth, down, across, x.values);
      const own = weight.values.subarray(g * many * length), added = bias?.values.subarray(g * many);
      const store = keeper(out.values, (n * kernels + g * many) * places, 1, places, added);
      multiply(rows, places, own, many, length, store);
    }
  }
  return out;
}

// Each value of the input lays a whole kernel, multiplied by it, onto the output; what falls on one
// place is added.
function conv_transpose2d(x, options) {
  const { weight, bias, stride = 1, padding = 0, output_padding = 0, groups = 1, dilation = 1 } = options;
  const [images, channels, height, width] = x.shape, [, many, kh, kw] = weight.shape;
  const [[sh, sw], [ph, pw], [dh, dw], [eh, ew]] = [stride, padding, dilation, output_padding].map(both);
  const oh = (height - 1) * sh - 2 * ph + dh * (kh - 1) + eh + 1;
  const ow = (width - 1) * sw - 2 * pw + dw * (kw - 1) + ew + 1;
  const sums = new Float64Array(images * many * groups * oh * ow), each = channels / groups;
  for (let n = 0; n < images; n++) {
    for (let c = 0; c < channels; c++) {
      for (let o = 0; o < many; o++) {
        const plane = (n * many * groups + Math.floor(c / each) * many + o) * oh * ow;
        for (let i = 0; i < kh; i++) {
          for (let j = 0; j < kw; j++) {
            const factor = weight.values[((c * many + o) * kh + i) * kw + j];
            for (let r = 0; r < height; r++) {
              const row = r * sh - ph + i * dh, line = ((n * channels + c) * height + r) * width;
              if (row < 0 || row >= oh) continue;
              for (let q = 0, column = j * dw - pw; q < width; q++, column += sw) {
                if (column < 0 || column >= ow) continue;
                sums[plane + row * ow + column] += factor * x.values[line + q];
              }
            }
          }
        }
      }
    }
  }
  const area = oh * ow, added = (i) => (bias ? bias.values[Math.floor(i / area) % (many * groups)] : 0);
  return tensor([images, many * groups, oh, ow], Float32Array.from(sums, (sum, i) => sum + added(i)));
}

// What is done to images of one row is done to signals (N, C, L): they are images of one row.
const LINES = ["stride", "padding", "dilation", "kernel_size", "output_size", "output_padding"];
const NEUTRAL = { stride: 1, dilation: 1, kernel_size: 1, output_size: 1 };

export const tall = ({ shape, values }) => tensor([...shape.slice(0, -1), 1, shape.at(-1)], values);

export function tallOptions(options) {
  const given = { ...options };
  for (const name of LINES) {
    const value = [given[name]].flat()[0];
    if (Number.isFinite(value)) given[name] = [NEUTRAL[name] ?? 0, value];
  }
  if (given.weight) given.weight = tall(given.weight);
  return given;
}

const alongLine = (operation) => (x, options) => {
  const { shape, values } = operation(tall(x), tallOptions(options));
  return tensor([...shape.slice(0, -2), shape.at(-1)], values);
};

// --- Pooling ---------------------------------------------------------------------------------

// Joins all values of each window; `down` and `across` are the windows along each axis.
function pool(x, down, across, start, join, finish = (value) => value) {
  const [height, width] = x.shape.slice(-2), planes = x.values.length / (height * width);
  const out = tensor([...x.shape.slice(0, -2), down.length, across.length]);
  let at = 0;
  for (let plane = 0; plane < planes; plane++) {
    for (const rows of down) {
      for (const columns of across) {
        let value = start;
        for (let row = rows.from; row < rows.to; row += rows.step) {
          const line = (plane * height + row) * width;
          for (let column = columns.from; column < columns.to; column += columns.step) {
            value = join(value, x.values[line + column]);
          }
        }
        out.values[at++] = finish(value, rows, columns);
      }
    }
  }
  return out;
}

// The windows of a pooling along one axis: which values of the input each has, and its size with
// what it has of the padding.
function poolWindows(size, kernel, stride, padding, dilation, ceil) {
  const span = dilation * (kernel - 1) + 1, places = (size + 2 * padding - span) / stride;
  let count = (ceil ? Math.ceil(places) : Math.floor(places)) + 1;
  // No window may begin behind the padding.
  if (ceil && (count - 1) * stride >= size + padding) count--;
  return Array.from({ length: count }, (_, i) => {
    const begin = i * stride - padding, outside = Math.max(0, Math.ceil(-begin / dilation));
    const from = begin + outside * dilation;
    const padded = Math.min(begin + span, size + padding) - begin;
    return { from, to: Math.min(begin + span, size), step: dilation, padded };
  });
}

// Windows of a pooling stand side by side, unless it is said how far apart.
export const strideOf = ({ kernel_size, stride = [] }) => ([stride].flat().length ? stride : kernel_size);

// … and along both axes.
export function pooledFrom(x, { kernel_size, stride, padding = 0, dilation = 1, ceil_mode = false }) {
  const steps = strideOf({ kernel_size, stride });
  const [kernels, strides, paddings, dilations] = [kernel_size, steps, padding, dilation].map(both);
  return x.shape.slice(-2).map((size, d) =>
    poolWindows(size, kernels[d], strides[d], paddings[d], dilations[d], ceil_mode));
}

const plus = (sum, value) => sum + value;
const larger = (a, b) => Math.max(a, b);
const area = (rows, columns) => (rows.to - rows.from) * (columns.to - columns.from);
const max_pool2d = (x, options) => pool(x, ...pooledFrom(x, options), -Infinity, Math.max);

// What the sum of a window is divided by.
export function divisor({ count_include_pad = true, divisor_override }) {
  const counted = count_include_pad ? (rows, columns) => rows.padded * columns.padded : area;
  return (...place) => divisor_override ?? counted(...place);
}

function avg_pool2d(x, options) {
  const by = divisor(options);
  return pool(x, ...pooledFrom(x, options), 0, plus, (sum, ...place) => sum / by(...place));
}

export function adaptedFrom(x, { output_size }) {
  return x.shape.slice(-2).map((size, d) => {
    const count = both(output_size)[d] ?? size;
    const edge = (i) => Math.floor((i * size) / count), end = (i) => Math.ceil(((i + 1) * size) / count);
    return Array.from({ length: count }, (_, i) => ({ from: edge(i), to: end(i), step: 1 }));
  });
}

const average = (sum, ...place) => sum / area(...place);
const adaptive_avg_pool2d = (x, options) => pool(x, ...adaptedFrom(x, options), 0, plus, average);
const adaptive_max_pool2d = (x, options) => pool(x, ...adaptedFrom(x, options), -Infinity, Math.max);

// --- Normalization ---------------------------------------------------------------------------

// (value − mean) / deviation · weight + bias, with numbers of its own for each channel.
function batch_norm(x, { running_mean, running_var, weight, bias, eps = 1e-5 }) {
  const channels = x.shape[1], each = product(x.shape.slice(2));
  return tensor(x.shape, x.values.map((value, i) => {
    const c = Math.floor(i / each) % channels, deviation = Math.sqrt(running_var.values[c] + eps);
    const normal = (value - running_mean.values[c]) / deviation;
    return normal * (weight ? weight.values[c] : 1) + (bias ? bias.values[c] : 0);
  }));
}

// For the norms whose mean and deviation are those of rows of values: how long a row is, and the place
// in weight and bias of each value.
export const ROWS = {
  layer_norm: (_, { normalized_shape }) => {
    const length = product([normalized_shape].flat());
    return [length, (i) => i % length];
  },
  group_norm: ({ shape: [, channels, ...size] }, { num_groups }) => {
    const each = product(size);
    return [(channels / num_groups) * each, (i) => Math.floor(i / each) % channels];
  },
  instance_norm: (x) => ROWS.group_norm(x, { num_groups: x.shape[1] }),
};

export function moments(row, eps = 1e-5) {
  const mean = row.reduce(plus, 0) / row.length;
  const squares = row.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / row.length + eps) };
}

const normalized = (rows) => (x, { weight, bias, eps, ...options }) => {
  const [length, which] = rows(x, options), out = tensor(x.shape);
  for (let from = 0; from < x.values.length; from += length) {
    const { mean, deviation } = moments(x.values.subarray(from, from + length), eps);
    for (let i = from; i < from + length; i++) {
      const factor = weight ? weight.values[which(i)] : 1, added = bias ? bias.values[which(i)] : 0;
      out.values[i] = ((x.values[i] - mean) / deviation) * factor + added;
    }
  }
  return out;
};

// --- One value at a time ---------------------------------------------------------------------

const each = (f) => (x, options = {}) => tensor(x.shape, x.values.map((value) => f(value, options)));
export const sigmoid = (v) => 1 / (1 + Math.exp(-v));
const sixth = (v) => clamp(v / 6 + 0.5, 0, 1);
const softplus = (v, { beta = 1, threshold = 20 } = {}) =>
  (v * beta > threshold ? v : Math.log1p(Math.exp(v * beta)) / beta);

// 2/√π · e^(−v²) · (v + 2v³/3 + 4v⁵/15 + …): all terms have one sign, so that nothing cancels.
function erf(v) {
  if (Math.abs(v) > 5) return Math.sign(v);
  let term = v, sum = v;
  for (let n = 1; Math.abs(term) > 1e-12 * Math.abs(sum); n++) sum += term *= (2 * v * v) / (2 * n + 1);
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-v * v) * sum;
}

const GELU = Math.sqrt(2 / Math.PI);

function gelu(v, { approximate = "none" }) {
  const share = approximate === "none" ? erf(v / Math.SQRT2) : Math.tanh(GELU * (v + 0.044715 * v ** 3));
  return (v / 2) * (1 + share);
}

// The slope for negative values is one number, or one for each channel.
function prelu(x, { weight }) {
  const size = product(x.shape.slice(2)), count = weight.values.length;
  const slope = (i) => weight.values[Math.floor(i / size) % count];
  return tensor(x.shape, x.values.map((v, i) => (v > 0 ? v : v * slope(i))));
}

export const SELU = [1.0507009873554805, 1.6732632423543772];
export const ACTIVATIONS = {
  relu: (v) => (v > 0 || Number.isNaN(v) ? v : 0),
  relu6: (v) => clamp(v, 0, 6),
  leaky_relu: (v, { negative_slope = 0.01 }) => (v > 0 ? v : v * negative_slope),
  elu: (v, { alpha = 1 }) => (v > 0 ? v : alpha * Math.expm1(v)),
  celu: (v, { alpha = 1 }) => (v > 0 ? v : alpha * Math.expm1(v / alpha)),
  selu: (v) => SELU[0] * (v > 0 ? v : SELU[1] * Math.expm1(v)),
  hardtanh: (v, { min_val = -1, max_val = 1 }) => clamp(v, min_val, max_val),
  clamp: (v, { min, max }) => clamp(v, min ?? -Infinity, max ?? Infinity),
  sigmoid,
  logsigmoid: (v) => -softplus(-v),
  tanh: Math.tanh,
  gelu,
  silu: (v) => v * sigmoid(v),
  mish: (v) => v * Math.tanh(softplus(v)),
  softplus,
  softsign: (v) => v / (1 + Math.abs(v)),
  hardsigmoid: sixth,
  hardswish: (v) => v * sixth(v),
  abs: Math.abs,
  neg: (v) => -v,
  exp: Math.exp,
  log: Math.log,
  sin: Math.sin,
  cos: Math.cos,
  sqrt: Math.sqrt,
  rsqrt: (v) => 1 / Math.sqrt(v),
  square: (v) => v * v,
  reciprocal: (v) => 1 / v,
};

// That of softmax, where the network does not say.
export const usualAxis = ({ shape }) => ([0, 1, 3].includes(shape.length) ? 0 : 1);

// Softmax gives shares of 1; the largest value is taken off first, so that no power is infinite.
function softmax(x, { dim = usualAxis(x) }, log = false) {
  return alongAxis(x, axisOf(x, dim), (row) => {
    const top = largest(row), sum = row.reduce((all, v) => all + Math.exp(v - top), 0);
    return row.map((v) => (log ? v - top - Math.log(sum) : Math.exp(v - top) / sum));
  });
}

// --- Two tensors -----------------------------------------------------------------------------

// Value by value; an axis of one is repeated along the other tensor's.
const pairwise = (f) => (a, { other, alpha = 1 }) => {
  if (typeof other === "number") return tensor(a.shape, a.values.map((v) => f(v, other * alpha)));
  if (String(a.shape) === String(other.shape)) {
    return tensor(a.shape, a.values.map((v, i) => f(v, other.values[i] * alpha)));
  }
  const [x, y] = [a, other].map((each) => spread(each, Math.max(a.shape.length, other.shape.length)));
  const shape = x.shape.map((size, d) => (size === 1 ? y.shape[d] : size)), out = tensor(shape);
  walk(shape, [x.steps, y.steps], (at, i, j) => (out.values[at] = f(a.values[i], other.values[j] * alpha)));
  return out;
};

export const PAIRS = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  pow: (a, b) => a ** b,
  rsub: (a, b) => b - a,
  rdiv: (a, b) => b / a,
  maximum: Math.max,
  minimum: Math.min,
};

// The shape with axes of one before it, and how far apart neighbours lie along each axis.
export function spread({ shape }, rank) {
  const full = [...Array(rank - shape.length).fill(1), ...shape];
  return { shape: full, steps: full.map((size, d) => (size === 1 ? 0 : product(full.slice(d + 1)))) };
}

// Goes through all places of a shape in order, with the place in each tensor that has such steps.
export function walk(shape, steps, visit) {
  const place = shape.map(() => 0), at = steps.map(() => 0), count = product(shape);
  for (let i = 0; i < count; i++) {
    visit(i, ...at);
    for (let d = shape.length - 1; d >= 0; d--) {
      const over = ++place[d] === shape[d];
      for (let t = 0; t < at.length; t++) at[t] += over ? -steps[t][d] * (shape[d] - 1) : steps[t][d];
      if (!over) break;
      place[d] = 0;
    }
  }
}

function matmul(a, { other }) {
  const [rows, length] = a.shape.slice(-2), columns = other.shape.at(-1);
  const turned = transpose(other, { dim0: -2, dim1: -1 }).values, count = product(a.shape.slice(0, -2));
  const shared = other.shape.length === 2, out = tensor([...a.shape.slice(0, -1), columns]);
  for (let n = 0; n < count; n++) {
    const left = a.values.subarray(n * rows * length, (n + 1) * rows * length);
    const right = turned.subarray(shared ? 0 : n * length * columns);
    multiply(laid(left), rows, right, columns, length, keeper(out.values, n * rows * columns, columns, 1));
  }
  return out;
}

function cat(_, { tensors, dim = 0 }) {
  const axis = axisOf(tensors[0], dim), shape = [...tensors[0].shape];
  shape[axis] = tensors.reduce((sum, x) => sum + x.shape[axis], 0);
  const out = tensor(shape), runs = tensors.map((x) => product(x.shape.slice(axis)));
  for (let n = 0, at = 0; n < product(shape.slice(0, axis)); n++) {
    tensors.forEach((x, i) => {
      out.values.set(x.values.subarray(n * runs[i], (n + 1) * runs[i]), at);
      at += runs[i];
    });
  }
  return out;
}

// --- Axes ------------------------------------------------------------------------------------

const reshape = (x, { shape }) => tensor(shape, x.values);

function flatten(x, { start_dim = 0, end_dim = -1 }) {
  const [start, end] = [axisOf(x, start_dim), axisOf(x, end_dim)], { shape } = x;
  const one = product(shape.slice(start, end + 1));
  return tensor([...shape.slice(0, start), one, ...shape.slice(end + 1)], x.values);
}

function permute(x, { dims }) {
  const order = dims.map((axis) => axisOf(x, axis)), shape = order.map((axis) => x.shape[axis]);
  const steps = order.map((axis) => product(x.shape.slice(axis + 1))), out = tensor(shape);
  walk(shape, [steps], (at, from) => (out.values[at] = x.values[from]));
  return out;
}

function transpose(x, { dim0, dim1 }) {
  const dims = [...x.shape.keys()], [a, b] = [axisOf(x, dim0), axisOf(x, dim1)];
  [dims[a], dims[b]] = [b, a];
  return permute(x, { dims });
}

// The places of one axis that `indices` name, in their order; an index below 0 stands for `value`.
function take(x, axis, indices, value = 0) {
  const shape = [...x.shape], size = shape[axis], run = product(shape.slice(axis + 1));
  shape[axis] = indices.length;
  const out = tensor(shape);
  for (let n = 0, at = 0; n < product(shape.slice(0, axis)); n++) {
    for (const index of indices) {
      const from = (n * size + index) * run;
      if (index < 0) out.values.fill(value, at, at + run);
      else out.values.set(x.values.subarray(from, from + run), at);
      at += run;
    }
  }
  return out;
}

export function range(from, to, step = 1) {
  return Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, i) => from + i * step);
}

// What only moves values. `runs` tells in groups of three where the values of a stretch come from: the place
// of the first in all tensors in a row, from 1 on, how many there are, and how far apart they lie.
function move(_, { tensors, runs, shape }) {
  const out = tensor(shape), rows = tensors.map((x) => reshape(x, { shape: [x.values.length] }));
  const all = cat(null, { tensors: [tensor([1]), ...rows] }).values;
  for (let i = 0, at = 0; i < runs.length; i += 3)
    for (let k = 0; k < runs[i + 1]; k++) out.values[at++] = all[runs[i] + k * runs[i + 2]];
  return out;
}

// Each row along one axis becomes another row, of any length but the same for all.
function alongAxis(x, axis, f) {
  const order = [...x.shape.keys()].filter((d) => d !== axis).concat(axis);
  const rows = permute(x, { dims: order }), size = x.shape[axis], made = [];
  for (let at = 0; at < rows.values.length; at += size) {
    made.push(f(Float64Array.from(rows.values.subarray(at, at + size))));
  }
  const length = made[0].length, out = new Float32Array(made.length * length);
  made.forEach((row, i) => out.set(row, i * length));
  const shape = [...rows.shape.slice(0, -1), length];
  return permute(tensor(shape, out), { dims: order.map((_, d) => order.indexOf(d)) });
}

const reduced = (f) => (x, { dim, keepdim = false }) => {
  const axes = axesOf(x, dim), kept = [...x.shape.keys()].filter((d) => !axes.includes(d));
  const count = product(axes.map((d) => x.shape[d]));
  const rows = permute(x, { dims: [...kept, ...axes] }).values, out = new Float32Array(rows.length / count);
  for (let i = 0; i < out.length; i++) out[i] = f(rows.subarray(i * count, (i + 1) * count));
  const flat = x.shape.map((size, d) => (axes.includes(d) ? 1 : size));
  return tensor(keepdim ? flat : kept.map((d) => x.shape[d]), out);
};
const total = (row) => row.reduce(plus, 0);
const largest = (row) => row.reduce(larger);

// --- Borders and sizes -----------------------------------------------------------------------

const BEYOND = { // which value of 0 … size − 1 stands at a place outside
  constant: () => -1,
  replicate: (at, size) => clamp(at, 0, size - 1),
  reflect: (at, size) => (at < 0 ? -at : 2 * (size - 1) - at),
  circular: (at, size) => (at + size) % size,
};

function padded(x, { pad, mode = "constant", value = 0 }) {
  for (let i = 0; i < pad.length; i += 2) {
    const axis = x.shape.length - 1 - i / 2, size = x.shape[axis];
    const place = (at) => (at >= 0 && at < size ? at : BEYOND[mode](at, size));
    x = take(x, axis, range(-pad[i], size + pad[i + 1]).map(place), value ?? 0);
  }
  return x;
}

// Between two neighbours along one axis, `share` of the way from the first to the second.
function blend(x, axis, places) {
  const between = (row) => ({ low, high, share }) => row[low] * (1 - share) + row[high] * share;
  return alongAxis(x, axis, (row) => places.map(between(row)));
}

function interpolate(x, options) {
  const { size, scale_factor, mode = "nearest", align_corners } = options;
  const axes = range(2, x.shape.length), of = (option, i) => (Array.isArray(option) ? option[i] : option);
  axes.forEach((axis, i) => {
    const from = x.shape[axis], asked = of(size ?? null, i), factor = of(scale_factor ?? null, i);
    const to = asked ?? Math.floor(from * factor);
    const scale = Math.fround(asked !== null ? from / to : 1 / factor);
    const nearest = { nearest: 0, "nearest-exact": 0.5 }[mode];
    if (nearest !== undefined) {
      const index = (k) => Math.min(Math.floor(Math.fround((k + nearest) * scale)), from - 1);
      x = take(x, axis, range(0, to).map(index));
    } else {
      const corner = to > 1 ? (from - 1) / (to - 1) : 0;
      const at = (k) => (align_corners ? k * corner : Math.max((k + 0.5) * scale - 0.5, 0));
      x = blend(x, axis, range(0, to).map((k) => {
        const low = Math.min(Math.floor(at(k)), from - 1);
        return { low, high: Math.min(low + 1, from - 1), share: at(k) - low };
      }));
    }
  });
  return x;
}

// --- All of them -----------------------------------------------------------------------------

const same = (x) => x;
const PLANES = {
  conv2d, conv_transpose2d, max_pool2d, avg_pool2d, adaptive_avg_pool2d, adaptive_max_pool2d,
};

// A table of operations with each function made into another, and one with the names for signals.
export const remade = (table, make) =>
  Object.fromEntries(Object.entries(table).map(([name, f]) => [name, make(f)]));
export const inLine = (table) =>
  Object.fromEntries(Object.entries(table).map(([name, f]) => [name.replace("2d", "1d"), f]));

export const isPointwise = (operation) => operation in ACTIVATIONS || operation === "prelu";

export const OPERATIONS = {
  ...{ ...remade(ACTIVATIONS, each), ...remade(PAIRS, pairwise) },
  ...{ linear, ...PLANES, ...inLine(remade(PLANES, alongLine)) },
  batch_norm, ...remade(ROWS, normalized), prelu, softmax,
  log_softmax: (x, options) => softmax(x, options, true),
  softmin: (x, options) => softmax(OPERATIONS.neg(x), options),
  matmul, cat, move, reshape, flatten, permute, transpose,
  mean: reduced((row) => total(row) / row.length),
  sum: reduced(total),
  amax: reduced(largest),
  pad: padded, interpolate, identity: same, dropout: same,
};

// --- A whole network -------------------------------------------------------------------------

// Options with tensors in the places of {"stage": name}, what a step made, and of {"tensor": i}, the
// tensor number i of the network's own.
export function told(options, made, tensors) {
  const one = (option) => {
    if (Array.isArray(option)) return option.map(one);
    if (option === null || typeof option !== "object") return option;
    return "stage" in option ? made[option.stage] : tensors[option.tensor];
  };
  return Object.fromEntries(Object.entries(options).map(([key, option]) => [key, one(option)]));
}

// Yields the name and the tensor of each step, in order. `program` says what to do: its `steps` have
// a name, an operation and options. `changes` multiplies channels, as in {conv1: {3: 0}}; `known` are
// stages that need not be computed again.
export function* run(program, tensors, image, changes = {}, known = {}) {
  // No prototype: a layer may be called "constructor", which every other object knows already.
  const made = { __proto__: null, [program.input]: image, ...known };
  for (const { name, operation, options } of program.steps) {
    if (!Object.hasOwn(known, name)) {
      const { input, ...rest } = told(options, made, tensors);
      made[name] = OPERATIONS[operation](input, rest);
      if (Object.hasOwn(changes, name)) made[name] = faded(made[name], changes[name]);
    }
    yield [name, made[name]];
  }
}

// A copy in which some channels are multiplied, each by a number of its own.
export function faded(x, factors) {
  const size = product(x.shape.slice(2)), out = tensor(x.shape, x.values.slice());
  for (const [channel, factor] of Object.entries(factors)) {
    const from = channel * size;
    for (let i = from; i < from + size; i++) out.values[i] *= factor;
  }
  return out;
}
