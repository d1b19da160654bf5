// The whole network painted as one connected picture.

import { LANE, channelsOf, cornerOf } from "./arrangement.js";
import { atlasOf, colour, photograph } from "./tiles.js";

const FEW = 150; // lines between two layers at most; more are a grey fan

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
  const channels = channelsOf(node),
    read = channelsOf(from);
  const many = isChannelwise(node, from) ? channels.length : node.maps.count * from.maps.count;
  if (many > FEW || node.maps.isVector || from.maps.isVector)
    return paintFan(context, from, node, faint, down);
  for (const to of channels) {
    const sources = isChannelwise(node, from) ? read.filter((source) => source === to) : read;
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
  if (!tensor.values.length) return; // a layer without values has no picture
  const atlas = isPhotograph
    ? null
    : atlasOf(tensor.values, maps, grid.columns, scene.limitsOf(tensor), scene.colours);
  if (maps.isVector) paintUnits(context, node, atlas, line);
  for (const i of maps.isVector ? [] : channelsOf(node)) {
    const [x, y] = cornerOf(node, i),
      corner = [(i % grid.columns) * maps.width, Math.floor(i / grid.columns) * maps.height];
    if (isPhotograph) context.drawImage(photograph(tensor, scene.range), x, y, ...tile);
    else context.drawImage(atlas, ...corner, maps.width, maps.height, x, y, ...tile);
    if (tile[0] > 9) border(context, [x, y], tile, line, 1, 0.5);
    if (grid.head) writeNumber(context, i, [x, y], node, scene);
  }
  for (const [channel, factor] of Object.entries(scene.changes[shows] ?? {})) {
    if (factor === 0 && channelsOf(node).includes(Number(channel)))
      paintSlash(context, cornerOf(node, Number(channel)), tile, minus);
  }
  if (scene.layer === node.name) {
    const corner = cornerOf(node, scene.channel);
    border(context, corner, tile, "#fff", 2, 1);
    border(context, corner, tile, accent, 2.5, 3);
  }
}

// Above the map, and above the lines that lead to others.
function writeNumber(context, number, [x, y], { grid, tile }, { element }) {
  const { fontFamily } = getComputedStyle(element);
  context.fillStyle = colour(element, "tint");
  context.fillRect(x, y - grid.head, tile[0], grid.head);
  Object.assign(context, { font: `${0.75 * grid.head}px ${fontFamily}`, textAlign: "center" });
  context.fillStyle = colour(element, "ink");
  context.fillText(number, x + tile[0] / 2, y - 0.3 * grid.head);
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
