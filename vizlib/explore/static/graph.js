// What is known of a network before it computes: its steps, what each reads, what depends on what.

import { both, slides, strideOf, tallOptions } from "./engine.js";

export function graph({ steps, output }) {
  const byName = new Map(steps.map((step) => [step.name, step]));
  const reads = (name) => sources(byName.get(name)?.options ?? {});
  // A step that is no stage is seen through: what it reads is read by whoever reads it.
  const readsStages = (name) => [
    ...new Set(reads(name).flatMap((each) => (byName.get(each)?.hidden ? readsStages(each) : [each]))),
  ];
  return { steps: byName, stages: steps.filter((step) => !step.hidden), output, reads, readsStages };
}

function sources(option) {
  if (Array.isArray(option)) return option.flatMap(sources);
  if (option === null || typeof option !== "object") return [];
  return "stage" in option ? [option.stage] : Object.values(option).flatMap(sources);
}

// The names of all steps that depend on one of them, itself included.
export function dependents({ steps, reads }, name) {
  const found = new Set([name]);
  for (const each of steps.keys()) if (reads(each).some((source) => found.has(source))) found.add(each);
  return found;
}

// A tensor as maps, all of one size; a vector is one row of units.
export function mapsOf({ shape }) {
  const size = shape.slice(1);
  if (size.length < 2) return { count: size[0] ?? 1, height: 1, width: 1, isVector: true };
  const width = size.at(-1),
    height = size.length === 2 ? 1 : size.at(-2);
  const count = shape.reduce((a, b) => a * b, 1) / (height * width);
  return { count, height, width, isVector: height * width === 1 };
}

export const valueAt = ({ values }, { height, width }, [channel, row, column]) =>
  values[(channel * height + row) * width + column];

// A step's options as those of images, with its weight: a signal is an image of one row.
export function asPlanes({ operation, options }, tensors) {
  const given = { ...options, weight: tensors[options.weight?.tensor] };
  return operation.endsWith("1d") ? tallOptions(given) : given;
}

// How the windows of a convolution or a pooling slide down and across.
export function slidesOf(step, tensors, { shape }) {
  const given = asPlanes(step, tensors), { weight = { shape: [1, 1, ...both(given.kernel_size)] } } = given;
  const size = step.operation.endsWith("1d") ? [1, ...shape.slice(2)] : shape.slice(2);
  return slides({ shape: [1, 1, ...size] }, { ...given, weight, stride: strideOf(given) });
}

// Which part of its input a part of a stage was made from. A part is { channel, top, left, bottom,
// right }; a channel of −1 stands for all of them, bottom and right are the first ones after.
export function readPart(step, tensors, part, input, output) {
  const { operation } = step, [from, to] = [input, output].map(mapsOf);
  const ends = (along) => {
    const [[top, bottom], [left, right]] = [[part.top, part.bottom], [part.left, part.right]].map(along);
    return { top, bottom, left, right };
  };
  if (/^(conv|max_pool|avg_pool)\dd$/.test(operation)) {
    const axes = slidesOf(step, tensors, input), { weight, groups = 1 } = asPlanes(step, tensors);
    const sides = ends(([start, end], d) => {
      const { stride, before, dilation, kernel } = axes[d];
      return [start * stride - before, (end - 1) * stride - before + dilation * (kernel - 1) + 1];
    });
    return { channel: weight && groups < from.count ? -1 : part.channel, ...sides };
  }
  if (operation.startsWith("conv_transpose")) {
    const { weight, stride = 1, padding = 0, dilation = 1 } = asPlanes(step, tensors);
    const [strides, paddings, dilations] = [stride, padding, dilation].map(both);
    const sides = ends(([start, end], d) => {
      const first = start + paddings[d] - dilations[d] * (weight.shape[2 + d] - 1);
      return [Math.ceil(first / strides[d]), Math.floor((end - 1 + paddings[d]) / strides[d]) + 1];
    });
    return { channel: -1, ...sides };
  }
  if (/^(adaptive|interpolate)/.test(operation)) {
    const sizes = [[from.height, to.height], [from.width, to.width]];
    const sides = ends((places, d) => {
      const [first, last] = places.map((at) => (at * sizes[d][0]) / sizes[d][1]);
      return [Math.floor(first), Math.ceil(last)];
    });
    return { channel: part.channel, ...sides };
  }
  if (isMove(operation) && !from.isVector && to.isVector && part.channel >= 0)
    return placed(part.channel, from);
  const isAlike = from.count === to.count && from.height === to.height && from.width === to.width;
  const isKept = isAlike && !MIXES.test(operation);
  return isKept ? part : { channel: -1, top: 0, left: 0, bottom: from.height, right: from.width };
}

// What stays as large, but reads more than the same place.
const MIXES = /^(linear|matmul|(log_)?softmax|softmin|permute|transpose|move|(layer|group|instance)_norm)/;

export const isMove = (operation) => /^(flatten|reshape|identity|dropout)$/.test(operation);

// Which value of maps has that number where all of them stand in one row.
export function placed(number, { height, width }) {
  const size = height * width,
    row = Math.floor((number % size) / width),
    column = number % width;
  return { channel: Math.floor(number / size), top: row, left: column, bottom: row + 1, right: column + 1 };
}

// From one part of a stage back to the input: the part of each stage on the way that it depends on.
export function reachBack(network, tensors, made, name, part) {
  const found = new Map([[name, part]]),
    names = [...network.steps.keys()];
  for (const each of names.slice(0, names.indexOf(name) + 1).reverse()) {
    if (!found.has(each)) continue;
    for (const source of network.reads(each)) {
      const read = readPart(network.steps.get(each), tensors, found.get(each), made[source], made[each]);
      found.set(source, joined(found.get(source), clipped(read, mapsOf(made[source]))));
    }
  }
  return found;
}

const clipped = ({ channel, top, left, bottom, right }, { height, width }) => ({
  channel,
  top: Math.max(top, 0),
  left: Math.max(left, 0),
  bottom: Math.min(bottom, height),
  right: Math.min(right, width),
});

function joined(one, other) {
  if (!one) return other;
  return {
    channel: one.channel === other.channel ? one.channel : -1,
    top: Math.min(one.top, other.top),
    left: Math.min(one.left, other.left),
    bottom: Math.max(one.bottom, other.bottom),
    right: Math.max(one.right, other.right),
  };
}
