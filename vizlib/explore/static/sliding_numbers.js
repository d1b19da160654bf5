// Numbers of a convolution: as they are said, as they fit into cells, and so that they add up.

import { decimals, shade, signed, statistics, within } from "./numbers.js";

// With so many digits, and none that says nothing: 0.5, −12.35, 3.2e−7.
export function say(value, digits = 4) {
  if (!Number.isFinite(value)) return String(value).replace("-", "−");
  const size = Math.abs(value),
    text = value.toPrecision(digits);
  if (size && (size < 1e-4 || size >= 10 ** 7)) return Number(text).toExponential().replaceAll("-", "−");
  return signed(String(Number(text)));
}

export const inBrackets = (text) => (text.startsWith("−") ? `(${text})` : text);

const LARGE = 14, // pixels of a letter that is read from afar
  SMALL = 11; // and of one that can just be read

// How numbers are written into cells of so many pixels, all with as many decimals; or null.
export function letteringOf(values, cell, font, context) {
  const known = Array.from(values).filter(Number.isFinite),
    isWhole = known.every(Number.isInteger);
  for (const px of [Math.min(cell * 0.42, 34), LARGE, SMALL]) {
    if (px < SMALL || px > cell * 0.62) continue;
    context.font = `600 ${px}px ${font}`;
    const fits = (text) => context.measureText(signed(text).replace(/^(−?)0\./, "$1.")).width < cell - 3;
    const places = isWhole ? wholeIfItFits(known, fits) : decimals(known, fits);
    if (places !== null) return { px, places: Math.min(places, 3) };
  }
  return null;
}

function wholeIfItFits(values, fits) {
  const { min, max } = statistics(values);
  return [min, max].every((value) => fits(String(value))) ? 0 : null;
}

// Black or white, whichever is stronger on a colour of the palette: never under 4.58 : 1.
export function inkOn(packed) {
  const [r, g, b] = [packed & 255, (packed >> 8) & 255, (packed >> 16) & 255].map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

export const colourOf = (value, limit, colours) => colours[shade(value, limit)];

// A colour of the palette, paler: on its way to the one that the page has behind its cells.
export function mixed(packed, card) {
  const ground = Number.parseInt(card.length > 4 ? card.slice(1) : card.slice(1).replace(/./g, "$&$&"), 16);
  const part = (shift, from) => Math.round(0.4 * ((packed >> shift) & 255) + 0.6 * ((ground >> from) & 255));
  return part(0, 16) | (part(8, 8) << 8) | (part(16, 0) << 16);
}

// Addends and their sum, rounded so that they add up as written: each is within one unit of its
// last digit, and the sum is rounded as usual.
export function addedUp(addends, total) {
  const places = placesFor([...addends, total]),
    scale = 10 ** places;
  const whole = addends.map((value) => Math.round(value * scale)),
    sum = Math.round(total * scale);
  let left = sum - whole.reduce((all, each) => all + each, 0);
  const error = (i) => (addends[i] * scale - whole[i]) * Math.sign(left);
  const order = [...addends.keys()].sort((a, b) => error(b) - error(a));
  for (const i of order) {
    if (!left) break;
    whole[i] += Math.sign(left);
    left -= Math.sign(left);
  }
  const text = (value) => signed((value / scale).toFixed(places));
  return { addends: whole.map(text), total: text(sum) };
}

function placesFor(values) {
  if (values.every(Number.isInteger)) return 0;
  const { peak } = statistics(values);
  return within(3 - Math.floor(Math.log10(peak || 1)), 0, 12);
}
