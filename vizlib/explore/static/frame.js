// What the view is made of: the places into which its parts are painted.

import { drawn, element } from "./elements.js";
import { keysInWords } from "./keyboard.js";

const section = (name, label, ...children) =>
  element("section", { class: name, "aria-label": label }, ...children);
const canvas = (name) => element("canvas", { class: name, role: "img", tabindex: 0 });

export function frame(el) {
  const div = (name, ...children) => element("div", { class: name }, ...children);
  const samples = element("div", { class: "samples", role: "group", "aria-label": "images" });
  const needs = div("needs", element("h2"), element("p", { class: "quiet" }));
  needs.append(drawn("svg", { role: "img", viewBox: "0 0 240 150" }), element("p"));
  const restore = element("button", { class: "restore", type: "button", hidden: true });
  const top = div("top", element("b"), element("span"), element("span", { class: "strongest" }), restore);
  const header = element(
    "header",
    {},
    element("h1", { class: "name" }),
    element("p", { class: "about" }),
    element("p", { class: "answer", role: "status" }),
    element("details", { class: "learn" }),
  );
  const band = div(
    "band",
    section("drawing", "image", samples),
    section("network", "network", div("titles"), canvas("picture")),
    section("scores", "scores and probabilities"),
  );
  const closeUp = [top, div("maps", canvas("map"), canvas("beside")), div("made"), needs];
  const root = div(
    "vizlib-live",
    header,
    band,
    section("controls", "place"),
    section("closeup", "one map, and how one of its values is made", ...closeUp),
    element("footer", {}, element("span", { class: "foot" }), keysInWords()),
  );
  el.classList.add("vizlib-room");
  el.append(root);
  return root;
}
