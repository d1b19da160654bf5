// What several answers look like: a sentence, a column of bars each, and their chances along a slider.

import { winnerOf } from "./numbers.js";

const MOST_BARS = 10; // classes; the likeliest ones, where there are more

const verdict = (answer, label) => (label === undefined ? "" : answer === label ? ", right" : ", wrong");

export const calledBy = (classes) => (number) => classes[number] ?? String(number);

// `names` are those of the networks, `winners` the numbers of the classes that they answer.
export function sentence(names, winners, label, nameOf) {
  const said = names.map((name, i) => `${name} reads ${nameOf(winners[i])}`);
  if (winners.some((answer) => answer !== winners[0])) return `They disagree: ${said.join(", ")}.`;
  const all = names.length > 1 ? `All ${names.length} read ${nameOf(winners[0])}` : said[0];
  return `${all}${verdict(winners[0], label)}.`;
}

// One network's bars; an answer that `differs` from the right one, or from the first one, stands out.
export function column(name, { scores, shares }, { label, right, classes }) {
  const all = [...shares.keys()], answer = winnerOf(shares), nameOf = calledBy(classes);
  const likely = () => all.sort((a, b) => shares[b] - shares[a]).slice(0, MOST_BARS);
  const few = all.length > MOST_BARS ? likely() : all, about = (values) => few.map((k) => values[k]);
  return {
    kind: "bars", title: `${name}: ${nameOf(answer)}${verdict(answer, label)}`,
    names: few.map((k) => classes[k] ?? `P${k}`), scores: about(scores), values: about(shares),
    label: [few.indexOf(label)], differs: answer !== right,
  };
}

// A column without an answer: there is nothing to read.
export function emptied(bars, name) {
  const none = bars.values.map(() => Number.NaN);
  return { ...bars, title: name, values: none, scores: none, label: [], differs: false };
}

// The networks' probabilities of one class, at all places along a slider; nothing where it is not known.
export function chart(names, swept, { along, at, count, start, step, title }) {
  const share = (i, j) => (swept ? swept.all[j][i].shares[swept.target] : Number.NaN);
  return {
    kind: "lines", title, names, lengths: names.map(() => count),
    values: names.flatMap((_, i) => Array.from({ length: count }, (_, j) => share(i, j))),
    along, start, step, at, percent: false, ends: [0, 1], width: 440, height: 150,
  };
}

// An image as the eye knows it: grey, or of three colours.
export function panelOf(title, shares, [channels, height, width]) {
  const depth = channels === 3 || channels === 4 ? 3 : 1, area = height * width;
  const values = Uint8Array.from({ length: area * depth }, (_, i) =>
    Math.round(255 * shares[(i % depth) * area + Math.floor(i / depth)]));
  return { kind: "picture", title, shape: [height, width, depth], values, pick: {}, width: 142 };
}
