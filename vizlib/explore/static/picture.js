// The whole network as one connected picture: where each layer stands, and how it is painted.
//
// The picture flows from left to right, or on a narrow screen from top to bottom; "along" is the
// way it flows, "across" the other.

import { mapsOf } from "./graph.js";
import { atlasOf, colour, peakOf, photograph } from "./tiles.js";

const GAP = 3,
  TIGHT = 1; // between large maps, and between small ones
const LANE = 7; // for each line that passes by other layers
const EDGE = 5; // around the picture, for the frame of the chosen map
const FEW = 150; // lines between two layers at most; more are a grey fan

// --- Where everything stands -----------------------------------------------------------------

// How many maps stand beside each other where each shall be as large as possible.
function gridFor({ count, height, width }, wide, high) {
  let best = { size: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const gap = high / rows > 14 && wide / columns > 14 ? GAP : TIGHT;
    const size = Math.min(
      (wide - gap * (columns - 1)) / columns / width,
      (high - gap * (rows - 1)) / rows / height,
    );
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

function nodeFor(part, tensor, room) {
  const maps = seen(part.shows, tensor);
  if (!maps.isVector && maps.height === 1) return { ...part, maps, ...signalsFor(maps, room) };
  if (!maps.isVector) {
    const grid = gridFor(maps, room.along, room.across);
    return { ...part, maps, grid, tile: [grid.size * maps.width, grid.size * maps.height] };
  }
  const along = Math.min(room.along, maps.count > 40 ? room.unit * 2.6 : room.unit * 1.6);
  const grid = room.down
    ? unitsFor(maps.count, room.across, along)
    : unitsFor(maps.count, along, room.across);
  const [wide, high] = room.down ? [room.across, along] : [along, room.across];
  return { ...part, maps, grid, tile: [wide / grid.columns, high / grid.rows] };
}

const extent = ({ grid, tile }) => [
  grid.columns * tile[0] + (grid.columns - 1) * grid.gap,
  grid.rows * tile[1] + (grid.rows - 1) * grid.gap,
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
  const passing = parts.flatMap((part) =>
    part.reads
      .filter((name) => depth.get(part.name) - depth.get(name) > 1)
      .map((name) => [name, part.name]),
  );
  const lanes = Math.min(passing.length, 3) * LANE,
    breadth = across - lanes;
  const vectors = [...levels.values()].filter((level) =>
    level.every((part) => mapsOf(made[part.shows]).isVector),
  ).length;
  const usual = down
    ? unit * 4.2
    : Math.min(unit * 5, (along - 2 * EDGE - vectors * 2.6 * unit - count * 13) / (count - vectors + 0.25));
  const beside = down ? 12 : 2.7 * unit; // between those side by side, with room for a name
  const rows = [...levels.entries()]
    .sort(([a], [b]) => a - b)
    .map(([, level]) => {
      const each = (breadth - 2 * EDGE - (level.length - 1) * beside) / level.length;
      const room = {
        along: level.some((part) => part.shows === chosen) ? usual * 1.5 : usual,
        across: each,
        unit,
        down,
      };
      // Where it flows down, what is wide is along.
      return level.map((part) =>
        down ? nodeDown(part, made[part.shows], room) : nodeFor(part, made[part.shows], room),
      );
    });
  return { ...stood(rows, { along, breadth, down, beside }), passing, lanes, depth, breadth };
}

function nodeDown(part, tensor, room) {
  if (mapsOf(tensor).isVector) return nodeFor(part, tensor, room);
  return nodeFor(part, tensor, { ...room, along: room.across, across: room.along });
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

// The corner of a map or a unit.
export function cornerOf({ x, y, grid, tile }, index) {
  const column = index % grid.columns,
    row = Math.floor(index / grid.columns);
  return [x + column * (tile[0] + grid.gap), y + row * (tile[1] + grid.gap)];
}

// What a point of the picture shows: { node, channel, row, column }, or nothing.
export function under(layout, px, py) {
  for (const node of layout.nodes.values()) {
    const { x, y, width, height, grid, tile, maps } = node;
    if (px < x || py < y || px >= x + width || py >= y + height) continue;
    const column = Math.floor((px - x) / (tile[0] + grid.gap)),
      row = Math.floor((py - y) / (tile[1] + grid.gap));
    const channel = row * grid.columns + column,
      [left, top] = cornerOf(node, channel);
    if (channel >= maps.count || column >= grid.columns) return null;
    const place = (at, size, count) => Math.min(Math.max(Math.floor((at / size) * count), 0), count - 1);
    return {
      node,
      channel,
      row: place(py - top, tile[1], maps.height),
      column: place(px - left, tile[0], maps.width),
    };
  }
  return null;
}

// --- Painting --------------------------------------------------------------------------------

export function paintNetwork(context, layout, scene) {
  const ink = (name) => colour(scene.element, name);
  const colours = {
    line: ink("line"),
    faint: ink("faint"),
    accent: ink("accent"),
    tint: ink("tint"),
    plus: ink("plus"),
    minus: ink("minus"),
  };
  paintChosenLayer(context, layout, scene, colours);
  for (const node of layout.nodes.values())
    for (const name of node.reads) paintReading(context, layout, scene, colours, node, name);
  paintStrongest(context, layout, scene, colours);
  for (const node of layout.nodes.values()) paintNode(context, node, scene, colours);
  for (const node of layout.nodes.values()) paintWindow(context, node, scene);
}

function paintChosenLayer(context, layout, { layer, down }, { tint }) {
  const node = layout.nodes.get(layer);
  if (!node) return;
  const [start, size] = node.room;
  context.fillStyle = tint;
  if (down) context.fillRect(-8, start - 6, layout.breadth + 16, size + 12);
  else context.fillRect(start - 6, 0, size + 12, layout.breadth);
}

const isChannelwise = (node, from) =>
  node.maps.count === from.maps.count && !/^(conv|linear)/.test(node.operation);

function paintReading(context, layout, { down }, { line, faint }, node, name) {
  const from = layout.nodes.get(name);
  if (!from) return;
  context.lineWidth = 1;
  context.strokeStyle = line;
  if (layout.depth.get(node.name) - layout.depth.get(name) > 1) {
    return paintPassing(context, layout, from, node, down);
  }
  const many = isChannelwise(node, from) ? node.maps.count : node.maps.count * from.maps.count;
  if (many > FEW || node.maps.isVector || from.maps.isVector)
    return paintFan(context, from, node, faint, down);
  for (let to = 0; to < node.maps.count; to++) {
    const sources = isChannelwise(node, from) ? [to] : [...Array(from.maps.count).keys()];
    for (const source of sources)
      paintLine(context, endOf(from, source, down), startOf(node, to, down), down);
  }
}

function endOf(node, index, down) {
  const [x, y] = cornerOf(node, index),
    [wide, high] = node.tile;
  return down ? [x + wide / 2, y + high] : [x + wide, y + high / 2];
}

function startOf(node, index, down) {
  const [x, y] = cornerOf(node, index),
    [wide, high] = node.tile;
  return down ? [x + wide / 2, y] : [x, y + high / 2];
}

function paintLine(context, [x, y], [toX, toY], down) {
  context.beginPath();
  context.moveTo(x, y);
  if (down) context.bezierCurveTo(x, (y + toY) / 2, toX, (y + toY) / 2, toX, toY);
  else context.bezierCurveTo((x + toX) / 2, y, (x + toX) / 2, toY, toX, toY);
  context.stroke();
}

function paintFan(context, from, node, faint, down) {
  context.fillStyle = faint;
  context.beginPath();
  if (down) {
    context.moveTo(from.x, from.y + from.height);
    context.lineTo(from.x + from.width, from.y + from.height);
    context.lineTo(node.x + node.width, node.y);
    context.lineTo(node.x, node.y);
  } else {
    context.moveTo(from.x + from.width, from.y);
    context.lineTo(from.x + from.width, from.y + from.height);
    context.lineTo(node.x, node.y + node.height);
    context.lineTo(node.x, node.y);
  }
  context.fill();
}

// A line that passes by other layers runs in a lane beside them all.
function paintPassing(context, layout, from, node, down) {
  const number = layout.passing.findIndex(([a, b]) => a === from.name && b === node.name) % 3;
  const lane = layout.breadth + LANE * (number + 0.6),
    r = 5;
  context.lineWidth = 2;
  context.beginPath();
  if (down) {
    const [y, toY] = [from.y + from.height / 2, node.y + node.height / 2];
    context.moveTo(from.x + from.width, y);
    context.arcTo(lane, y, lane, toY, r);
    context.arcTo(lane, toY, node.x + node.width, toY, r);
    context.lineTo(node.x + node.width, toY);
  } else {
    const [x, toX] = [from.x + from.width / 2, node.x + node.width / 2];
    context.moveTo(x, from.y + from.height);
    context.arcTo(x, lane, toX, lane, r);
    context.arcTo(toX, lane, toX, node.y + node.height, r);
    context.lineTo(toX, node.y + node.height);
  }
  context.stroke();
}

// From where most of the chosen value comes: blue adds to it, orange takes away.
function paintStrongest(context, layout, { layer, channel, terms, down }, { plus, minus, accent }) {
  const node = layout.nodes.get(layer);
  if (!node) return;
  const most = Math.max(...terms.map(({ value }) => Math.abs(value)), 1e-30);
  for (const term of terms) {
    const from = [...layout.nodes.values()].find((each) => each.shows === term.stage);
    if (!from || term.channel >= from.maps.count) continue;
    context.strokeStyle = term.value === null ? accent : term.value < 0 ? minus : plus;
    context.lineWidth = term.value === null ? 1.6 : 0.8 + (1.6 * Math.abs(term.value)) / most;
    paintLine(context, endOf(from, term.channel, down), startOf(node, channel, down), down);
  }
}

function paintNode(context, node, scene, { line, accent, minus }) {
  const { maps, grid, tile, shows } = node,
    tensor = scene.made[shows];
  const { isPhotograph } = maps;
  const atlas = isPhotograph
    ? null
    : atlasOf(tensor.values, maps, grid.columns, peakOf(tensor), scene.colours);
  if (maps.isVector) paintUnits(context, node, atlas, line);
  for (let i = 0; i < maps.count && !maps.isVector; i++) {
    const [x, y] = cornerOf(node, i),
      corner = [(i % grid.columns) * maps.width, Math.floor(i / grid.columns) * maps.height];
    if (isPhotograph) context.drawImage(photograph(tensor, scene.range), x, y, ...tile);
    else context.drawImage(atlas, ...corner, maps.width, maps.height, x, y, ...tile);
    if (tile[0] > 9) border(context, [x, y], tile, line, 1, 0.5);
  }
  for (const [channel, factor] of Object.entries(scene.changes[shows] ?? {})) {
    if (factor === 0) paintSlash(context, cornerOf(node, channel), tile, minus);
  }
  if (scene.layer === node.name) {
    const corner = cornerOf(node, scene.channel);
    border(context, corner, tile, "#fff", 2, 1);
    border(context, corner, tile, accent, 2.5, 3);
  }
}

function paintUnits(context, node, atlas, line) {
  context.fillStyle = "#fff";
  context.fillRect(node.x, node.y, node.width, node.height);
  const { count } = node.maps,
    { columns, rows } = node.grid;
  context.drawImage(atlas, 0, 0, columns, rows, node.x, node.y, node.width, node.height);
  border(context, [node.x, node.y], [node.width, node.height], line, 1, 0.5);
}

function border(context, [x, y], [wide, high], style, width, out) {
  context.strokeStyle = style;
  context.lineWidth = width;
  context.strokeRect(x - out, y - out, wide + 2 * out, high + 2 * out);
}

function paintSlash(context, [x, y], [wide, high], style) {
  context.strokeStyle = style;
  context.lineWidth = Math.max(2, wide / 9);
  context.beginPath();
  context.moveTo(x, y + high);
  context.lineTo(x + wide, y);
  context.stroke();
}

// Pink is where you point, and what it was made from; nothing else is pink.
function paintWindow(context, node, { windows }) {
  const part = windows.get(node.shows),
    { maps, tile } = node;
  if (!part || part.bottom <= part.top || part.right <= part.left) return;
  const cell = [tile[0] / maps.width, tile[1] / maps.height];
  const whole = part.bottom - part.top === maps.height && part.right - part.left === maps.width;
  if (maps.isVector || (whole && maps.height * maps.width > 1 && node.shows !== "input")) return;
  const channels = maps.isPhotograph
    ? [0]
    : part.channel >= 0
      ? [part.channel]
      : [...Array(maps.count).keys()];
  for (const channel of channels) {
    const [x, y] = cornerOf(node, channel);
    const corner = [x + part.left * cell[0], y + part.top * cell[1]];
    const size = [(part.right - part.left) * cell[0], (part.bottom - part.top) * cell[1]];
    border(context, corner, size, "#fff", 3, 0);
    border(context, corner, size, "#d2007a", 1.6, 0);
  }
}
