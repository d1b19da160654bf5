// The whole network painted as one connected picture.

import { LANE, channelsOf, cornerOf } from "./arrangement.js";
import { atlasOf, colour, edged, photograph, pointed } from "./tiles.js";

const INKS = ["ink", "line", "faint", "accent", "tint", "plus", "minus"];
const FEW = 150; // lines between two layers at most; more are a grey fan

// Layers and lines are painted along the way that the network flows: where it flows down, the canvas
// is turned over, and so is each pair of numbers.
export function paintNetwork(context, layout, scene) {
  const ink = Object.fromEntries(INKS.map((name) => [name, colour(context.canvas, name)]));
  const turn = scene.down ? ([x, y]) => [y, x] : (pair) => pair;
  context.save();
  if (scene.down) context.transform(0, 1, 1, 0, 0, 0);
  paintChosenLayer(context, layout, scene, ink.tint);
  for (const node of layout.nodes.values())
    for (const name of node.reads) paintReading(context, layout, turn, ink, node, name);
  paintStrongest(context, layout, scene, turn, ink);
  context.restore();
  for (const node of layout.nodes.values()) paintNode(context, node, scene, ink);
  for (const node of layout.nodes.values()) paintWindow(context, node, scene);
}

function paintChosenLayer(context, layout, { layer, down }, tint) {
  const node = layout.nodes.get(layer);
  if (!node) return;
  const [start, size] = node.room, beyond = down ? 8 : 0;
  context.fillStyle = tint;
  context.fillRect(start - 6, -beyond, size + 12, layout.breadth + 2 * beyond);
}

const isChannelwise = (node, from) =>
  node.maps.count === from.maps.count && !/^(conv|linear)/.test(node.operation);

function paintReading(context, layout, turn, ink, node, name) {
  const from = layout.nodes.get(name);
  if (!from) return;
  Object.assign(context, { lineWidth: 1, strokeStyle: ink.line, fillStyle: ink.faint });
  if (layout.depth.get(node.name) - layout.depth.get(name) > 1) {
    return paintPassing(context, layout, turn, from, node);
  }
  const channels = channelsOf(node), read = channelsOf(from);
  const many = isChannelwise(node, from) ? channels.length : node.maps.count * from.maps.count;
  if (many > FEW || node.maps.isVector || from.maps.isVector) return paintFan(context, turn, from, node);
  for (const to of channels) {
    const sources = isChannelwise(node, from) ? read.filter((source) => source === to) : read;
    for (const source of sources) paintLine(context, endOf(from, source, turn), startOf(node, to, turn));
  }
}

// Where lines from a map begin, and where lines to it end.
function endOf(node, index, turn) {
  const [along, across] = startOf(node, index, turn);
  return [along + turn(node.tile)[0], across];
}

function startOf(node, index, turn) {
  const [along, across] = turn(cornerOf(node, index));
  return [along, across + turn(node.tile)[1] / 2];
}

function paintLine(context, [x, y], [toX, toY]) {
  context.beginPath();
  context.moveTo(x, y);
  context.bezierCurveTo((x + toX) / 2, y, (x + toX) / 2, toY, toX, toY);
  context.stroke();
}

function boundsOf({ x, y, width, height }, turn) {
  const [[left, top], [wide, high]] = [turn([x, y]), turn([width, height])];
  return { left, top, right: left + wide, bottom: top + high, middle: left + wide / 2 };
}

function paintFan(context, turn, source, node) {
  const [from, to] = [boundsOf(source, turn), boundsOf(node, turn)];
  context.beginPath();
  context.moveTo(from.right, from.top);
  context.lineTo(from.right, from.bottom);
  context.lineTo(to.left, to.bottom);
  context.lineTo(to.left, to.top);
  context.fill();
}

// A line that passes by other layers runs in a lane beside them all.
function paintPassing(context, layout, turn, source, node) {
  const number = layout.passing.findIndex(([a, b]) => a === source.name && b === node.name) % 3;
  const lane = layout.breadth + LANE * (number + 0.6), r = 5;
  const [from, to] = [boundsOf(source, turn), boundsOf(node, turn)];
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(from.middle, from.bottom);
  context.arcTo(from.middle, lane, to.middle, lane, r);
  context.arcTo(to.middle, lane, to.middle, to.bottom, r);
  context.lineTo(to.middle, to.bottom);
  context.stroke();
}

// From where most of the chosen value comes: blue adds to it, orange takes away.
function paintStrongest(context, layout, { layer, channel, terms }, turn, ink) {
  const node = layout.nodes.get(layer);
  if (!node) return;
  const most = Math.max(...terms.map(({ value }) => Math.abs(value)), 1e-30);
  for (const { stage, channel: source, value } of terms) {
    const from = [...layout.nodes.values()].find((each) => each.shows === stage);
    if (!from || source >= from.maps.count) continue;
    context.strokeStyle = value === null ? ink.accent : value < 0 ? ink.minus : ink.plus;
    context.lineWidth = value === null ? 1.6 : 0.8 + (1.6 * Math.abs(value)) / most;
    paintLine(context, endOf(from, source, turn), startOf(node, channel, turn));
  }
}

function paintNode(context, node, scene, ink) {
  const { maps, grid, tile, shows } = node, tensor = scene.made[shows], { isPhotograph } = maps;
  if (!tensor.values.length) return; // a layer without values has no picture
  const atlas = isPhotograph
    ? null
    : atlasOf(tensor.values, maps, grid.columns, scene.limitsOf(tensor), scene.colours);
  if (maps.isVector) paintUnits(context, node, atlas, ink.line);
  for (const i of maps.isVector ? [] : channelsOf(node)) {
    const [x, y] = cornerOf(node, i),
      corner = [(i % grid.columns) * maps.width, Math.floor(i / grid.columns) * maps.height];
    if (isPhotograph) context.drawImage(photograph(tensor, scene.range), x, y, ...tile);
    else context.drawImage(atlas, ...corner, maps.width, maps.height, x, y, ...tile);
    if (tile[0] > 9) edged(context, [x, y], tile, 1, ink.line);
    if (grid.head) writeNumber(context, i, [x, y], node, ink);
  }
  for (const [channel, factor] of Object.entries(scene.changes[shows] ?? {})) {
    if (factor === 0 && channelsOf(node).includes(Number(channel)))
      paintSlash(context, cornerOf(node, Number(channel)), tile, ink.minus);
  }
  if (scene.layer === node.name) {
    const corner = cornerOf(node, scene.channel);
    edged(context, corner, tile, 2, "#fff");
    edged(context, corner, tile, 2.5, ink.accent, 3);
  }
}

// Above the map, and above the lines that lead to others.
function writeNumber(context, number, [x, y], { grid, tile }, ink) {
  const { fontFamily } = getComputedStyle(context.canvas);
  context.fillStyle = ink.tint;
  context.fillRect(x, y - grid.head, tile[0], grid.head);
  Object.assign(context, { font: `${0.75 * grid.head}px ${fontFamily}`, textAlign: "center" });
  context.fillStyle = ink.ink;
  context.fillText(number, x + tile[0] / 2, y - 0.3 * grid.head);
}

function paintUnits(context, node, atlas, line) {
  context.fillStyle = "#fff";
  context.fillRect(node.x, node.y, node.width, node.height);
  const { columns, rows } = node.grid;
  context.drawImage(atlas, 0, 0, columns, rows, node.x, node.y, node.width, node.height);
  edged(context, [node.x, node.y], [node.width, node.height], 1, line);
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
  const part = windows.get(node.shows), { maps, tile } = node;
  if (!part || part.bottom <= part.top || part.right <= part.left) return;
  const cell = [tile[0] / maps.width, tile[1] / maps.height];
  const whole = part.bottom - part.top === maps.height && part.right - part.left === maps.width;
  if (maps.isVector || (whole && maps.height * maps.width > 1 && node.shows !== "input")) return;
  const own = part.channel >= 0 ? [part.channel] : [...Array(maps.count).keys()];
  const channels = maps.isPhotograph ? [0] : own;
  for (const channel of channels) {
    const [x, y] = cornerOf(node, channel);
    const corner = [x + part.left * cell[0], y + part.top * cell[1]];
    const size = [(part.right - part.left) * cell[0], (part.bottom - part.top) * cell[1]];
    pointed(context, corner, size, [3, 1.6]);
  }
}
