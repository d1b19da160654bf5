// How a value is made, as part of the page: window × kernel = products, and what they add up to.

import { drawn, element } from "./elements.js";
import { SMALLEST, cellTexts } from "./lens.js";
import { brief, css, isDark, shade, signed, statistics, written } from "./numbers.js";
import { atlasOf, enlarged } from "./tiles.js";

const BORDER = 1; // pixels of a cell that a number may stand on
const MOST_TERMS = 8; // rows; the strongest ones, where there are more

export function showEquation(root, explained, { title, colours, term, onTerm, faded }) {
  const show = SHOWN[explained.kind];
  const parts = show?.(explained, {
    ...{ colours, term, onTerm, room: root.clientWidth },
    unit: parseFloat(getComputedStyle(root).fontSize), // pixels
  });
  const heading = element("h2", {}, title);
  const note = faded ? [quiet(faded)] : [];
  const focused = [...root.querySelectorAll("button")].indexOf(document.activeElement);
  root.replaceChildren(heading, ...note, ...(parts ?? []));
  if (focused >= 0) root.querySelectorAll("button")[focused]?.focus();
}

const SHOWN = {
  windows: showWindows,
  products: showProducts,
  window: ({ window, winner, height, width, sum, words }, { colours, room, unit }) => {
    const about = { name: "the window", values: window, height, width, colours, winner };
    const cell = cellFor(room / width, height, unit);
    return [row(matrix({ ...about, cell })), addition([[words, null], ["the value", sum]], "=")];
  },
  pair: ({ values, sign, sum }) => {
    const order = sign === "from" || sign === "divides" ? values.toReversed() : values;
    const parts = order.map(({ stage, value }) => [stage || "a number", value]);
    return [addition([...parts, ["the value", sum]], { from: "−", divides: "÷" }[sign] ?? sign)];
  },
  normal: ({ x, mean, deviation, weight, bias, sum }) => {
    const difference = x - mean, normal = difference / deviation;
    return [
      addition([["value", x], ["mean", mean], ["difference", difference]], "−"),
      addition([["difference", difference], ["deviation", deviation], ["normal", normal]], "÷"),
      addition([["normal × weight", normal * weight], ["bias", bias], ["the value", sum]], "+"),
    ];
  },
  function: ({ f, x, sum }) => [curve(f, x, sum), addition([["before", x], ["the value", sum]], "→")],
  share: ({ score, share, sum, isLog }) => {
    const after = isLog ? [["logarithm", sum]] : [];
    return [addition([["score", score], ["share", share], ...after], "→")];
  },
  moved: ({ sum }) => [addition([["the value", sum]], "=")],
};

const row = (...parts) => element("div", { class: "row" }, ...parts);
const large = (...parts) => element("div", { class: "large" }, ...parts);
const terms = (rows) => element("div", { class: "terms" }, ...rows);
const quiet = (text) => element("p", { class: "quiet" }, text);
const sign = (text) => element("i", {}, text);

// --- Windows ---------------------------------------------------------------------------------

const strength = ({ value }) => Math.abs(value);
const strongest = (terms) => [...terms].sort((a, b) => strength(b) - strength(a)).slice(0, MOST_TERMS);

// The one that was clicked, or else the strongest.
export const chosenTerm = (terms, term) =>
  terms.find(({ channel }) => channel === term) ?? strongest(terms)[0];

// A summand as a button: its channel, what it is made of, its bar and its value.
function termRow({ channel, number: place = channel, value }, most, attributes, ...factors) {
  const number = element("span", { class: "number" }, String(place));
  const parts = [number, ...factors, bar(value, most), element("b", {}, withSign(value))];
  return element("button", { type: "button", ...attributes }, ...parts);
}

const PARTS = ["window", "kernel", "products"];

function showWindows({ terms: all, height, width, bias, sum }, { colours, term, onTerm, room, unit }) {
  const many = all.length > MOST_TERMS, chosen = chosenTerm(all, term);
  const peaks = PARTS.map((part) => Math.max(...all.flatMap((each) => each[part].map(Math.abs))) || 1);
  const most = Math.max(...all.map(strength)) || 1, others = sum - (bias ?? 0) - chosen.value;
  const picture = (each, i) => small(each[PARTS[i]], height, width, peaks[i], { colours, unit });
  const list = terms((many ? strongest(all) : all).map((each) => {
    const about = { "aria-pressed": String(each === chosen), onclick: () => onTerm(each.channel) };
    return termRow(each, most, about, picture(each, 0), "×", picture(each, 1));
  }));
  const isOne = all.length === 1, // there is nothing to choose from
    aside = 10.9 * unit + 2 * (list.querySelector("canvas").width + 2), // the list, and the gap
    beside = room > 600 && !isOne ? room - aside : room;
  const signs = 2.9 * unit + 3; // pixels of × and =, and of the gaps
  const cell = cellFor((beside - signs) / (3 * width), height, unit);
  const [window, kernel, products] = PARTS.map((part, i) => {
    const name = i < 2 ? `${part}, map ${chosen.channel}` : part;
    return matrix({ name, values: chosen[part], height, width, colours, limit: peaks[i], cell });
  });
  const summands = [[`map ${chosen.channel}`, chosen.value]];
  if (!isOne) summands.push([`other ${all.length - 1} map${all.length > 2 ? "s" : ""}`, others]);
  if (bias !== null) summands.push(["bias", bias]);
  const added = addition([...summands, ["the value", sum]], "+");
  const shown = large(row(window, sign("×"), kernel, sign("="), products), added);
  if (isOne) return [shown];
  const caption = many ? [quiet(`the ${MOST_TERMS} strongest of ${all.length} maps`)] : [];
  return [...caption, element("div", { class: "split" }, list, shown)];
}

// As large as the room allows; of many rows smaller, so that they are no higher than the map.
const cellFor = (room, rows, unit) =>
  Math.min(2.9 * unit, Math.max(2.2, 11 / rows) * unit, Math.max(9, Math.floor(room)));

function showProducts({ terms: all, bias, positive, negative, sum }, { onTerm, colours }) {
  const shown = strongest(all), most = strength(shown[0]) || 1;
  const list = terms(shown.map((each) => {
    const factors = `${plain(each.input)} × ${written(each.weight, 1)}`;
    const about = { onclick: () => onTerm(each.channel) };
    return termRow(each, most, about, element("span", { class: "factors" }, factors));
  }));
  const added = bias === null ? [] : [["bias", bias]];
  const summands = [["positive", positive], ["negative", negative], ...added, ["the value", sum]];
  const [inputs, weights, products] = ["input", "weight", "value"].map((part, i) =>
    figureOf(["inputs", "weights", "products"][i], all.map((each) => each[part]), colours));
  const factors = row(inputs, sign("×"), weights, sign("="), products);
  const caption = quiet(`the ${shown.length} strongest of ${all.length} products`);
  return [caption, element("div", { class: "split" }, list, large(factors, addition(summands, "+")))];
}

// All numbers of a kind, row by row.
function figureOf(name, values, colours) {
  const cells = { count: values.length, height: 1, width: 1 }, limit = statistics(values).peak || 1;
  const picture = atlasOf(values, cells, Math.ceil(Math.sqrt(values.length)), () => limit, colours);
  const canvas = enlarged(element("canvas", { role: "img", "aria-label": name }), picture);
  return element("figure", {}, element("figcaption", { class: "quiet" }, name), canvas);
}

function small(values, height, width, limit, { colours, unit }) {
  const scale = Math.max(1, Math.floor((1.6 * unit) / Math.max(height, width)));
  const known = values.map((value) => value ?? 0);
  const picture = atlasOf(known, { count: 1, height, width }, 1, () => limit, colours);
  return enlarged(element("canvas", { "aria-hidden": "true" }), picture, scale);
}

const letters = (size) => Math.max(SMALLEST, size * 0.38);

function matrix({ name, values, height, width, colours, limit, winner = -1, cell: size }) {
  const known = values.map((value) => value ?? 0), most = limit ?? (Math.max(...known.map(Math.abs)) || 1);
  const texts = cellTexts(known, size + BORDER, letters(size));
  const cells = values.map((value, i) => {
    if (value === null) return element("td", { class: "outside", title: "padding: 0" });
    const cell = element("td", { title: String(value) }, texts?.[i] ?? ""), tone = shade(value, most);
    cell.classList.toggle("winner", i === winner);
    Object.assign(cell.style, { background: css(colours[tone]), color: isDark(tone) ? "#fff" : "#1a1a1a" });
    return cell;
  });
  const rows = Array.from({ length: height }, (_, at) =>
    element("tr", {}, ...cells.slice(at * width, (at + 1) * width)));
  const table = element("table", {}, element("caption", {}, name), ...rows);
  table.style.cssText = `--cell:${size}px;font-size:${letters(size)}px;width:${size * width}px`;
  return table;
}

function bar(value, most) {
  const inner = element("i", { class: value < 0 ? "minus" : "plus" }),
    share = (50 * Math.abs(value)) / most;
  inner.style.cssText = `width:${share}%;${value < 0 ? "right" : "left"}:50%`;
  return element("span", { class: "bar" }, inner);
}

// --- Additions -------------------------------------------------------------------------------

const plain = (value) => brief(value, Math.max(Math.abs(value), 0.1));
const withSign = (value) => (value < 0 ? "" : "+") + plain(value);

// Numbers of which the last is the sum of the others, rounded so that they add up as written: the
// second takes what is left over.
export function rounded(numbers, decimals) {
  const scale = 10 ** decimals,
    all = numbers.map((number) => Math.round(number * scale));
  const left = all.at(-1) - all.slice(0, -1).reduce((sum, n) => sum + n, 0);
  all[Math.min(1, all.length - 2)] += left;
  return all.map((number) => number / scale);
}

function addition(parts, between) {
  const numbers = parts.map(([, number]) => number),
    peak = Math.max(...numbers.map((n) => Math.abs(n ?? 0)));
  const decimals = peak >= 1000 ? 0 : peak >= 100 ? 1 : peak >= 0.1 || !peak ? 2 : 4;
  const shown = between === "+" && parts.length > 1 ? rounded(numbers, decimals) : numbers;
  const text = (number) => (number === null ? "" : signed(number.toFixed(decimals)));
  const children = parts.flatMap(([name, number], i) => {
    const isLast = i === parts.length - 1, kind = isLast ? "sum" : (number ?? 0) < 0 ? "minus" : "plus";
    const value = [element("b", {}, text(shown[i])), element("small", {}, name)];
    const before = i ? [sign(isLast && between !== "→" ? "=" : between)] : [];
    return [...before, element("span", { class: kind }, ...value)];
  });
  return element("p", { class: "addition" }, ...children);
}

// --- A function ------------------------------------------------------------------------------

function curve(f, x, y) {
  const reach = Math.max(Math.abs(x) * 1.25, 3),
    xs = Array.from({ length: 121 }, (_, i) => -reach + (i / 60) * reach);
  const ys = xs.map(f), high = Math.max(...ys.map(Math.abs), 1e-6);
  const at = (px, py) => `${(110 + (px / reach) * 105).toFixed(1)},${(60 - (py / high) * 52).toFixed(1)}`;
  const [cx, cy] = at(x, y).split(","), points = xs.map((px, i) => at(px, ys[i])).join(" ");
  const about = { class: "curve", role: "img", "aria-label": `${plain(x)} becomes ${plain(y)}` };
  return drawn(
    "svg",
    { viewBox: "0 0 220 120", ...about },
    drawn("path", { d: "M0,60H220M110,4V116", class: "axis" }),
    drawn("polyline", { points, class: "function" }),
    drawn("circle", { cx, cy, r: 5, class: "point" }),
  );
}
