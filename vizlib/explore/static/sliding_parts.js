// What the view is made of, on one stage: input | patch × kernel, = products → sum | output.

import { drawn, element } from "./elements.js";
import { SPEEDS } from "./sliding_player.js";

function headed(name, ...below) {
  const note = element("small"), head = element("div", { class: "head" }, `${name} `, note);
  return { root: element("div", { class: "part" }, head, ...below), note };
}

const sign = (text) => element("div", { class: "sign", "aria-hidden": "true" }, text);

function totalBox() {
  const total = element("div", { class: "total" });
  const sides = ["plus", "minus"].map((name) =>
    ({ bar: element("i", { class: name }), number: element("span") }));
  const bars = sides.flatMap(({ bar, number }, i) =>
    [element("span", {}, "+−"[i]), element("span", { class: "lane" }, bar), number]);
  return { total, sides, below: [total, element("div", { class: "two" }, ...bars)] };
}

export function stageOf(grids, kernel, tools) {
  const sum = totalBox(),
    scale = element("div", { class: "scale", "aria-hidden": "true" });
  const future = element("input", { type: "checkbox" }),
    ledger = element("div", { class: "ledger" });
  const label = element("label", { class: "later" }, future, " show what is still to come");
  const heads = {
    input: headed("input", grids.input.root, tools),
    patch: headed("under the window", grids.patch.root),
    kernel: headed("kernel", kernel.root, scale),
    products: headed("= products", grids.products.root),
    sum: headed("sum", ...sum.below),
    output: headed("output", grids.output.root, label, ledger),
  };
  heads.sum.root.classList.add("sum");
  const of = (name) => heads[name].root;
  const parts = [of("patch"), sign("×"), of("kernel"), of("products"), sign("→"), of("sum")];
  const middle = element("div", { class: "middle" }, ...parts);
  const fly = element("canvas", { class: "fly", "aria-hidden": "true" });
  const side = (name) => element("div", { class: "side" }, of(name));
  const stage = element("div", { class: "stage" }, side("input"), middle, side("output"), fly);
  return { stage, fly, heads, future, ledger, scale, ...sum };
}

// A triangle against a bar, which no font need know.
function endIcon(isLast) {
  const d = isLast ? "M11 1H9v10h2zM1 1v10l7-5z" : "M1 1h2v10H1zM11 1v10L4 6z";
  const look = { viewBox: "0 0 12 12", width: 13, height: 13, fill: "currentColor", "aria-hidden": "true" };
  return drawn("svg", look, drawn("path", { d }));
}

const button = (text, title, onclick, more = {}) =>
  element("button", { type: "button", title, onclick, ...more }, text);
const ending = (isLast, title, onclick) => button(endIcon(isLast), title, onclick, { "aria-label": title });

export function stepsOf(player) {
  const first = ending(false, "first output", () => player.visit(0));
  const last = ending(true, "last output", () => player.visit(player.count() - 1));
  const back = button("Back", "one output back (,)", () => player.back());
  const next = button("Next", "one output on (.)", () => player.next());
  const go = button("▶ Play", "play or pause (space)", () => player.toggle(), { class: "main" });
  const at = element("input", { type: "range", min: 0, "aria-label": "output" });
  at.oninput = () => player.visit(Number(at.value));
  const count = element("output", {});
  const speeds = SPEEDS.map(([name, speed]) => new Option(name, speed, false, speed === 1));
  const speed = element("select", { "aria-label": "speed" }, ...speeds);
  speed.onchange = () => (player.speed = Number(speed.value));
  const tie = (...buttons) => element("span", { class: "tie" }, ...buttons);
  const about = { class: "play", role: "group", "aria-label": "steps" };
  const label = element("label", { class: "speed" }, "speed ", speed);
  const root = element("div", about, tie(first, back), go, tie(next, last), at, count, label);
  return { root, first, back, go, next, last, at, count };
}
