// The panels of a frame: maps, pictures, lines, bars and words, each with its title.

import { paintLines } from "./charts.js";
import { ARROWS, element, put } from "./elements.js";
import {
  cellAt, nextCell, paintMaps, paintPicture, placeOf, sizeOfMaps, spokenCell, stillThere,
} from "./maps.js";
import { share, winnerOf, written } from "./numbers.js";

// How high a picture may be, so that it fits the screen with its sliders.
const SCREEN = "max(20em, 100 * var(--vh, 1vh) - 15em)";
const GRAPHIC = { maps: paintMaps, picture: paintPicture, lines: paintLines };

// One panel: its caption, what it draws on, and what a pointer or the arrow keys find there.
export function part(panel, { pick, say }) {
  const caption = element("figcaption");
  const root = element("figure", { class: `vizlib-panel ${panel.kind}` }, caption);
  const made = { root, caption, kind: panel.kind, cursor: null };
  if (panel.kind === "bars") root.append(made.list = element("ol", { class: "vizlib-answer" }));
  if (panel.kind === "words") root.append(made.text = element("pre"));
  if (!(panel.kind in GRAPHIC)) return made;
  made.canvas = element("canvas", { role: "img" });
  root.append(made.canvas);
  if (panel.kind !== "lines") followPointer(made, pick, say);
  return made;
}

function followPointer(made, pick, say) {
  const { canvas } = made;
  canvas.tabIndex = 0;
  const read = (cell) => {
    made.cursor = cell;
    made.paint();
    say(cell ? spokenCell(made.panel, cell) : "");
  };
  made.reread = () => made.cursor && read(stillThere(made.panel, made.cursor));
  const under = (event) => {
    const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
    const [x, y] = [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
    return cellAt(made.panel, made.look, x, y);
  };
  const choose = (cell) => cell && pick(made.panel.pick, placeOf(made.panel, cell));
  canvas.onpointermove = (event) => read(under(event));
  canvas.onpointerleave = canvas.onblur = () => read(null);
  canvas.onclick = (event) => choose(under(event));
  canvas.onkeydown = (event) => {
    if (event.key in ARROWS) read(nextCell(made.panel, made.cursor, ARROWS[event.key]));
    else if (event.key === "Enter" && made.cursor) choose(made.cursor);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
}

export function show(made, panel, look) {
  Object.assign(made, { panel, look });
  put(made.caption, panel.title);
  made.root.dataset.before = panel.before ?? "";
  if (panel.width) made.root.style.setProperty("--width", `${look.pixel(panel.width) / look.ratio}px`);
  made.root.classList.toggle("differs", panel.differs === true);
  made.root.classList.toggle("prose", panel.prose === true);
  if (panel.kind === "words") return put(made.text, panel.lines.join("\n"));
  if (panel.kind === "bars") return fillBars(made.list, panel);
  const { canvas } = made, isChart = panel.kind === "lines";
  const size = isChart ? sizeOfChart(made.root, panel, look) : sizeOfMaps(panel, look);
  made.paint = () => {
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    const width = `${size[0] / look.ratio}px`, most = `${size[0] / size[1]} * ${SCREEN}`;
    canvas.style.width = panel.kind === "picture" ? `min(${width}, ${most})` : width;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, ...size);
    context.imageSmoothingEnabled = false;
    context.textBaseline = "middle";
    GRAPHIC[panel.kind](context, panel, look, isChart ? size : made.cursor);
  };
  made.paint();
  const shape = panel.shape ? `, ${panel.shape.join("×")}` : `: ${panel.names.join(", ")}`;
  const keys = isChart ? "" : "; the arrow keys read its values";
  return canvas.setAttribute("aria-label", `${panel.title || panel.kind}${shape}${keys}`);
}

// A chart takes what its row leaves.
const sizeOfChart = (root, { height }, { pixel, ratio }) =>
  [Math.floor(root.clientWidth * ratio), pixel(height)];

// A row for each class: its name, its score if there are scores, and its probability.
function fillBars(list, { names, scores = [], values, label: [label] }) {
  const winner = winnerOf(values);
  const peak = Math.max(10, ...scores.map(Math.abs));
  while (list.children.length > names.length) list.lastChild.remove();
  while (list.children.length < names.length) {
    list.append(element("li", {}, element("b"), element("span"), element("i"), element("span")));
  }
  list.classList.toggle("scored", scores.length > 0);
  names.forEach((name, i) => {
    const row = list.children[i], [head, score, bar, number] = row.children;
    put(head, name);
    head.title = name;
    const isKnown = !Number.isNaN(values[i]);
    put(score, scores.length && isKnown ? written(scores[i], peak) : "");
    bar.style.setProperty("--part", values[i] || 0);
    put(number, isKnown ? share(values[i]) : "");
    row.classList.toggle("winner", i === winner);
    row.classList.toggle("label", i === label);
  });
}
