// Ink becomes what MNIST would have made of it, as `handwriting.from_ink` does: cropped, its strokes
// neither too thin nor too thick, scaled to 20 pixels, its centre of mass in the middle of 28.
//
// A grey picture is { height, width, values }, Float32Array of 0…1, row by row.

import { within } from "./numbers.js";

const BOX = 20, MNIST = 28, LARGE = 160, HALF = 0.5, SOFT_EDGE = 2;
const USUAL = [1.8, 4.8], POSSIBLE = [1, 6]; // widths of MNIST's strokes, in its pixels
const FAINTEST = Math.fround(1 / 255);

const picture = (height, width, values = new Float32Array(height * width)) => ({ height, width, values });

// By a loop: `map` of a Float32Array takes three times as long, and a stroke waits for this.
function mapped({ height, width, values }, f) {
  const made = new Float32Array(values.length);
  for (let i = 0; i < made.length; i++) made[i] = f(values[i], i);
  return picture(height, width, made);
}

// Returns the 28×28 bytes, or none where no pixel is even half covered.
export function fromInk(bytes, side) {
  const ink = picture(side, side, bytes),
    box = boxOf(ink, 255 * HALF);
  if (!box) return null;
  const near = mapped(cut(ink, grown(box, SOFT_EDGE, side)), (value) => value / 255);
  const own = dilated(mapped(near, (value) => (value >= HALF ? 1 : 0)), SOFT_EDGE);
  const digit = trimmed(mapped(near, (value, i) => value * own.values[i]));
  return Uint8Array.from(byMass(inBox(digit)).values, (value) => within(value * 255 + 0.5, 0, 255));
}

// [top, left, bottom, right] of the pixels above `level`; bottom and right are the first ones after.
function boxOf({ height, width, values }, level) {
  let top = height, left = width, bottom = 0, right = 0;
  for (let row = 0, i = 0; row < height; row++) {
    for (let column = 0; column < width; column++, i++) {
      if (values[i] <= level) continue;
      if (row < top) top = row;
      if (column < left) left = column;
      if (column >= right) right = column + 1;
      bottom = row + 1;
    }
  }
  return bottom ? [top, left, bottom, right] : null;
}

const grown = ([top, left, bottom, right], by, side) =>
  [Math.max(0, top - by), Math.max(0, left - by), Math.min(side, bottom + by), Math.min(side, right + by)];

function cut({ width, values }, [top, left, bottom, right]) {
  const part = picture(bottom - top, right - left);
  for (let row = top; row < bottom; row++) {
    part.values.set(values.subarray(row * width + left, row * width + right), (row - top) * part.width);
  }
  return part;
}

const trimmed = (digit) => cut(digit, boxOf(digit, FAINTEST));

// Grows by the four neighbours of each pixel, some times.
function dilated(mask, times) {
  const { height, width } = mask;
  let { values } = mask;
  for (let n = 0; n < times; n++) {
    const made = values.slice();
    values.forEach((value, i) => {
      if (!value) return;
      if (i >= width) made[i - width] = 1;
      if (i + width < made.length) made[i + width] = 1;
      if (i % width) made[i - 1] = 1;
      if ((i + 1) % width) made[i + 1] = 1;
    });
    values = made;
  }
  return picture(height, width, values);
}

function framed({ height, width, values }, margin) {
  const wide = picture(height + 2 * margin, width + 2 * margin);
  for (let row = 0; row < height; row++) {
    wide.values.set(values.subarray(row * width, (row + 1) * width), (row + margin) * wide.width + margin);
  }
  return wide;
}

// --- Strokes ---------------------------------------------------------------------------------

// The distance of each pixel that is inside to the nearest that is not; there has to be one.
function distances({ height, width, values }) {
  const far = picture(height, width), line = new Float64Array(width);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) line[column] = values[row * width + column] ? FAR : 0;
    lower(line, width);
    far.values.set(line, row * width);
  }
  const { values: squares } = far, across = new Float64Array(height);
  for (let column = 0; column < width; column++) {
    for (let row = 0; row < height; row++) across[row] = squares[row * width + column];
    lower(across, height);
    for (let row = 0; row < height; row++) squares[row * width + column] = Math.sqrt(across[row]);
  }
  return far;
}

const FAR = 1e9, LONGEST = 1 << 10; // pixels, squared: there is no such distance; and the longest line
const lowest = new Int32Array(LONGEST), starts = new Float64Array(LONGEST), copy = new Float64Array(LONGEST);

// Each place i of a line gets the least of f(k) + (i − k)²: of the parabolas over all k, those that
// are lowest somewhere are kept, with where each begins (Felzenszwalb and Huttenlocher, 2012).
function lower(line, count) {
  const crossing = (i, k) => (line[i] + i * i - line[k] - k * k) / (2 * (i - k));
  let last = -1;
  for (let i = 0; i < count; i++) {
    while (last > 0 && crossing(i, lowest[last]) <= starts[last]) last--;
    if (last === 0 && crossing(i, lowest[0]) <= 0) last = -1;
    starts[++last] = last ? crossing(i, lowest[last - 1]) : 0;
    lowest[last] = i;
  }
  copy.set(line);
  for (let i = 0, p = 0; i < count; i++) {
    while (p < last && starts[p + 1] < i) p++;
    line[i] = copy[lowest[p]] + (i - lowest[p]) ** 2;
  }
}

// On a stroke of width w the distance to its nearer edge goes from 0 to w / 2: w is 4 times the mean.
function strokeWidth(mask) {
  let sum = 0, count = 0;
  for (const distance of distances(framed(mask, 1)).values) {
    sum += distance;
    count += distance > 0;
  }
  return 4 * (sum / count - 0.25);
}

// Makes strokes thicker or thinner where no pen of MNIST's would have drawn them so.
function evenStroke(digit) {
  const longer = Math.max(digit.height, digit.width), isInked = (value) => (value > HALF ? 1 : 0);
  const width = (strokeWidth(mapped(digit, isInked)) * BOX) / longer;
  const wanted = within(width, ...(longer <= MNIST ? POSSIBLE : USUAL));
  if (wanted === width) return digit;
  const inside = mapped(framed(resized(digit, LARGE), LARGE / 8), isInked);
  const inner = distances(inside), outer = distances(mapped(inside, (is) => 1 - is));
  const deepest = inner.values.reduce((a, b) => Math.max(a, b));
  // A dot is all edge: its middle stays.
  const moved = Math.max((((wanted - width) / 2) * LARGE) / BOX, HALF - deepest);
  return mapped(inner, (distance, i) => within(distance - outer.values[i] + moved + HALF, 0, 1));
}

// --- Sizes -----------------------------------------------------------------------------------

const inBox = (digit) => resized(trimmed(evenStroke(trimmed(digit))), BOX);

// Until the longer side is `length`; as Pillow does it, by means or, where it grows, by cubics.
function resized(digit, length) {
  const longer = Math.max(digit.height, digit.width);
  const sized = (side) => Math.max(1, evenRound((side * length) / longer));
  const height = sized(digit.height), filter = height <= digit.height ? MEAN : CUBIC;
  const tall = inRows(turned(inRows(turned(digit), sized(digit.width), filter)), height, filter);
  return mapped(tall, (value) => within(value, 0, 1));
}

// Half goes to the even number, as in Python.
const evenRound = (value) => (value % 1 === 0.5 ? 2 * Math.round(value / 2) : Math.round(value));

const MEAN = { reach: 0.5, weigh: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) };
const CUBIC = {
  reach: 2,
  weigh: (signed) => {
    const x = Math.abs(signed);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
  },
};

// Rows become columns.
function turned({ height, width, values }) {
  const made = picture(width, height);
  for (let i = 0; i < values.length; i++) {
    made.values[(i % width) * height + Math.floor(i / width)] = values[i];
  }
  return made;
}

// Makes another number of rows, each a weighted mean of those near it.
function inRows(digit, rows, filter) {
  const made = picture(rows, digit.width), scale = digit.height / rows, wider = Math.max(scale, 1);
  for (let row = 0; row < rows; row++) {
    const centre = (row + 0.5) * scale, reach = filter.reach * wider;
    const from = Math.max(0, Math.trunc(centre - reach + 0.5));
    const end = Math.min(digit.height, Math.trunc(centre + reach + 0.5));
    const places = Float64Array.from({ length: end - from }, (_, i) => from + i + 0.5);
    const weights = places.map((place) => filter.weigh((place - centre) / wider));
    const whole = weights.reduce((sum, weight) => sum + weight, 0);
    for (let column = 0; column < digit.width; column++) {
      let sum = 0;
      for (let at = from; at < end; at++) sum += weights[at - from] * digit.values[at * digit.width + column];
      made.values[row * digit.width + column] = sum / whole;
    }
  }
  return made;
}

// Lays the digit into 28×28 by whole pixels, its centre of mass at row and column 14, give or take half.
function byMass(digit) {
  const image = picture(MNIST, MNIST);
  let mass = 0, rows = 0, columns = 0;
  digit.values.forEach((value, i) => {
    mass += value;
    rows += value * Math.floor(i / digit.width);
    columns += value * (i % digit.width);
  });
  const start = (centre, side) => within(Math.floor(MNIST / 2 - centre + 0.5), 0, MNIST - side);
  const top = start(rows / mass, digit.height), left = start(columns / mass, digit.width);
  for (let row = 0; row < digit.height; row++) {
    const line = digit.values.subarray(row * digit.width, (row + 1) * digit.width);
    image.values.set(line, (top + row) * MNIST + left);
  }
  return image;
}
