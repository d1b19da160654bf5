// Small pictures of what becomes of handwriting, each with its name and its true height × width.

import { element, put } from "./elements.js";
import { heed } from "./kernel.js";
import { bytes } from "./numbers.js";
import { grey } from "./tiles.js";

const BOX = 140, LETTERS = 6; // pixels of the canvas for each, and its side on the page in letters
const MIDDLE = "#e69f00", MARK = 1 / 7; // at the border, each a seventh long: they hide no ink

// Small ones grow by a whole number, so that all their pixels are equally large.
function stepSize([height, width]) {
  const factor = BOX / Math.max(height, width), scale = factor >= 1 ? Math.floor(factor) : factor;
  return [height, width].map((side) => Math.max(1, Math.round(side * scale)));
}

function paintStep(canvas, { shape, pixels, cross }) {
  const [height, width] = stepSize(shape), context = canvas.getContext("2d");
  // Another size costs the page a new layout, also where it is the same one.
  if (canvas.height !== height || canvas.width !== width) Object.assign(canvas, { height, width });
  canvas.style.width = `${(LETTERS * width) / BOX}em`;
  context.imageSmoothingEnabled = false;
  context.drawImage(grey(bytes(pixels), ...shape), 0, 0, width, height);
  if (!cross) return;
  context.fillStyle = MIDDLE;
  for (const edge of [0, 1 - MARK]) {
    context.fillRect(width / 2 - 1, edge * height, 2, MARK * height);
    context.fillRect(edge * width, height / 2 - 1, MARK * width, 2);
  }
}

function paintSteps(list, steps) {
  while (list.children.length > steps.length) list.lastChild.remove();
  while (list.children.length < steps.length) {
    list.append(element("li", {}, element("canvas", { role: "img" }), element("span"), element("span")));
  }
  steps.forEach((step, i) => {
    const [canvas, name, size] = list.children[i].children, [height, width] = step.size;
    put(name, step.name);
    put(size, `${height} × ${width}`);
    canvas.setAttribute("aria-label", `${step.name}, ${height} rows, ${width} columns`);
    paintStep(canvas, step);
  });
}

// The answer, a sentence where something failed, and the small pictures.
export function follow(model, root) {
  const list = element("ol", { class: "vizlib-steps", "aria-label": "steps of the preparation" });
  const answer = element("p", { class: "vizlib-read", role: "status" });
  const error = element("p", { class: "vizlib-error", role: "alert" });
  root.append(answer, error, list);
  const handlers = {
    steps: () => paintSteps(list, model.get("steps")),
    answer: () => put(answer, model.get("answer")),
    error: () => put(error, model.get("error")),
  };
  for (const handler of Object.values(handlers)) handler();
  // JupyterLab takes arrow keys and Enter for its own where nobody stops them.
  root.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
  });
  return { answer, error, unfollow: heed(model, handlers) };
}
