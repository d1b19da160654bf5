// What is said about a step: its sum, who reads a pixel, the size of the output, what does not fit.

import { addedUp, inBrackets, say } from "./sliding_numbers.js";

const WRITTEN_OUT = 9, // products that are written one by one
  MANY = 4; // addends, before the rest is one

export const named = (what, number, count) => (count > 1 ? `${what} ${number}` : what);
export const counted = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

// Whole numbers of a single channel: each product stands as its two factors.
export function isWritten(step) {
  const [{ patch, weights }, ...others] = step.parts;
  const all = [...patch, ...weights, step.bias];
  return !others.length && patch.length <= WRITTEN_OUT && all.every(Number.isInteger);
}

export const factors = ({ shown: { patch, weights } }, digits = 7) =>
  patch.map((value, i) => [value, weights[i]].map((each) => inBrackets(say(each, digits))).join("·"));

// The addends of a step, the largest first and the others as one: { name, text, part? }, and the sum.
export function addendsOf(step) {
  const { parts, shown } = step,
    names = factors(step, 3);
  const all = parts.length > 1
    ? parts.map(({ channel, sum }, part) => ({ name: `input ${channel}`, value: sum, part }))
    : shown.products.map((value, i) => ({ name: names[i], value }));
  const order = all.toSorted((a, b) => Math.abs(b.value) - Math.abs(a.value)),
    most = order.length > MANY + 1 ? MANY : order.length,
    rest = order.slice(most);
  const rows = order.slice(0, most);
  const sum = rest.reduce((total, { value }) => total + value, 0);
  if (rest.length) rows.push({ name: counted(rest.length, "other"), value: sum });
  if (step.bias) rows.push({ name: "bias", value: step.bias });
  const { addends, total } = addedUp(rows.map(({ value }) => value), step.total);
  return { rows: rows.map((row, i) => ({ ...row, text: addends[i] })), total };
}

// The whole sum in one line.
export function sumOf(step) {
  if (isWritten(step)) {
    const bias = step.bias ? [`${inBrackets(say(step.bias))} (bias)`] : [];
    return `${[...factors(step), ...bias].join(" + ")} = ${say(step.total, 9)}`;
  }
  const { rows, total } = addendsOf(step);
  return `${rows.map(({ name, text }) => `${inBrackets(text)} (${name})`).join(" + ")} = ${total}`;
}

export function whereOf([row, column], isLine) {
  return isLine ? `[${column}]` : `[${row}, ${column}]`;
}

// Who reads an input cell; `readers` are the cells of the output, `many` all that there are.
export function readersInWords(what, value, readers, { many, taps, isOnce }) {
  const start = `${what} = ${value} is read by`;
  if (!readers) return `${start} no output: the window steps over it.`;
  const each = readers === 1 ? "" : isOnce ? ", each through another weight of the kernel" : "";
  const turned = isOnce && readers === taps && taps > 1 ? "; so the kernel stands here on its head" : "";
  return `${start} ${readers} of the ${counted(many, "output")} (green)${each}${turned}.`;
}

// The formula of the output's size along an axis: texts, and numbers with the name of their slider.
export function formulaOf(axis) {
  const { size, kernel, stride, padding, dilation, whole, span } = axis,
    top = whole - span;
  return [
    ...["⌊ (", [size, "input"], "+ 2 ·", [padding, "padding"], "−", [dilation, "dilation"]],
    ...["· (", [kernel, "kernel"], "− 1) − 1) ⁄", [stride, "stride"]],
    `⌋ + 1 = ⌊ ${say(top)} ⁄ ${stride} ⌋ + 1 =`,
    Math.floor(top / stride) + 1,
  ];
}

export function sameInWords({ down, across }) {
  const sides = `${down.before} above, ${down.after} below, ${across.before} left, ${across.after} right`;
  return `output ${down.size}×${across.size}, as large as the input: padding ${sides}`;
}

// What does not fit, in one sentence.
export function faultInWords({ rule, name, axis, most }, mode) {
  if (rule === "same") return `padding "same" goes with stride 1 only, but the stride is ${axis.stride}.`;
  if (rule === "mode") {
    const around = Math.max(axis.before, axis.after);
    return `${mode} padding repeats at most ${counted(most, "pixel")} of this ${name}, not ${around}.`;
  }
  const { kernel, dilation, span, whole, before, after } = axis;
  const weights = `${counted(kernel, "weight")}${dilation > 1 ? `, ${dilation} apart` : ""}`;
  const input = before + after ? "the padded input" : "the input";
  const window = `The window spans ${counted(span, "pixel")} (${weights})`;
  return `${window}, ${input} only ${whole} in ${name}: it fits nowhere.`;
}

// What a window leaves unread at the end of the input.
export function unreadInWords({ down, across }) {
  const left = ({ whole, span, stride }) => Math.max(0, (whole - span) % stride);
  const counts = [[left(down), "row"], [left(across), "column"]].filter(([count]) => count);
  const parts = counts.map(([count, what]) => `the last ${count === 1 ? what : `${count} ${what}s`}`);
  if (!parts.length) return "";
  return ` The window never reaches ${parts.join(" and ")}.`;
}

export const choiceInWords = (value, isLine) =>
  typeof value === "string" ? value : String(isLine || value[0] === value[1] ? value[1] : value.join("×"));
