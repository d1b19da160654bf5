// Where a window lies while it slides. A cell is [row, column], of the padded input or the output.

function alongAxisOf(size, kernel, stride, padding, dilation) {
  const span = dilation * (kernel - 1) + 1,
    around = padding === "same" ? span - 1 : 2 * padding;
  const before = Math.floor(around / 2), // "same" gives the end the odd one
    whole = size + around;
  const count = span > whole ? 0 : Math.floor((whole - span) / stride) + 1;
  return { size, kernel, stride, padding, dilation, span, before, after: around - before, whole, count };
}

export function geometryOf(sizes, { kernel, stride, padding, dilation }) {
  const [down, across] = sizes.map((size, d) => {
    const around = padding === "same" ? padding : padding[d];
    return alongAxisOf(size, kernel[d], stride[d], around, dilation[d]);
  });
  return { down, across, count: down.count * across.count };
}

export const cellOf = ({ across }, k) => [Math.floor(k / across.count), k % across.count];

// The corner of the window for a cell of the output.
export const cornerOf = ({ down, across }, [row, column]) => [row * down.stride, column * across.stride];

// The cells that the window reads, one for each weight of the kernel.
export function tapsOf({ down, across }, [top, left]) {
  const taps = [];
  for (let i = 0; i < down.kernel; i++)
    for (let j = 0; j < across.kernel; j++) taps.push([top + i * down.dilation, left + j * across.dilation]);
  return taps;
}

// The cells of the output that read a cell of the input, and through which weight of the kernel.
export function readersOf({ down, across }, [row, column]) {
  const found = [];
  for (let i = 0; i < down.kernel; i++) {
    for (let j = 0; j < across.kernel; j++) {
      const r = (row - i * down.dilation) / down.stride,
        c = (column - j * across.dilation) / across.stride;
      if (isPlace(r, down.count) && isPlace(c, across.count))
        found.push({ cell: [r, c], tap: i * across.kernel + j });
    }
  }
  return found;
}

const isPlace = (at, count) => Number.isInteger(at) && at >= 0 && at < count;

const MOST = { reflect: (size) => size - 1, circular: (size) => size }; // cells of such a padding

// Why nothing can be made: which rule is broken, and along which axis; or null.
export function faultOf({ down, across }, mode) {
  for (const [name, axis] of Object.entries({ height: down, width: across })) {
    if (axis.padding === "same" && axis.stride > 1) return { rule: "same", name, axis };
    const most = MOST[mode]?.(axis.size) ?? Infinity;
    if (Math.max(axis.before, axis.after) > most) return { rule: "mode", name, axis, most };
    if (axis.span > axis.whole) return { rule: "span", name, axis };
  }
  return null;
}
