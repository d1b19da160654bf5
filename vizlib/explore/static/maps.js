// Maps and pictures as they are painted into a panel, and which of their cells a point shows.
// Sizes are device pixels; `pixel` makes them of CSS pixels, and `room` is how wide all may be.

import { inCell, isDark, shade, statistics, within, written } from "./numbers.js";
import { POINTED, atlasOf, coloured, edged } from "./tiles.js";

const BETWEEN = "#d3d8e0"; // maps, where white ones and their frame can both be seen
const LARGEST_CELL = 48; // CSS pixels of a cell
const CHOSEN = "#1562bd";

export function paintMaps(context, panel, look, cursor) {
  const { pixel, colour, colours } = look, [count, height, width] = panel.shape;
  const { columns, scale, tile, gap, corner } = layout(panel, look);
  if (gap) {
    context.fillStyle = BETWEEN;
    context.fillRect(0, 0, ...sizeOfMaps(panel, look));
  }
  panel.picture ??= atlasOf(panel.values, { count, height, width }, columns, () => panel.limit, colours);
  for (let i = 0; i < count; i++) {
    const from = [(i % columns) * width, Math.floor(i / columns) * height, width, height];
    context.drawImage(panel.picture, ...from, ...corner(i), ...tile);
  }
  if (panel.chosen !== null && gap) edged(context, corner(panel.chosen), tile, gap, CHOSEN);
  if (!gap) {
    edged(context, corner(0), tile, 1, colour.line);
    writeCells(context, panel, corner(0), scale, look);
  }
  if (cursor) point(context, cursor, corner(cursor.channel), scale, pixel(2));
}

function point(context, { row, column }, [x, y], scale, line) {
  const corner = [x + column * scale + line, y + row * scale + line], side = scale - 2 * line;
  edged(context, corner, [side, side], line, POINTED);
}

export function paintPicture(context, panel, look, cursor) {
  const { pixel, colour } = look, { scale, tile } = layout(panel, look);
  panel.picture ??= pictureOf(panel);
  Object.assign(context, { imageSmoothingEnabled: scale < 1, imageSmoothingQuality: "high" });
  context.drawImage(panel.picture, 1, 1, ...tile);
  edged(context, [1, 1], tile, 1, colour.line);
  if (cursor) point(context, cursor, [1, 1], scale, pixel(2));
}

export function pictureOf({ shape: [height, width, depth], values }) {
  return coloured(width, height, (i, c) => values[i * depth + Math.min(c, depth - 1)]);
}

const shapeOf = ({ kind, shape }) => (kind === "maps" ? shape : [1, shape[0], shape[1]]);

// What is small grows by a whole number. Maps shrink by a whole number as well, and pictures as they must.
function zoom(size, box, isPicture) {
  if (box >= size) return Math.floor(box / size);
  return isPicture ? Math.max(box, 1) / size : 1 / Math.ceil(size / Math.max(box, 1));
}

function layout(panel, { pixel, room }) {
  const [count, height, width] = shapeOf(panel), gap = count === 1 ? 0 : pixel(4);
  const wide = Math.min(pixel(panel.width), room) - 2;
  const columns = Math.ceil(Math.sqrt(count)), rows = Math.ceil(count / columns);
  const part = (many) => (wide - gap * (many + 1)) / many;
  const fit = (size, many) => zoom(size, part(many), panel.kind === "picture");
  const scale = Math.min(fit(width, columns), fit(height, rows), pixel(LARGEST_CELL));
  const tile = [width, height].map((size) => Math.max(1, Math.floor(size * scale)));
  const corner = (i) => [i % columns, Math.floor(i / columns)].map((at, d) => 1 + gap + at * (tile[d] + gap));
  return { columns, rows, scale, tile, gap, corner };
}

export function sizeOfMaps(panel, look) {
  const { columns, rows, tile, gap } = layout(panel, look);
  return [columns * (tile[0] + gap) + gap + 2, rows * (tile[1] + gap) + gap + 2];
}

export function write(context, text, x, y, colour, align = "center") {
  context.fillStyle = colour;
  context.textAlign = align;
  context.fillText(text, x, y);
}

export function stroke(context, points) {
  context.beginPath();
  points.forEach((point, i) => (i ? context.lineTo(...point) : context.moveTo(...point)));
  context.stroke();
}

// The values in cells that are large enough, all with as many decimals as there is room for.
function writeCells(context, { shape, limit, values }, [x, y], scale, { colour, type }) {
  if (scale < type(1.6)) return;
  const width = shape[2];
  const most = values.every(Number.isInteger) ? 0 : 2 - Math.floor(Math.log10(statistics(values).peak || 1));
  const fits = ([places, size]) => {
    context.font = `${Math.min(type(1.2), scale * size)}px ${colour.font}`;
    const isIn = (value) => context.measureText(inCell(value, places)).width < scale * 0.92;
    return places < 9 && values.every((value) => Number.isNaN(value) || isIn(value));
  };
  const [places] = [0.42, 0.36, 0.29].flatMap((size) => [[most, size], [most - 1, size]])
    .map(([n, size]) => [Math.max(0, n), size]).find(fits) ?? [];
  if (places === undefined) return;
  values.forEach((value, i) => {
    if (Number.isNaN(value)) return;
    const ink = isDark(shade(value, limit)) ? "#fff" : "#000";
    const [column, row] = [i % width, Math.floor(i / width)];
    write(context, inCell(value, places), x + (column + 0.5) * scale, y + (row + 0.5) * scale, ink);
  });
}

// Which cell a point of the canvas shows.
export function cellAt(panel, look, px, py) {
  const { columns, scale, tile, gap } = layout(panel, look), [count, height, width] = shapeOf(panel);
  const [column, row] = [(px - 1 - gap) / (tile[0] + gap), (py - 1 - gap) / (tile[1] + gap)].map(Math.floor);
  const [left, top] = [column * (tile[0] + gap), row * (tile[1] + gap)].map((start) => start + 1 + gap);
  const [x, y] = [(px - left) / scale, (py - top) / scale].map(Math.floor);
  const cell = { channel: row * columns + column, row: y, column: x };
  const isIn = column >= 0 && column < columns && cell.channel >= 0 && cell.channel < count &&
    cell.row >= 0 && cell.row < height && cell.column >= 0 && cell.column < width;
  return isIn ? cell : null;
}

// The cell that an arrow key leads to.
export function nextCell(panel, cell, [down, right]) {
  const [, height, width] = shapeOf(panel);
  if (!cell) return { channel: panel.chosen ?? 0, row: 0, column: 0 };
  const row = within(cell.row + down, 0, height - 1), column = within(cell.column + right, 0, width - 1);
  return { ...cell, row, column };
}

// Another frame has other values under a pointer that stays, or none at all.
export function stillThere(panel, cell) {
  const [count, height, width] = shapeOf(panel);
  return cell.channel < count && cell.row < height && cell.column < width ? cell : null;
}

export function spokenCell(panel, { channel, row, column }) {
  const [count, height, width] = shapeOf(panel);
  const at = (channel * height + row) * width + column, depth = panel.shape[2];
  const value = panel.kind === "maps" ? written(panel.values[at], panel.limit)
    : [...panel.values.subarray(at * depth, (at + 1) * depth)].join(", ");
  const which = count > 1 ? `channel ${channel}, ` : "", name = panel.title ? `${panel.title}: ` : "";
  return `${name}${which}row ${row}, column ${column}: ${value}`;
}

// Where a cell lies, by the names that `pick` gives to sliders.
export function placeOf(panel, { channel, row, column }) {
  return { row, col: column, channel, cell: row * shapeOf(panel)[2] + column };
}
