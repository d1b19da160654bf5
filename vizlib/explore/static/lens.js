// One map large, its values written in it where there is room, and the legend of its colours.

import { seen } from "./arrangement.js";
import { css, isDark, shade, signed, statistics, within, written } from "./numbers.js";
import { POINTED, atlasOf, colour, edged, photograph, pointed, sized } from "./tiles.js";

export const LEGEND = 74; // pixels: the colours, and the numbers beside them
export const SMALLEST = 12; // pixels of a letter that can still be read
const DIGIT = 0.57, // the width of a digit or a minus, as part of the letters' height
  SPACE = 4; // pixels between two numbers

// How the map lies in a square of `side` pixels: a vector is folded, row by row.
export function lensOf(name, tensor, side) {
  const maps = seen(name, tensor), { count, height, width, isVector } = maps;
  if (!isVector) {
    const cell = Math.min(side / width, side / height);
    return { maps, columns: width, rows: height, wide: cell, high: Math.max(cell, height === 1 ? 60 : 0) };
  }
  const columns = within(Math.ceil(Math.sqrt(count * 0.6)), 1, count), rows = Math.ceil(count / columns);
  return { maps, columns, rows, wide: side / columns, high: Math.min(side / rows, 90) };
}

// The place under a point: [channel, row, column], or nothing.
export function placeIn({ maps, columns, rows, wide, high }, channel, x, y) {
  const column = Math.floor(x / wide), row = Math.floor(y / high);
  if (column < 0 || row < 0 || column >= columns || row >= rows) return null;
  if (!maps.isVector) return [channel, row, column];
  const unit = row * columns + column;
  return unit < maps.count ? [unit, 0, 0] : null;
}

export function paintLens(canvas, { name, tensor, place, colours, range, side, limit }) {
  const lens = lensOf(name, tensor, side), { maps, columns, rows, wide, high } = lens;
  const context = sized(canvas, side + LEGEND, side), line = colour(canvas, "line");
  const [channel, row, column] = place, size = maps.height * maps.width;
  const values = maps.isVector
    ? tensor.values
    : tensor.values.subarray(channel * size, (channel + 1) * size);
  const cells = maps.isVector ? maps : { count: 1, height: rows, width: columns };
  const picture = maps.isPhotograph
    ? photograph(tensor, range)
    : atlasOf(values, cells, maps.isVector ? columns : 1, () => limit, colours);
  const whole = [columns * wide, rows * high];
  context.fillStyle = "#fff";
  context.fillRect(0, 0, ...whole);
  context.drawImage(picture, 0, 0, ...whole);
  edged(context, [0, 0], whole, 1, line, -0.5);
  const at = maps.isVector ? channel : row * columns + column;
  if (!maps.isPhotograph) {
    writeValues(context, lens, values, limit, line);
    paintLegend(context, { side, limit, values, colours, chosen: values[at] });
  }
  pointed(context, [(at % columns) * wide, Math.floor(at / columns) * high], [wide, high], [4, 2.2]);
  return lens;
}

// All values of one table in the same way, with two decimals or as many as fit; nothing if none do.
export function cellTexts(values, width, font) {
  const letters = (text) => text.length - (text.includes(".") ? 0.5 : 0); // a point is half a letter
  const fits = (text) => letters(text) * font * DIGIT + SPACE <= width;
  const { peak } = statistics(values), text = (value, decimals) => signed(value.toFixed(decimals));
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
  context.font = `${Math.max(font, SMALLEST)}px ${getComputedStyle(context.canvas).fontFamily}`;
  Object.assign(context, { textAlign: "center", textBaseline: "middle" });
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
function paintLegend(context, { side, limit, values, colours, chosen }) {
  const hasNegative = values.some((value) => value < 0), low = hasNegative ? -limit : 0, x = side + 10;
  const heightOf = (value) => ((limit - value) / (limit - low)) * (side - 2) + 1;
  for (let y = 0; y < side; y++) {
    context.fillStyle = css(colours[shade(limit - (y / (side - 1)) * (limit - low), limit)]);
    context.fillRect(x, y, 10, 1);
  }
  edged(context, [x, 0], [10, side], 1, colour(context.canvas, "line"), -0.5);
  const { fontFamily } = getComputedStyle(context.canvas);
  context.font = `${within(side / 24, 12, 14.5)}px ${fontFamily}`;
  Object.assign(context, { fillStyle: colour(context.canvas, "quiet"), textAlign: "left" });
  const middle = hasNegative ? 0 : limit / 2;
  for (const [value, baseline] of [[limit, "top"], [middle, "middle"], [low, "bottom"]]) {
    context.textBaseline = baseline;
    context.fillText(written(value, limit).slice(0, 7), x + 15, heightOf(value));
  }
  if (!Number.isFinite(chosen)) return;
  const y = heightOf(within(chosen, low, limit));
  context.fillStyle = POINTED;
  context.beginPath();
  for (const [left, up] of [[8, 4], [1, 0], [8, -4]]) context.lineTo(x - left, y - up);
  context.fill();
}
