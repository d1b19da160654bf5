// What is known of a network before it computes: its steps, what each reads, what depends on what.

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

// Which part of its input a part of a stage was made from. A part is { channel, top, left, bottom,
// right }; a channel of −1 stands for all of them, bottom and right are the first ones after.
export function readPart(step, tensors, part, from, to) {
  const { operation, options } = step,
    all = { channel: -1, top: 0, left: 0, bottom: from.height, right: from.width };
  const weight = tensors[options.weight?.tensor],
    isLine = operation.endsWith("1d");
  const option = (name, usual, d) => {
    const given = [options[name] ?? usual].flat();
    return isLine && d === 0 ? null : Number(given.at(isLine ? -1 : Math.min(d, given.length - 1)));
  };
  const ends = (f) => {
    const [[top, bottom], [left, right]] = [f(0, part.top, part.bottom), f(1, part.left, part.right)];
    return { top, bottom, left, right };
  };
  if (/^conv\d/.test(operation) || /^(max|avg)_pool/.test(operation)) {
    const isConv = Boolean(weight),
      usual = isConv ? 1 : (options.stride ?? options.kernel_size);
    const sides = ends((d, start, end) => {
      if (isLine && d === 0) return [0, 1];
      const kernel = isConv ? weight.shape.at(d - 2) : option("kernel_size", 1, d);
      const stride = option("stride", usual, d) || kernel,
        dilation = option("dilation", 1, d);
      const span = dilation * (kernel - 1) + 1,
        same = Math.floor((span - 1) / 2);
      const padding =
        options.padding === "same" ? same : options.padding === "valid" ? 0 : option("padding", 0, d);
      return [start * stride - padding, (end - 1) * stride - padding + span];
    });
    return { channel: isConv && (options.groups ?? 1) < from.count ? -1 : part.channel, ...sides };
  }
  if (operation.startsWith("conv_transpose")) {
    return {
      channel: -1,
      ...ends((d, start, end) => {
        if (isLine && d === 0) return [0, 1];
        const stride = option("stride", 1, d),
          padding = option("padding", 0, d);
        const reach = option("dilation", 1, d) * (weight.shape.at(d - 2) - 1);
        return [
          Math.ceil((start + padding - reach) / stride),
          Math.floor((end - 1 + padding) / stride) + 1,
        ];
      }),
    };
  }
  if (/^(adaptive|interpolate)/.test(operation)) {
    const sizes = [
      [from.height, to.height],
      [from.width, to.width],
    ];
    const sides = ends((d, start, end) => [
      Math.floor((start * sizes[d][0]) / sizes[d][1]),
      Math.ceil((end * sizes[d][0]) / sizes[d][1]),
    ]);
    return { channel: part.channel, ...sides };
  }
  if (isMove(operation) && !from.isVector && to.isVector && part.channel >= 0)
    return placed(part.channel, from);
  const isAlike = from.count === to.count && from.height === to.height && from.width === to.width;
  return isAlike && !/^(linear|matmul|softmax|log_softmax|permute|transpose)/.test(operation) ? part : all;
}

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
      const from = mapsOf(made[source]),
        to = mapsOf(made[each]);
      const read = readPart(network.steps.get(each), tensors, found.get(each), from, to);
      found.set(source, joined(found.get(source), clipped(read, from)));
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
