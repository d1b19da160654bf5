// How a value is made, as part of the page: window × kernel = products, and what they add up to.

import { element } from "./elements.js";
import { SMALLEST, cellTexts } from "./lens.js";
import { brief, css, isDark, shade, statistics, written } from "./numbers.js";
import { atlasOf } from "./tiles.js";

const BORDER = 1; // pixels of a cell that a number may stand on
const MOST_TERMS = 8; // rows; the strongest ones, where there are more

export function showEquation(root, explained, { title, colours, term, onTerm, faded }) {
  const show = SHOWN[explained.kind];
  const parts = show?.(explained, {
    ...{ colours, term, onTerm, room: root.clientWidth },
    unit: parseFloat(getComputedStyle(root).fontSize), // pixels
  });
  const heading = element("h2", {}, title);
  const note = faded ? [element("p", { class: "quiet" }, faded)] : [];
  const focused = [...root.querySelectorAll("button")].indexOf(document.activeElement);
  root.replaceChildren(heading, ...note, ...(parts ?? []));
  if (focused >= 0) root.querySelectorAll("button")[focused]?.focus();
}

const SHOWN = {
  windows: showWindows,
  products: showProducts,
  window: ({ window, winner, height, width, sum, words }, { colours, room, unit }) => [
    element(
      "div",
      { class: "row" },
      matrix({
        ...{ name: "the window", values: window, height, width, colours, winner },
        cell: cellFor(room / width, height, unit),
      }),
    ),
    addition(
      [
        [words, null],
        ["the value", sum],
      ],
      "=",
    ),
  ],
  pair: ({ values: [one, other], sign, sum }) => {
    const [a, b] = sign === "from" || sign === "divides" ? [other, one] : [one, other];
    const word = { from: "−", divides: "÷" }[sign] ?? sign;
    return [
      addition(
        [
          [a.stage || "a number", a.value],
          [b.stage || "a number", b.value],
          ["the value", sum],
        ],
        word,
      ),
    ];
  },
  normal: ({ x, mean, deviation, weight, bias, sum }) => [
    addition(
      [
        ["value", x],
        ["mean", mean],
        ["difference", x - mean],
      ],
      "−",
    ),
    addition(
      [
        ["difference", x - mean],
        ["deviation", deviation],
        ["normal", (x - mean) / deviation],
      ],
      "÷",
    ),
    addition(
      [
        ["normal × weight", ((x - mean) / deviation) * weight],
        ["bias", bias],
        ["the value", sum],
      ],
      "+",
    ),
  ],
  function: ({ f, x, sum }) => [
    curve(f, x, sum),
    addition(
      [
        ["before", x],
        ["the value", sum],
      ],
      "→",
    ),
  ],
  share: ({ score, share, sum, isLog }) => [
    addition(
      isLog
        ? [
            ["score", score],
            ["share", share],
            ["logarithm", sum],
          ]
        : [
            ["score", score],
            ["share", sum],
          ],
      "→",
    ),
  ],
  moved: ({ sum }) => [addition([["the value", sum]], "=")],
};

// --- Windows ---------------------------------------------------------------------------------

const strength = ({ value }) => Math.abs(value);
const strongest = (terms) => [...terms].sort((a, b) => strength(b) - strength(a)).slice(0, MOST_TERMS);

// The one that was clicked, or else the strongest.
export const chosenTerm = (terms, term) =>
  terms.find(({ channel }) => channel === term) ?? strongest(terms)[0];

// A summand as a button: its channel, what it is made of, its bar and its value.
function termRow({ channel, value }, most, attributes, ...factors) {
  return element(
    "button",
    { type: "button", ...attributes },
    element("span", { class: "number" }, String(channel)),
    ...factors,
    bar(value, most),
    element("b", {}, withSign(value)),
  );
}

function showWindows({ terms, height, width, bias, sum }, { colours, term, onTerm, room, unit }) {
  const many = terms.length > MOST_TERMS,
    shown = many ? strongest(terms) : terms;
  const chosen = chosenTerm(terms, term);
  const peaks = ["window", "kernel", "products"].map(
    (part) => Math.max(...terms.flatMap((each) => each[part].map(Math.abs))) || 1,
  );
  const most = Math.max(...terms.map(strength)) || 1,
    others = sum - (bias ?? 0) - chosen.value;
  const list = element(
    "div",
    { class: "terms" },
    ...shown.map((each) =>
      termRow(
        each,
        most,
        { "aria-pressed": String(each === chosen), onclick: () => onTerm(each.channel) },
        small(each.window, height, width, peaks[0], { colours, unit }),
        "×",
        small(each.kernel, height, width, peaks[1], { colours, unit }),
      ),
    ),
  );
  const isOne = terms.length === 1, // there is nothing to choose from
    aside = 10.9 * unit + 2 * (list.querySelector("canvas").width + 2), // the list, and the gap
    beside = room > 600 && !isOne ? room - aside : room;
  const signs = 2.9 * unit + 3; // pixels of × and =, and of the gaps
  const cell = cellFor((beside - signs) / (3 * width), height, unit);
  const matrices = ["window", "kernel", "products"].map((part, i) =>
    matrix({
      name: i < 2 ? `${part}, map ${chosen.channel}` : part,
      values: chosen[part],
      height,
      width,
      colours,
      limit: peaks[i],
      cell,
    }),
  );
  const summands = [[`map ${chosen.channel}`, chosen.value]];
  if (terms.length > 1)
    summands.push([`other ${terms.length - 1} map${terms.length > 2 ? "s" : ""}`, others]);
  if (bias !== null) summands.push(["bias", bias]);
  summands.push(["the value", sum]);
  const caption = many
    ? [element("p", { class: "quiet" }, `the ${MOST_TERMS} strongest of ${terms.length} maps`)]
    : [];
  const large = element(
    "div",
    { class: "large" },
    element(
      "div",
      { class: "row" },
      matrices[0],
      element("i", {}, "×"),
      matrices[1],
      element("i", {}, "="),
      matrices[2],
    ),
    addition(summands, "+"),
  );
  return [...caption, isOne ? large : element("div", { class: "split" }, list, large)];
}

// As large as the room allows; of many rows smaller, so that they are no higher than the map.
const cellFor = (room, rows, unit) =>
  Math.min(2.9 * unit, Math.max(2.2, 11 / rows) * unit, Math.max(9, Math.floor(room)));

function showProducts({ terms, bias, positive, negative, sum }, { onTerm, colours }) {
  const shown = strongest(terms),
    most = strength(shown[0]) || 1;
  const list = element(
    "div",
    { class: "terms" },
    ...shown.map((each) => {
      const factors = `${plain(each.input)} × ${written(each.weight, 1)}`;
      const attributes = { onclick: () => onTerm(each.channel) };
      return termRow(each, most, attributes, element("span", { class: "factors" }, factors));
    }),
  );
  const added = bias === null ? [] : [["bias", bias]];
  const sums = addition(
    [["positive", positive], ["negative", negative], ...added, ["the value", sum]],
    "+",
  );
  return [
    element("p", { class: "quiet" }, `the ${shown.length} strongest of ${terms.length} products`),
    element(
      "div",
      { class: "split" },
      list,
      element("div", { class: "large" }, factors(terms, colours), sums),
    ),
  ];
}

// All inputs × all weights = all products, row by row.
function factors(terms, colours) {
  const columns = Math.ceil(Math.sqrt(terms.length)),
    shape = { count: terms.length, height: 1, width: 1 };
  const pictures = [
    ["inputs", "input"],
    ["weights", "weight"],
    ["products", "value"],
  ].map(([name, part]) => {
    const values = terms.map((each) => each[part]),
      limit = statistics(values).peak || 1;
    const picture = atlasOf(values, shape, columns, () => limit, colours);
    const canvas = element("canvas", {
      width: picture.width,
      height: picture.height,
      role: "img",
      "aria-label": name,
    });
    canvas.getContext("2d").drawImage(picture, 0, 0);
    return element("figure", {}, element("figcaption", { class: "quiet" }, name), canvas);
  });
  const signs = [null, "×", "="].map((sign) => sign && element("i", {}, sign));
  return element(
    "div",
    { class: "row" },
    ...pictures.flatMap((picture, i) => (signs[i] ? [signs[i], picture] : [picture])),
  );
}

function small(values, height, width, limit, { colours, unit }) {
  const scale = Math.max(1, Math.floor((1.6 * unit) / Math.max(height, width)));
  const canvas = element("canvas", { width: width * scale, height: height * scale, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  const shape = { count: 1, height, width };
  context.drawImage(
    atlasOf(
      values.map((value) => value ?? 0),
      shape,
      1,
      () => limit,
      colours,
    ),
    0,
    0,
    canvas.width,
    canvas.height,
  );
  return canvas;
}

const letters = (size) => Math.max(SMALLEST, size * 0.38);

function matrix({ name, values, height, width, colours, limit, winner = -1, cell: size }) {
  const most = limit ?? (Math.max(...values.map((value) => Math.abs(value ?? 0))) || 1);
  const texts = cellTexts(values.map((value) => value ?? 0), size + BORDER, letters(size));
  const cells = values.map((value, i) => {
    const text = value === null ? "" : (texts?.[i] ?? "");
    const cell = element(
      "td",
      value === null ? { class: "outside", title: "padding: 0" } : { title: String(value) },
      text,
    );
    if (i === winner) cell.classList.add("winner");
    if (value !== null) {
      cell.style.background = css(colours[shade(value, most)]);
      cell.style.color = isDark(shade(value, most)) ? "#fff" : "#1a1a1a";
    }
    return cell;
  });
  const rows = Array.from({ length: height }, (_, row) =>
    element("tr", {}, ...cells.slice(row * width, (row + 1) * width)),
  );
  const table = element("table", {}, element("caption", {}, name), ...rows);
  table.style.setProperty("--cell", `${size}px`);
  table.style.fontSize = `${letters(size)}px`;
  table.style.width = `${size * width}px`;
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

function addition(parts, sign) {
  const numbers = parts.map(([, number]) => number),
    peak = Math.max(...numbers.map((n) => Math.abs(n ?? 0)));
  const decimals = peak >= 1000 ? 0 : peak >= 100 ? 1 : peak >= 0.1 || !peak ? 2 : 4;
  const shown = sign === "+" && parts.length > 1 ? rounded(numbers, decimals) : numbers;
  const written_ = (number) =>
    number
      .toFixed(decimals)
      .replace("-", "−")
      .replace(/^−(0\.?0*)$/, "$1");
  const children = parts.flatMap(([name, number], i) => {
    const isLast = i === parts.length - 1,
      between = i ? [element("i", {}, isLast && sign !== "→" ? "=" : sign)] : [];
    const value = shown[i] === null ? "" : written_(shown[i]);
    const kind = isLast ? "sum" : (number ?? 0) < 0 ? "minus" : "plus";
    return [
      ...between,
      element("span", { class: kind }, element("b", {}, value), element("small", {}, name)),
    ];
  });
  return element("p", { class: "addition" }, ...children);
}

// --- A function ------------------------------------------------------------------------------

function curve(f, x, y) {
  const reach = Math.max(Math.abs(x) * 1.25, 3),
    xs = Array.from({ length: 121 }, (_, i) => -reach + (i / 60) * reach);
  const ys = xs.map(f),
    high = Math.max(...ys.map(Math.abs), 1e-6);
  const at = (px, py) => `${(110 + (px / reach) * 105).toFixed(1)},${(60 - (py / high) * 52).toFixed(1)}`;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const draw = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    svg.append(made);
  };
  for (const [name, value] of Object.entries({
    viewBox: "0 0 220 120",
    class: "curve",
    role: "img",
    "aria-label": `${plain(x)} becomes ${plain(y)}`,
  }))
    svg.setAttribute(name, value);
  draw("path", { d: "M0,60H220M110,4V116", class: "axis" });
  draw("polyline", { points: xs.map((px, i) => at(px, ys[i])).join(" "), class: "function" });
  const [cx, cy] = at(x, y).split(",");
  draw("circle", { cx, cy, r: 5, class: "point" });
  return svg;
}
