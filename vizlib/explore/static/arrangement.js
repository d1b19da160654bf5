// Where each layer of the network stands in the picture, and what a point of the picture shows.
//
// The picture flows from left to right, or on a narrow screen from top to bottom; "along" is the
// way it flows, "across" the other.

import { mapsOf } from "./graph.js";
import { within } from "./numbers.js";

const GAP = 3,
  TIGHT = 1; // between large maps, and between small ones
export const LANE = 7; // for each line that passes by other layers
const EDGE = 5; // around the picture, for the frame of the chosen map
const READABLE = 1.8, // letters' heights: the side of a map on a page
  NUMBER = 16; // pixels above it, for its number

// How many maps stand beside each other where each shall be as large as possible.
export function gridFor({ count, height, width }, wide, high) {
  let best = { size: 0, columns: 1, rows: count, gap: 0 }; // where there is no room yet
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const gap = high / rows > 14 && wide / columns > 14 ? GAP : TIGHT;
    const side = (room, count) => (room - gap * (count - 1)) / count;
    const size = Math.min(side(wide, columns) / width, side(high, rows) / height);
    if (size > best.size) best = { size, columns, rows, gap };
  }
  return best;
}

// Units fill their place whole, in as many columns as divide them without a rest.
function unitsFor(count, wide, high) {
  const usual = Math.max(1, Math.round(Math.sqrt((count * wide) / high)));
  const near = [0, 1, -1, 2, -2, 3].map((by) => usual + by).filter((n) => n > 0);
  const columns = near.find((n) => count % n === 0) ?? usual;
  return { columns, rows: Math.ceil(count / columns), gap: 0 };
}

// A signal is one row of values, as wide as there is room.
function signalsFor({ count }, { along, across, down }) {
  const [wide, high] = down ? [across, Math.min(along, 24 * count)] : [along, across];
  const gap = high / count > 8 ? GAP : 0;
  return { grid: { columns: 1, rows: count, gap }, tile: [wide, (high - gap * (count - 1)) / count] };
}

// The image is one picture, be it grey or of three colours.
export function seen(name, tensor) {
  const maps = mapsOf(tensor);
  const isPhotograph = name === "input" && [1, 3, 4].includes(maps.count) && maps.height > 1;
  return isPhotograph ? { ...maps, count: 1, isPhotograph } : maps;
}

// Maps in pages are large enough to be read, each with its number above it.
function pageFor({ height, width }, { along, across, unit }) {
  const head = Math.max(NUMBER, 1.15 * unit),
    least = (READABLE * unit) / Math.max(height, width);
  const columns = Math.max(1, Math.floor((along + GAP) / (least * width + GAP))),
    rows = Math.max(1, Math.floor((across + GAP) / (least * height + head + GAP)));
  const side = (room, count) => (room + GAP) / count - GAP;
  const size = Math.min(side(along, columns) / width, (side(across, rows) - head) / height);
  return { grid: { columns, rows, gap: GAP, head }, tile: [size * width, size * height] };
}

function nodeFor(part, tensor, room) {
  const maps = seen(part.shows, tensor);
  if (part.isPaged) return { ...part, maps, ...pageFor(maps, room) };
  if (!maps.isVector && maps.height === 1) return { ...part, maps, ...signalsFor(maps, room) };
  if (!maps.isVector) {
    const grid = gridFor(maps, room.along, room.across);
    return { ...part, maps, grid, tile: [grid.size * maps.width, grid.size * maps.height] };
  }
  const along = Math.min(room.along, maps.count > 40 ? room.unit * 2.6 : room.unit * 1.6);
  const [wide, high] = room.down ? [room.across, along] : [along, room.across];
  const grid = unitsFor(maps.count, wide, high);
  return { ...part, maps, grid, tile: [wide / grid.columns, high / grid.rows] };
}

const extent = ({ grid: { columns, rows, gap, head = 0 }, tile }) => [
  columns * tile[0] + (columns - 1) * gap,
  rows * (tile[1] + head) + (rows - 1) * gap,
];

// Places `parts` (each with `name`, the stage it `shows`, and the names it `reads`) in `along` by
// `across` pixels. Those that do not wait for each other stand side by side.
export function arranged(parts, made, { along, across, unit, down, chosen }) {
  const depth = new Map();
  for (const part of parts) {
    depth.set(part.name, 1 + Math.max(-1, ...part.reads.map((name) => depth.get(name) ?? -1)));
  }
  const levels = Map.groupBy(parts, (part) => depth.get(part.name)),
    count = levels.size;
  const readings = parts.flatMap(({ name, reads }) => reads.map((read) => [read, name]));
  const passing = readings.filter(([from, to]) => depth.get(to) - depth.get(from) > 1);
  const lanes = Math.min(passing.length, 3) * LANE,
    breadth = across - lanes;
  const isVector = (part) => mapsOf(made[part.shows]).isVector;
  const vectors = [...levels.values()].filter((level) => level.every(isVector)).length;
  const usual = down
    ? unit * 4.2
    : Math.min(unit * 5, (along - 2 * EDGE - vectors * 2.6 * unit - count * 13) / (count - vectors + 0.25));
  const beside = down ? 12 : 2.7 * unit; // between those side by side, with room for a name
  const rows = [...levels.entries()]
    .sort(([a], [b]) => a - b)
    .map(([, level]) => {
      const each = (breadth - 2 * EDGE - (level.length - 1) * beside) / level.length;
      const own = level.some((part) => part.shows === chosen) ? usual * 1.5 : usual;
      const room = { along: own, across: each, unit, down };
      // Where it flows down, what is wide is along.
      const turned = { ...room, along: each, across: own };
      return level.map((part) =>
        nodeFor(part, made[part.shows], down && !isVector(part) ? turned : room));
    });
  return { ...stood(rows, { along, breadth, down, beside }), passing, lanes, depth, breadth };
}

function stood(rows, { along, breadth, down, beside }) {
  const thick = (node) => extent(node)[down ? 1 : 0],
    thin = (node) => extent(node)[down ? 0 : 1];
  const sizes = rows.map((level) => Math.max(...level.map(thick))),
    all = sizes.reduce((a, b) => a + b, 0);
  const gap = down ? 26 : Math.max(8, (along - 2 * EDGE - all) / Math.max(rows.length - 1, 1));
  const nodes = new Map();
  let at = EDGE;
  rows.forEach((level, i) => {
    const used = level.reduce((sum, node) => sum + thin(node), 0) + beside * (level.length - 1);
    let side = down ? EDGE : (breadth - used) / 2;
    for (const node of level) {
      const start = at + (sizes[i] - thick(node)) / 2,
        [width, height] = extent(node);
      const [x, y] = down ? [side, at] : [start, side];
      nodes.set(node.name, { ...node, x, y, width, height, room: [at, sizes[i]] });
      side += thin(node) + beside;
    }
    at += sizes[i] + gap;
  });
  return { nodes, length: at - gap + EDGE };
}

// The channels that are seen there: all of them, or those of a page.
export const channelsOf = ({ channels, maps }) => channels ?? [...Array(maps.count).keys()];

// The corner of a map or a unit that is seen there.
export function cornerOf({ x, y, grid, tile, channels }, channel) {
  const { columns, gap, head = 0 } = grid,
    index = channels ? channels.indexOf(channel) : channel,
    row = Math.floor(index / columns);
  return [x + (index % columns) * (tile[0] + gap), y + head + row * (tile[1] + head + gap)];
}

// What a point of the picture shows: { node, channel, row, column }, or nothing.
export function under(layout, px, py) {
  for (const node of layout.nodes.values()) {
    const { x, y, width, height, grid, tile, maps } = node;
    if (px < x || py < y || px >= x + width || py >= y + height) continue;
    const column = Math.floor((px - x) / (tile[0] + grid.gap)),
      row = Math.floor((py - y) / (tile[1] + (grid.head ?? 0) + grid.gap));
    const channel = channelsOf(node)[row * grid.columns + column];
    if (channel === undefined || column >= grid.columns) return null;
    const [left, top] = cornerOf(node, channel);
    const place = (at, size, count) => within(Math.floor((at / size) * count), 0, count - 1);
    return {
      node,
      channel,
      row: place(py - top, tile[1], maps.height),
      column: place(px - left, tile[0], maps.width),
    };
  }
  return null;
}
