// One map large, its values written in it where there is room, and the legend of its colours.

import { seen } from "./arrangement.js";
import { css, isDark, shade, signed, statistics, written } from "./numbers.js";
import { atlasOf, colour, photograph, sized } from "./tiles.js";

export const LEGEND = 74; // pixels: the colours, and the numbers beside them
export const SMALLEST = 12; // pixels of a letter that can still be read
const DIGIT = 0.57, // the width of a digit or a minus, as part of the letters' height
  SPACE = 4; // pixels between two numbers

// How the map lies in a square of `side` pixels: a vector is folded, row by row.
export function lensOf(name, tensor, side) {
  const maps = seen(name, tensor);
  if (!maps.isVector) {
    const cell = Math.min(side / maps.width, side / maps.height);
    return {
      maps,
      columns: maps.width,
      rows: maps.height,
      wide: cell,
      high: Math.max(cell, maps.height === 1 ? 60 : 0),
    };
  }
  const usual = Math.ceil(Math.sqrt(maps.count * 0.6)),
    columns = Math.min(maps.count, Math.max(usual, 1));
  const rows = Math.ceil(maps.count / columns);
  return { maps, columns, rows, wide: side / columns, high: Math.min(side / rows, 90) };
}

// The place under a point: [channel, row, column], or nothing.
export function placeIn({ maps, columns, rows, wide, high }, channel, x, y) {
  const column = Math.floor(x / wide),
    row = Math.floor(y / high);
  if (column < 0 || row < 0 || column >= columns || row >= rows) return null;
  if (!maps.isVector) return [channel, row, column];
  const unit = row * columns + column;
  return unit < maps.count ? [unit, 0, 0] : null;
}

export function paintLens(canvas, { name, tensor, place, colours, range, side, limit }) {
  const lens = lensOf(name, tensor, side),
    { maps, columns, rows, wide, high } = lens;
  const context = sized(canvas, side + LEGEND, side),
    line = colour(canvas, "line");
  const [channel, row, column] = place,
    size = maps.height * maps.width;
  const values = maps.isVector
    ? tensor.values
    : tensor.values.subarray(channel * size, (channel + 1) * size);
  const shape = maps.isVector
    ? { count: maps.count, height: 1, width: 1 }
    : { count: 1, height: rows, width: columns };
  const picture = maps.isPhotograph
    ? photograph(tensor, range)
    : atlasOf(values, shape, maps.isVector ? columns : 1, () => limit, colours);
  context.fillStyle = "#fff";
  context.fillRect(0, 0, columns * wide, rows * high);
  context.drawImage(picture, 0, 0, columns * wide, rows * high);
  context.strokeStyle = line;
  context.strokeRect(0.5, 0.5, columns * wide - 1, rows * high - 1);
  if (!maps.isPhotograph) {
    writeValues(context, lens, values, limit, line);
    paintLegend(context, canvas, {
      side,
      limit,
      values,
      colours,
      chosen: values[maps.isVector ? channel : row * columns + column],
    });
  }
  const [x, y] = maps.isVector ? [channel % columns, Math.floor(channel / columns)] : [column, row];
  for (const [style, width] of [
    ["#fff", 4],
    ["#d2007a", 2.2],
  ]) {
    Object.assign(context, { strokeStyle: style, lineWidth: width });
    context.strokeRect(x * wide, y * high, wide, high);
  }
  return lens;
}

// All values of one table in the same way, with two decimals or as many as fit; nothing if none do.
export function cellTexts(values, width, font) {
  const letters = (text) => text.length - (text.includes(".") ? 0.5 : 0); // a point is half a letter
  const fits = (text) => letters(text) * font * DIGIT + SPACE <= width;
  const { peak } = statistics(values),
    text = (value, decimals) => signed(value.toFixed(decimals));
  const ways = [(value) => text(value, 2)];
  if (peak < 1) ways.push((value) => text(value, 2).replace("0.", "."));
  ways.push((value) => text(value, 1));
  if (peak >= 10) ways.push((value) => text(value, Math.abs(value) < 9.95 ? 1 : 0));
  if (peak >= 10) ways.push((value) => text(value, 0));
  const written = ways.map((way) => Array.from(values, (value) => (value === 0 ? "0" : way(value))));
  return written.find((texts) => texts.every(fits)) ?? null;
}

function writeValues(context, { columns, wide, high }, values, limit, line) {
  const font = Math.min(high * 0.42, wide * 0.36, 18);
  if (font < SMALLEST * 0.8) return;
  Object.assign(context, {
    font: `${Math.max(font, SMALLEST)}px ${getComputedStyle(context.canvas).fontFamily}`,
    textAlign: "center",
    textBaseline: "middle",
  });
  const texts = cellTexts(values, wide, Math.max(font, SMALLEST));
  if (!texts) return;
  context.globalAlpha = 0.5;
  context.strokeStyle = line;
  for (let i = 0; i < values.length; i++)
    context.strokeRect((i % columns) * wide, Math.floor(i / columns) * high, wide, high);
  context.globalAlpha = 1;
  texts.forEach((text, i) => {
    context.fillStyle = isDark(shade(values[i], limit)) ? "#fff" : "#1a1a1a";
    context.fillText(text, ((i % columns) + 0.5) * wide, (Math.floor(i / columns) + 0.5) * high);
  });
}

// Only colours that occur: no negative half where nothing is negative.
function paintLegend(context, canvas, { side, limit, values, colours, chosen }) {
  const hasNegative = values.some((value) => value < 0),
    low = hasNegative ? -limit : 0,
    x = side + 10;
  const heightOf = (value) => ((limit - value) / (limit - low)) * (side - 2) + 1;
  for (let y = 0; y < side; y++) {
    context.fillStyle = css(colours[shade(limit - (y / (side - 1)) * (limit - low), limit)]);
    context.fillRect(x, y, 10, 1);
  }
  context.strokeStyle = colour(canvas, "line");
  context.strokeRect(x + 0.5, 0.5, 9, side - 1);
  Object.assign(context, {
    fillStyle: colour(canvas, "quiet"),
    textAlign: "left",
    font: `${Math.min(Math.max(12, side / 24), 14.5)}px ${getComputedStyle(canvas).fontFamily}`,
  });
  for (const [value, baseline] of [
    [limit, "top"],
    [hasNegative ? 0 : limit / 2, "middle"],
    [low, "bottom"],
  ]) {
    context.textBaseline = baseline;
    context.fillText(written(value, limit).slice(0, 7), x + 15, heightOf(value));
  }
  if (!Number.isFinite(chosen)) return;
  context.fillStyle = "#d2007a";
  context.beginPath();
  for (const [dx, dy] of [
    [-8, -4],
    [-1, 0],
    [-8, 4],
  ])
    context.lineTo(x + dx, heightOf(Math.max(low, Math.min(chosen, limit))) + dy);
  context.fill();
}
