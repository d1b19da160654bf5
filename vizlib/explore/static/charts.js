// Charts: series over x, told apart by colour, dash and the name at their end.

import { stroke, write } from "./maps.js";
import { signed } from "./numbers.js";

// Those of the figures for print, and brighter ones for a dark page.
const SERIES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#1a1a1a"];
const BRIGHT = ["#45b4ee", "#f19746", "#2fc59a", "#e6a3c9", "#9cd3f5", "#f0c14b", "#e8ebf0"];
const DASHES = [[], [7, 3], [7, 3, 2, 3], [2, 3], [10, 3], [4, 2], [1, 3]];
// Letters' heights: the piece of line before a name, since lines may end in the same place.
const SAMPLE = 1.8;
const MOST_POWERS = 3; // of ten; over more of them an axis has no marks between them
const MOST_MARKS = 8; // over more powers not each has a mark, or the numbers would cover each other

// Round numbers between two ends, about `count` of them.
export function ticks(low, high, count) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9), found = [];
  for (let i = first; i * step <= high + step * 1e-6; i++) found.push(i * step);
  return found;
}

// The numbers between two powers of ten that an axis of factors shows; on a short one even steps do.
export function factorTicks(low, high) {
  const first = Math.floor(low), length = Math.ceil(high) - first;
  const all = Array.from({ length }, (_, i) => 10 ** (first + i));
  const every = Math.ceil(length / MOST_MARKS), powers = all.filter((_, i) => i % every === 0);
  const ones = powers.length > MOST_POWERS ? [1] : [1, 2, 5];
  const found = powers.flatMap((power) => ones.map((one) => one * power))
    .filter((mark) => Math.log10(mark) >= low && Math.log10(mark) <= high);
  return found.length > 2 ? found : ticks(10 ** low, 10 ** high, 4);
}

// How values become places upwards: as they are; by factors; or by factors of what shares lack to 1.
const SCALES = {
  linear: { up: (value) => value, of: (value) => value, sign: 1 },
  log: { up: (value) => Math.log10(value), of: (value) => value, sign: 1 },
  errors: { up: (value) => -Math.log10(1 - value), of: (value) => 1 - value, sign: -1 },
};

function parted(values, lengths) {
  let end = 0;
  return lengths.map((length) => values.slice(end, (end += length)));
}

// The axis upwards: its ends, its marks, and where a value lies; what has no place lies on the edge.
function upwards({ values, ends, scale = "linear" }) {
  const { up, of, sign } = SCALES[scale];
  const places = [...(ends ?? values)].map(up).filter(Number.isFinite);
  const least = places.length ? places.reduce((a, b) => Math.min(a, b)) : 0;
  const most = places.length ? places.reduce((a, b) => Math.max(a, b)) : 1;
  const gap = (most - least || Math.abs(most) || 1) * 0.06, [low, high] = [least - gap, most + gap];
  const marks = () => factorTicks(...[sign * low, sign * high].sort((a, b) => a - b)).map(of);
  return {
    low, high, marks: scale === "linear" ? ticks(low, high, 4) : marks(),
    place: (value) => Math.min(Math.max(up(value), low), high),
  };
}

// Labels at the right of the lines, moved apart so that none covers another.
export function apart(places, gap, bottom) {
  const order = [...places.keys()].sort((a, b) => places[a] - places[b]), moved = [...places];
  order.forEach((i, n) => {
    if (n) moved[i] = Math.max(moved[i], moved[order[n - 1]] + gap);
  });
  const over = Math.max(0, (moved[order.at(-1)] ?? 0) - bottom);
  return moved.map((place) => place - over);
}

export function paintLines(context, panel, { pixel, type, colour }, [width, height]) {
  const series = parted(panel.values, panel.lengths), longest = Math.max(2, ...panel.lengths);
  const { low, high, marks, place } = upwards(panel), em = type(1);
  context.font = `${type(0.93)}px ${colour.font}`;
  const percents = (value) => `${+(100 * value).toPrecision(4)} %`;
  const told = panel.percent ? percents : (value) => signed(String(+value.toPrecision(3)));
  const most = (texts) => Math.max(0, ...texts.map((text) => context.measureText(text).width));
  const left = most(marks.map(told)) + em * 0.6, right = most(panel.names) + em * (SAMPLE + 0.9);
  const [top, bottom] = [em * 0.6, height - em * 2.8];
  const x = (i) => left + (i / (longest - 1)) * (width - left - right);
  const y = (value) => bottom - ((place(value) - low) / (high - low)) * (bottom - top);
  context.lineWidth = pixel(1);
  for (const mark of marks) {
    context.strokeStyle = colour.line;
    stroke(context, [[left, y(mark)], [width - right, y(mark)]]);
    write(context, told(mark), left - em * 0.45, y(mark), colour.ink, "right");
  }
  // Of epochs only whole numbers are meant; on so short an axis as 0…1 there are parts.
  const { start, step } = panel, length = (longest - 1) * step;
  const isMeant = (mark) => (step % 1 && length < 1.5) || Number.isInteger(+mark.toFixed(6));
  for (const mark of ticks(start, start + length, 5).filter(isMeant)) {
    write(context, signed(String(+mark.toFixed(6))), x((mark - start) / step), bottom + em * 0.9, colour.ink);
  }
  write(context, panel.along, (left + width - right) / 2, bottom + em * 2.1, colour.ink);
  if (panel.at !== null) {
    context.strokeStyle = colour.ink;
    stroke(context, [[x(panel.at), top], [x(panel.at), bottom]]);
  }
  const ends = series.map((values) => y(values.findLast(Number.isFinite) ?? marks[0]));
  const places = apart(ends, em * 1.2, bottom), inks = colour.isDark ? BRIGHT : SERIES;
  series.forEach((values, n) => {
    const beside = width - right + em * 0.45;
    context.strokeStyle = inks[n % inks.length];
    context.lineWidth = pixel(2);
    context.setLineDash(DASHES[n % DASHES.length].map(pixel));
    stroke(context, [...values].flatMap((value, i) => (Number.isFinite(value) ? [[x(i), y(value)]] : [])));
    stroke(context, [[beside, places[n]], [beside + em * SAMPLE, places[n]]]);
    context.setLineDash([]);
    const value = values[panel.at];
    if (panel.at !== null && Number.isFinite(value)) dot(context, x(panel.at), y(value), pixel(4));
    write(context, panel.names[n], beside + em * (SAMPLE + 0.3), places[n], colour.ink, "left");
  });
}

function dot(context, x, y, radius) {
  context.fillStyle = context.strokeStyle;
  context.beginPath();
  context.arc(x, y, radius, 0, 7);
  context.fill();
}
