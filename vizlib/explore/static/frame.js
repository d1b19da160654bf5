// What the view is made of: the places into which its parts are painted.

import { element } from "./elements.js";
import { keysInWords } from "./keyboard.js";

const section = (name, label, ...children) =>
  element("section", { class: name, "aria-label": label }, ...children);
const canvas = (name) => element("canvas", { class: name, role: "img", tabindex: 0 });

export function frame(el) {
  const samples = element("div", { class: "samples", role: "group", "aria-label": "images" });
  const needs = element("div", { class: "needs" });
  needs.innerHTML = '<h2></h2><p class="quiet"></p><svg role="img" viewBox="0 0 240 150"></svg><p></p>';
  const root = element(
    "div",
    { class: "vizlib-live" },
    element(
      "header",
      {},
      element("h1", { class: "name" }),
      element("p", { class: "about" }),
      element("p", { class: "answer", role: "status" }),
      element("details", { class: "learn" }),
    ),
    element(
      "div",
      { class: "band" },
      section("drawing", "image", samples),
      section("network", "network", element("div", { class: "titles" }), canvas("picture")),
      section("scores", "scores and probabilities"),
    ),
    section("controls", "place"),
    section(
      "closeup",
      "one map, and how one of its values is made",
      element(
        "div",
        { class: "top" },
        element("b"),
        element("span"),
        element("span", { class: "strongest" }),
        element("button", { class: "restore", type: "button", hidden: true }),
      ),
      element("div", { class: "maps" }, canvas("map"), canvas("beside")),
      element("div", { class: "made" }),
      needs,
    ),
    element("footer", {}, element("span", { class: "foot" }), keysInWords()),
  );
  el.classList.add("vizlib-room");
  el.append(root);
  return root;
}
