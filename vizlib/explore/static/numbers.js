// Numbers: what a map's values are, how they are written, and which colour stands for each.

export const within = (value, low, high) => Math.min(Math.max(value, low), high);

const NOT_A_NUMBER = 255; // the palette's last entry, behind its 255 colours

export function statistics(values) {
  let min = Infinity, max = -Infinity, sum = 0, zeros = 0, peak = 0, lost = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i], size = Math.abs(value);
    if (value < min) min = value;
    if (value > max) max = value;
    if (size > peak && size < Infinity) peak = size;
    if (value === 0) zeros++;
    if (Number.isNaN(value)) lost++;
    sum += value;
  }
  if (lost) min = max = NaN;
  return { min, max, mean: sum / values.length, zeros: zeros / values.length, peak };
}

// Which of them is the largest, the first of equals.
export const winnerOf = (values) => values.indexOf(values.reduce((a, b) => Math.max(a, b)));

export const signed = (text) => (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");

// As many decimals for all numbers up to `peak`, so that none jumps while a slider moves.
export function written(value, peak) {
  if (!Number.isFinite(value)) return String(value).replace("-", "−");
  const tiny = peak > 0 && peak < 0.01;
  if (tiny || peak >= 1e5) return value.toExponential(2).replaceAll("-", "−");
  return signed(value.toFixed(peak >= 1000 ? 0 : peak >= 100 ? 1 : peak >= 10 ? 2 : 3));
}

// Two decimals where they tell something: for sums that are read as a whole.
export function brief(value, peak = Math.abs(value)) {
  return peak >= 0.1 && peak < 100 ? signed(value.toFixed(2)) : written(value, peak);
}

// How many decimals of these values fit, of which the largest has three digits or two; else null.
export function decimals(values, fits) {
  const { min, max, peak } = statistics(values), exponent = Math.floor(Math.log10(peak || 1));
  const choices = [3, 2].map((digits) => Math.max(0, digits - 1 - exponent));
  return choices.find((n) => n < 9 && [min, max].every((value) => fits(value.toFixed(n)))) ?? null;
}

// As on a blackboard: whole numbers stay whole, and a zero before the point is left out.
export function inCell(value, places) {
  const text = signed(value.toFixed(places));
  return Number(text.replace("−", "-")) === 0 ? "0" : text.replace(/^(−?)0\./, "$1.");
}

// A probability with three decimals: softmax gives no 0 and no 1.
export function share(value) {
  const text = written(value, 1);
  return { "0.000": "<0.001", "1.000": ">0.999" }[text] ?? text;
}

// Zero falls on the middle one of 255 colours, which is white.
export function shade(value, limit) {
  if (Number.isNaN(value)) return NOT_A_NUMBER;
  return within(Math.floor((value / limit + 1) * 127.5), 0, 254);
}

// Where white ink can be read better than black: either then stands out by 4.5 : 1 and more.
export const isDark = (shade) => shade < 44 || (shade > 210 && shade < NOT_A_NUMBER);

export function packedPalette(colours) {
  const pack = (r, g, b) => (255 << 24) | (b << 16) | (g << 8) | r;
  const packed = new Uint32Array(256);
  for (let i = 0; i < NOT_A_NUMBER; i++) packed[i] = pack(...colours.subarray(3 * i, 3 * i + 3));
  packed[NOT_A_NUMBER] = pack(128, 128, 128);
  return packed;
}

export const css = (packed) => `rgb(${packed & 255} ${(packed >> 8) & 255} ${(packed >> 16) & 255})`;

// What Python sends lies somewhere in a larger buffer, which is not kept.
export const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
export const floats = (view) => new Float32Array(bytes(view).buffer);
