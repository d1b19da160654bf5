// What the view is made of, on one stage: input | patch × kernel, = products → sum | output.

import { element } from "./elements.js";
import { SPEEDS } from "./sliding_player.js";

export function headed(name, ...below) {
  const note = element("small", {});
  const root = element(
    "div",
    { class: "part" },
    element("div", { class: "head" }, `${name} `, note),
    ...below,
  );
  return { root, note };
}

const sign = (text) => element("div", { class: "sign", "aria-hidden": "true" }, text);

function totalBox() {
  const total = element("div", { class: "total" });
  const sides = ["plus", "minus"].map((name) => ({
    name,
    bar: element("i", { class: name }),
    number: element("span", {}),
  }));
  const bars = sides.flatMap(({ name, bar, number }) => [
    element("span", {}, name === "plus" ? "+" : "−"),
    element("span", { class: "lane" }, bar),
    number,
  ]);
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
  const middle = element(
    "div",
    { class: "middle" },
    of("patch"),
    sign("×"),
    of("kernel"),
    of("products"),
    sign("→"),
    of("sum"),
  );
  const fly = element("canvas", { class: "fly", "aria-hidden": "true" });
  const side = (name) => element("div", { class: "side" }, of(name));
  const stage = element("div", { class: "stage" }, side("input"), middle, side("output"), fly);
  return { stage, fly, heads, future, ledger, scale, ...sum };
}

// A triangle against a bar, which no font need know.
function endIcon(isLast) {
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", isLast ? "M11 1H9v10h2zM1 1v10l7-5z" : "M1 1h2v10H1zM11 1v10L4 6z");
  const look = { viewBox: "0 0 12 12", width: 13, height: 13, fill: "currentColor", "aria-hidden": "true" };
  for (const [name, value] of Object.entries(look)) icon.setAttribute(name, value);
  icon.append(path);
  return icon;
}

const button = (text, title, onclick, more = {}) =>
  element("button", { type: "button", title, onclick, ...more }, text);

export function stepsOf(player) {
  const first = button(endIcon(false), "first output", () => player.visit(0), {
    "aria-label": "first output",
  });
  const last = button(endIcon(true), "last output", () => player.visit(player.count() - 1), {
    "aria-label": "last output",
  });
  const back = button("Back", "one output back (,)", () => player.back());
  const next = button("Next", "one output on (.)", () => player.next());
  const go = button("▶ Play", "play or pause (space)", () => player.toggle(), { class: "main" });
  const at = element("input", { type: "range", min: 0, "aria-label": "output" });
  at.oninput = () => player.visit(Number(at.value));
  const count = element("output", {});
  const speeds = SPEEDS.map(([name, speed]) =>
    element("option", { value: speed, selected: speed === 1 }, name),
  );
  const speed = element("select", { "aria-label": "speed" }, ...speeds);
  speed.onchange = () => (player.speed = Number(speed.value));
  const tie = (...buttons) => element("span", { class: "tie" }, ...buttons);
  const root = element(
    "div",
    { class: "play", role: "group", "aria-label": "steps" },
    tie(first, back),
    go,
    tie(next, last),
    at,
    count,
    element("label", { class: "speed" }, "speed ", speed),
  );
  return { root, first, back, go, next, last, at, count };
}

// A button that is truly disabled would lose the focus of whoever steps from the keyboard.
export function disable(button, is) {
  if (button.getAttribute("aria-disabled") !== String(is)) button.setAttribute("aria-disabled", is);
}
