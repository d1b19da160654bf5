// The view of a convolution, step by step: whatever slides or is edited, it is computed and painted.

import { followColours } from "./colours.js";
import { element, put } from "./elements.js";
import { GONE, heed, tell } from "./kernel.js";
import { nameSliders } from "./sliders.js";
import { bytes, css, packedPalette, statistics } from "./numbers.js";
import { Grid } from "./sliding_grid.js";
import { KernelCells } from "./sliding_kernel.js";
import { sizesOf } from "./sliding_layout.js";
import { askedAbout, markInput, markOutput } from "./sliding_marks.js";
import { say } from "./sliding_numbers.js";
import { stageOf, stepsOf } from "./sliding_parts.js";
import { Player } from "./sliding_player.js";
import { pose } from "./sliding_pose.js";
import { SlidingState } from "./sliding_state.js";
import { tellFoot, tellFormula, tellHeads, tellLedger, tellSentence, tellSteps } from "./sliding_telling.js";
import { Tools } from "./sliding_tools.js";

const INKS = ["ink", "quiet", "line", "faint", "sheet", "halo", "here", "ask", "bad", "hatch"];
const PLACES = ["image", "channel", "input", "stride", "padding", "dilation", "kernel"];
const AROUND = 190, // pixels of a window that a notebook takes for itself
  FRAMED = 0.85, // of the screen: a page in a frame
  MARGINS = 48, // pixels above and below the body of a page
  LOWEST = 22; // times the letters' height: the stage

class SlidingView {
  constructor(state, { model, el }) {
    Object.assign(this, { state, model, el, version: 0, asked: null, peek: null, lit: null });
    const { palette, isLine, knowsAll } = model.get("held");
    this.look = { packed: packedPalette(bytes(palette)) };
    Object.assign(this, { isLine, knowsAll });
    this.change = (name, value) => {
      model.set(name, value);
      tell(() => model.save_changes());
    };
    this.player = new Player({
      k: model.get("k"),
      count: () => (state.fault ? 1 : state.geometry.count),
      go: (k) => this.change("k", k),
      paint: () => this.paint(),
    });
    this.build();
  }

  build() {
    const { look, state } = this;
    const act = { paint: (pixel, value) => this.paintPixel(pixel, value), change: () => this.forget() };
    this.tools = new Tools(act, look);
    this.kernel = new KernelCells((i, value) => this.weigh(i, value), look);
    const pointed = {
      pick: (cell, how) => this.pickInput(cell, how),
      over: (cell) => this.pointAt(cell),
      type: (key, cell) => this.typeAt(key, cell),
    };
    const visit = ([row, column], how) =>
      how !== "drag" && !state.fault && this.go(row * state.made.columns + column);
    this.grids = {
      input: new Grid("input", look, pointed),
      patch: new Grid("numbers under the window", look),
      products: new Grid("products", look),
      output: new Grid("output", look, { pick: visit }),
    };
    Object.assign(this, stageOf(this.grids, this.kernel, this.tools.root));
    this.steps = stepsOf(this.player);
    this.formula = element("div", { class: "formula" });
    this.sentence = element("p", { class: "sentence", role: "status" });
    this.mends = element("span", { class: "mends", role: "group", "aria-label": "what mends it" });
    this.foot = element("span", { class: "soft" });
    const onclick = () => this.edit({ weights: {}, pixels: {} });
    this.undo = element("button", { type: "button", onclick }, "Undo all edits");
    const lines = element("div", { class: "lines" }, this.sentence, this.mends);
    const foot = element("div", { class: "foot" }, this.foot, this.undo);
    const parts = [this.stage, this.steps.root, this.formula, lines, foot];
    this.root = element("div", { class: "vizlib-sliding" }, ...parts);
    this.future.onchange = () => this.showAll(this.future.checked);
    this.root.onkeydown = (event) => this.press(event);
    this.root.sliding = this; // what a test asks for numbers
    this.el.append(this.root);
  }

  // --- What is done ---------------------------------------------------------------------------

  go(k) {
    this.asked = this.peek = null;
    this.player.visit(k);
  }

  showAll(is) {
    this.knowsAll = is;
    this.paint();
  }

  forget() {
    this.asked = this.peek = null;
    if (this.step) this.paint();
  }

  edit(edits) {
    this.change("edits", edits);
  }

  weigh(i, value) {
    const { weights, pixels } = this.model.get("edits"),
      at = this.state.weight.from[this.state.kernelStart + i];
    this.edit({ weights: { ...weights, [at]: value }, pixels });
  }

  paintPixel(pixel, value) {
    const { weights, pixels } = this.model.get("edits"),
      { size, source } = this.state,
      image = this.model.get("image");
    const own = { ...pixels[image], [source * size[0] * size[1] + pixel]: value };
    this.edit({ weights, pixels: { ...pixels, [image]: own } });
  }

  pickInput(cell, how) {
    const { state, tools } = this;
    this.peek = null;
    if (tools.isPainting) {
      const pixel = state.isPadding(cell) ? -1 : state.pixelAt(cell);
      if (how !== "key" && pixel >= 0) this.paintPixel(pixel, tools.brush);
      else this.paint();
      return;
    }
    if (how === "drag") return;
    const isAgain = how === "down" && String(this.asked) === String(cell);
    this.asked = isAgain ? null : cell;
    this.paint();
  }

  pointAt(cell) {
    if (this.tools.isPainting || String(cell) === String(this.peek)) return;
    this.peek = cell;
    this.paint();
  }

  typeAt(key, cell) {
    const value = this.tools.valueOf(key),
      pixel = this.state.isPadding(cell) ? -1 : this.state.pixelAt(cell);
    if (value === null || pixel < 0) return false;
    this.paintPixel(pixel, value);
    return true;
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.stopPropagation(); // JupyterLab has keys of its own
    if (event.target.closest("input, select")) return;
    if (event.key === " " && !event.target.closest("button")) this.player.toggle();
    else if (event.key === ".") this.steps.next.click();
    else if (event.key === ",") this.steps.back.click();
    else return;
    event.preventDefault();
  }

  // --- What is seen ---------------------------------------------------------------------------

  // After another setting, image or edit: computes, lays out and paints anew.
  refresh(moved = null) {
    const { state } = this,
      hasArrived = state.refresh();
    this.root.setAttribute("aria-busy", String(!hasArrived));
    if (!hasArrived) return this.wait();
    this.shown = this.model.get("image");
    state.made ??= { values: new Float32Array([NaN]), rows: 1, columns: 1, limit: 1 };
    this.lit = moved;
    this.version++;
    const { values, rows, columns } = state.made;
    this.output = state.kernels * rows * columns === values.length ? state.output : values;
    if (moved) this.asked = this.peek = null;
    this.player.settle();
    return this.lay();
  }

  // Asks for the image. Nobody answers where the kernel has gone: then the slider goes back.
  wait() {
    if (tell(() => this.model.send({}))) return put(this.sentence, "on its way …");
    if (this.shown !== undefined) this.change("image", this.shown);
    return put(this.sentence, GONE);
  }

  dress() {
    const style = getComputedStyle(this.root);
    for (const name of INKS) this.look[name] = style.getPropertyValue(`--${name}`).trim();
    this.look.font = style.fontFamily;
    this.letter = Number.parseFloat(style.fontSize);
  }

  // What a window leaves to the stage: in a page the rest of the body, in a notebook about the rest.
  get room() {
    const box = this.el.closest(".vizlib"),
      sliders = box?.querySelector(".vizlib-sliders")?.offsetHeight ?? 0;
    const taken = box ? this.root.offsetHeight + sliders + AROUND : document.body.offsetHeight + MARGINS;
    // A frame is as high as what lies in it: there the screen says how much room there is.
    const high = window.top === window ? window.innerHeight : FRAMED * window.screen.availHeight;
    return Math.max(high - taken + this.stage.offsetHeight, LOWEST * this.letter);
  }

  lay() {
    const { state, grids, stage, root } = this;
    if (!root.clientWidth) return; // nobody sees it: it is laid out when it has room
    this.dress();
    this.step = state.step(this.player.k);
    for (const tellOne of [tellHeads, tellLedger, tellFormula, tellFoot]) tellOne(this);
    const { geometry, fault, made } = state,
      width = root.clientWidth - 2 * this.letter;
    const { room, letter } = this, below = this.ledger.offsetHeight;
    this.sizes = sizesOf({ width, room, letter, geometry, fault, made, below });
    root.dataset.form = this.sizes.form;
    const { down, across } = geometry;
    grids.input.isCopied = state.mode !== "zeros";
    grids.patch.isCopied = state.mode !== "zeros";
    grids.input.set({
      rows: down.whole,
      columns: across.whole,
      cell: this.sizes.input,
      values: state.mapOf(state.source),
      limit: state.limit,
      outside: [down.before, across.after, down.after, across.before],
      marks: (context, grid) => markInput(context, grid, { ...this.moment }),
    });
    const beyond = (large, own) => `${(large - own) * this.sizes.input}px`;
    const { rows, columns } = this.sizes;
    grids.input.root.style.margin = `0 ${beyond(columns, across.whole)} ${beyond(rows, down.whole)} 0`;
    grids.output.marks = (context, grid) => markOutput(context, grid, this.moment);
    const weights = this.step.shown.weights,
      limit = statistics(weights).peak || 1;
    this.kernel.show(weights, state.setting.kernel, this.sizes.patch);
    this.scale.replaceChildren(`−${say(limit, 2)}`, element("i", {}), say(limit, 2));
    const values = Array.from(state.values.subarray(...this.sourceRange));
    this.tools.showBrushes(values, state.limit);
    this.paint();
    stage.style.setProperty("--palette", this.gradient);
  }

  get sourceRange() {
    const { size, source } = this.state,
      area = size[0] * size[1];
    return [source * area, (source + 1) * area];
  }

  get gradient() {
    return [0, 32, 64, 96, 127, 159, 191, 223, 254].map((i) => css(this.look.packed[i])).join(", ");
  }

  get moment() {
    const { state, step, player, look } = this,
      cell = this.peek ?? this.asked;
    return { state, step, player, look, asked: cell && askedAbout(state, cell) };
  }

  paint() {
    if (!this.sizes || !this.stage.clientWidth) return;
    const { player, state, asked } = this;
    if (this.step.k !== player.k) {
      this.step = state.step(player.k);
      this.asked = this.peek = null;
    }
    const view = { ...this, asked: this.moment.asked };
    const pixel = asked && !state.isPadding(asked) ? state.pixelAt(asked) : null;
    this.tools.showPixel(pixel, pixel === null ? 0 : state.values[this.sourceRange[0] + pixel]);
    for (const tellOne of [tellSteps, tellLedger, tellSentence]) tellOne(view);
    pose(view);
  }
}

function render(state, { model, el }) {
  const view = new SlidingView(state, { model, el }),
    { player } = view;
  view.future.checked = view.knowsAll;
  const anew = (name) => () => {
    nameSliders(el.closest(".vizlib"));
    view.refresh(name);
  };
  const unheed = heed(model, {
    ...Object.fromEntries(PLACES.map((name) => [name, anew(name)])),
    edits: anew(null),
    k: () => model.get("k") !== player.k && view.go(model.get("k")),
    reads: () => view.refresh(),
  });
  let width = 0;
  const resized = new ResizeObserver(() => {
    if (el.clientWidth === width) return;
    width = el.clientWidth;
    anew(null)();
  });
  resized.observe(el);
  const unfollow = followColours(view.root, () => view.refresh());
  return () => {
    player.stop();
    resized.disconnect();
    unfollow();
    unheed();
  };
}

const widget = () => {
  let state;
  return {
    initialize: ({ model }) => void (state = new SlidingState(model)),
    render: (given) => render(state, given),
  };
};
export default widget;
