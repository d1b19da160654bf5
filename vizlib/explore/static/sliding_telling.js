// Writes what is said about a step: heads, sum, formula, sentence, foot.

import { disable, element, put } from "./elements.js";
import { statistics } from "./numbers.js";
import { inBrackets, say } from "./sliding_numbers.js";
import { DONE } from "./sliding_player.js";
import {
  addendsOf, choiceInWords, counted, factors, faultInWords, formulaOf, isWritten, named, readersInWords,
  sameInWords, sumOf, unreadInWords, whereOf,
} from "./sliding_words.js";

const HINT = "Click an input cell to see who reads it, an output cell to go there.";

export function tellHeads({ state, heads, step, isLine }) {
  const { down, across } = state.geometry,
    sizes = isLine ? [across.size] : [down.size, across.size];
  const around = [down.before, down.after, across.before, across.after],
    padding = isLine ? around.slice(2) : around;
  const isEven = padding.every((side) => side === padding[0]);
  const more = Math.max(...around) ? ` + ${isEven ? padding[0] : padding.join(", ")} around` : "";
  const of = (number, count) => (count > 1 ? `${number}: ` : "");
  put(heads.input.note, `${of(step.shown.channel, state.channels)}${sizes.join(" × ")}${more}`);
  const { rows, columns } = state.made,
    made = isLine ? [columns] : [rows, columns];
  const size = state.fault ? "none: faded, the last one" : made.join(" × ");
  put(heads.output.note, `${of(state.place("channel"), state.kernels)}${size}`);
  put(heads.kernel.note, "type or drag");
  put(heads.sum.note, `of ${counted(step.taps.length, "product")}`);
}

export function tellSteps({ state, player, steps }) {
  const count = state.fault ? 0 : state.geometry.count,
    isFirst = player.k === 0 && player.time >= DONE;
  const isEnd = player.isLast && player.time >= DONE;
  steps.at.max = Math.max(count - 1, 0);
  steps.at.value = player.k;
  steps.at.disabled = !count;
  const says = count ? `output ${Math.min(player.k + 1, count)} of ${count}` : "no output";
  put(steps.count, says);
  steps.at.setAttribute("aria-valuetext", says);
  for (const one of [steps.back, steps.first]) disable(one, !count || isFirst);
  for (const one of [steps.next, steps.last]) disable(one, !count || isEnd);
  disable(steps.go, !count);
  put(steps.go, player.isPlaying ? "❚❚ Pause" : "▶ Play");
}

// The sum below the output: all factors of it, or the largest addends. A subtotal opens its channel.
export function tellLedger({ state, step, player, ledger, change }) {
  const isHere = player.time >= DONE, place = [step.k, state.place("channel"), state.place("input")];
  const key = JSON.stringify([state.key, ...place, isHere, state.fault]);
  if (ledger.dataset.key === key) return;
  ledger.dataset.key = key;
  ledger.hidden = Boolean(state.fault);
  if (state.fault) return;
  const written = isWritten(step),
    { rows, total } = written ? { rows: [], total: say(step.total, 9) } : addendsOf(step);
  const sum = element("span", { class: "eq" }, `= ${isHere ? total : "?"}`);
  ledger.classList.toggle("factors", written);
  ledger.style.setProperty("--columns", written ? state.geometry.across.kernel : 2);
  const lines = written ? writtenOut(step) : rows.flatMap((row) => rowOf(row, state, change));
  ledger.replaceChildren(...lines, sum);
}

function writtenOut(step) {
  const bias = step.bias ? [`+ ${inBrackets(say(step.bias))} bias`] : [];
  const texts = factors(step).map((text, i) => (i ? `+ ${text}` : text));
  return [...texts, ...bias].map((text) => element("span", {}, text));
}

function rowOf({ name, text, part }, state, change) {
  const number = element("span", {}, text);
  if (part === undefined) return [element("span", { class: "soft" }, name), number];
  const isShown = part === state.place("input");
  const go = { type: "button", onclick: () => change("input", part), "aria-pressed": String(isShown) };
  return [element("button", { ...go, title: `show ${name}` }, name), number];
}

// `lit` is the slider that moved last: its number in the formula is lit.
export function tellFormula({ state, formula, isLine, lit }) {
  const { down, across } = state.geometry,
    key = JSON.stringify([state.geometry, lit, isLine]);
  if (formula.dataset.key === key) return;
  formula.dataset.key = key;
  if (down.padding === "same")
    return formula.replaceChildren(element("span", {}, sameInWords(state.geometry)));
  const isSame = JSON.stringify(down) === JSON.stringify(across);
  const lines = isLine ? { width: across } : isSame ? { size: down } : { height: down, width: across };
  const line = ([name, axis]) =>
    element("div", {}, element("b", {}, name), " = ", ...formulaOf(axis).map((each) => piece(each, lit)));
  return formula.replaceChildren(...Object.entries(lines).map(line));
}

function piece(each, lit) {
  if (typeof each === "string") return element("span", {}, each);
  if (typeof each === "number") return element("b", { class: each < 1 ? "bad" : null }, say(each));
  const [value, name] = each, about = { class: name === lit ? "named lit" : "named" };
  return element("span", about, say(value), element("small", {}, name));
}

export function tellSentence(view) {
  const { state, player, sentence, asked, mends } = view;
  sentence.classList.toggle("bad", Boolean(state.fault));
  mends.hidden = !state.fault;
  if (state.fault) {
    put(sentence, faultInWords(state.fault, state.mode));
    return tellMends(view);
  }
  if (player.isPlaying && player.speed > 3) return put(sentence, ""); // no flood of announcements
  return put(sentence, asked ? askedInWords(view) : stepInWords(view));
}

function tellMends({ state, mends, change, isLine }) {
  const buttons = state.mends.map(({ name, index, value }) => {
    const about = { type: "button", onclick: () => change(name, index) };
    return element("button", about, `${name} ${choiceInWords(value, isLine)}`);
  });
  const key = buttons.map((one) => one.textContent).join();
  if (mends.dataset.key !== key) mends.replaceChildren(...buttons);
  mends.dataset.key = key;
}

function askedInWords({ state, asked, step, isLine }) {
  const { across, down, count } = state.geometry,
    [row, column] = asked.cell;
  const value = say(state.mapOf(state.source)[row * across.whole + column]);
  const place = [row - down.before, column - across.before],
    what = named("Input", state.source, state.channels);
  const own = state.isPadding(asked.cell) ? "This copy of a pixel" : `${what} ${whereOf(place, isLine)}`;
  const cell = asked.pixel < 0 ? "The padding here" : own;
  const about = { many: count, taps: step.taps.length, isOnce: asked.cells.length === 1 };
  return readersInWords(cell, value, asked.many, about);
}

function stepInWords(view) {
  const { state, step, player, isLine } = view,
    isHere = player.time >= DONE;
  const channel = state.kernels > 1 ? ` of channel ${state.place("channel")}` : "",
    what = `Output ${whereOf(step.cell, isLine)}${channel}`;
  if (!isHere) return `${what} = ?`;
  const zeros = step.shown.weights.every((weight) => weight === 0);
  const why = zeros && step.parts.length === 1 ? " All weights here are 0, so every output is the same." : "";
  const sum = isWritten(step) ? sumOf(step) : addendsOf(step).total;
  return `${what} = ${sum}.${why}${unreadInWords(state.geometry)}${followersInWords(view)}`;
}

// What the network's next layers made of this value, where it is still the network's.
function followersInWords({ state, player }) {
  if (!state.isOwn || state.isEdited) return "";
  const { followers } = state.read.get(state.place("image")),
    at = state.place("channel") * state.geometry.count + player.k;
  return followers.map(([name, values]) => ` Then ${name} makes it ${say(values[at])}.`).join("");
}

// Whether torch makes the same, where it was asked: of the numbers as they were given.
export function tellFoot({ state, foot, undo }) {
  undo.hidden = !state.isEdited;
  if (state.isEdited) return put(foot, "Your own numbers: the page computes with them.");
  if (!state.isOwn) return put(foot, HINT);
  const known = state.read.get(state.place("image")).output;
  const apart = statistics(known.map((value, i) => value - state.made.values[i])).peak;
  const most = apart ? `at most ${say(apart, 2)}` : "nothing";
  return put(foot, `${HINT} All is computed here; PyTorch's own output differs by ${most}.`);
}
