// One moment of one step, painted. All that moves is a function of the time, so that no animation
// can leave a wrong picture behind.

import { put } from "./elements.js";
import { within } from "./numbers.js";
import { frame, paintCell } from "./sliding_grid.js";
import { markOverhang } from "./sliding_marks.js";
import { say } from "./sliding_numbers.js";
import { DONE, eased } from "./sliding_player.js";
import { peakOf, sized } from "./tiles.js";

const SHARE = 0.28, // of the time of adding: how long one product flies
  ARC = 40; // pixels that a way is bent at most

// How much of a phase has passed.
const since = (time, phase) => within(time - phase, 0, 1);

export function pose(view) {
  const { state, step, player, grids, stage, fly, look } = view,
    time = state.fault ? DONE : player.time;
  const { products } = step.shown,
    count = products.length;
  const over = sized(fly, stage.clientWidth, stage.clientHeight);
  const lift = since(time, 1),
    times = since(time, 2),
    multiplied = time >= 3 ? count : Math.floor(times * count);
  posePatch(view, lift, times, multiplied);
  if (lift > 0 && lift < 1) liftPatch(over, view, eased(lift));
  const added = addProducts(over, view, since(time, 3), time);
  poseSum(view, added, time);
  poseOutput(view, time);
  grids.input.draw();
  const land = since(time, 4);
  if (land > 0 && land < 1) landSum(over, view, eased(land));
  if (state.fault) markOverhang(over, grids.input.box([0, 0], stage), state, look);
}

function posePatch({ state, step, grids, sizes, look, kernel }, lift, times, multiplied) {
  const { patch, products } = step.shown,
    [rows, columns] = state.setting.kernel;
  const shape = { rows, columns, cell: sizes.patch },
    isCounting = times > 0 && times < 1 && multiplied < products.length;
  const marks = (context) => {
    if (!isCounting) return;
    const { patch: cell } = sizes,
      [x, y] = [multiplied % columns, Math.floor(multiplied / columns)];
    frame(context, [x * cell, y * cell, cell, cell], look.here, look);
  };
  const isHidden = !state.fault && lift < 1;
  const blank = isHidden ? () => true : null, padded = step.taps.map((tap) => state.isPadding(tap));
  grids.patch.set({ ...shape, values: patch, limit: state.limit, blank, padded, marks });
  const isUnknown = (i) => i >= multiplied;
  const values = state.fault ? products.map(() => NaN) : products;
  grids.products.set({ ...shape, values, limit: productLimit(step), blank: isUnknown, marks });
  grids.patch.draw();
  grids.products.draw();
  kernel.light(isCounting ? multiplied : -1);
}

const productLimit = ({ shown }) => peakOf({ values: shown.products });

// The window is lifted out as one block that grows: a magnifier.
function liftPatch(over, { state, step, grids, stage, look }, share) {
  const { columns } = grids.patch;
  step.taps.forEach((tap, i) => {
    const to = grids.patch.box([Math.floor(i / columns), i % columns], stage);
    const looks = { limit: state.limit, letters: grids.patch.letters, look, isPadding: state.isPadding(tap) };
    chip(over, grids.input.box(tap, stage), to, share, step.shown.patch[i], looks);
  });
}

// The products fly one after the other; zeros stay where they are. Returns those that have arrived.
function addProducts(over, view, share, time) {
  const { step, grids, stage, total, look } = view,
    { products } = step.shown;
  if (time >= 4) return products;
  const order = [...products.keys()].filter((i) => products[i] !== 0);
  const wayOf = (i) => since((share - ((1 - SHARE) * order.indexOf(i)) / order.length) / SHARE, 0);
  if (share > 0) {
    const looks = { limit: productLimit(step), letters: grids.products.letters, look, fades: true };
    for (const i of order) {
      const way = wayOf(i),
        { columns } = grids.products;
      if (way <= 0 || way >= 1) continue;
      const from = grids.products.box([Math.floor(i / columns), i % columns], stage);
      chip(over, from, middleOf(total, stage), eased(way), products[i], looks);
    }
  }
  return products.filter((product, i) => share > 0 && (product === 0 || wayOf(i) >= 1));
}

function middleOf(target, stage) {
  const own = target.getBoundingClientRect(), all = stage.getBoundingClientRect(), side = own.height * 0.4;
  const [x, y] = [own.left - all.left, own.top - all.top];
  return { x: x + (own.width - side) / 2, y: y + (own.height - side) / 2, side };
}

const sumOver = (values) => values.reduce((sum, value) => sum + value, 0);
const positives = (values) => values.filter((value) => value > 0);
const negatives = (values) => values.filter((value) => value < 0);

function poseSum({ state, step, total, sides }, added, time) {
  const { products } = step.shown,
    hasBegun = !state.fault && time > 3;
  put(total, state.fault ? "–" : hasBegun ? say(sumOver(added)) : "");
  const most = Math.max(sumOver(positives(products)), -sumOver(negatives(products))) || 1;
  sides.forEach(({ bar, number }, i) => {
    const own = sumOver(i ? negatives(added) : positives(added));
    bar.style.width = `${hasBegun ? (100 * Math.abs(own)) / most : 0}%`;
    put(number, hasBegun ? say(own) : "");
  });
}

function poseOutput(view, time) {
  const { state, step, grids, sizes, knowsAll } = view,
    { rows, columns, limit } = state.made;
  const known = step.k + (time >= DONE ? 1 : 0);
  const blank = knowsAll || state.fault ? null : (i) => i >= known;
  const fade = state.fault ? 0.4 : 1;
  const given = { rows, columns, cell: sizes.output, values: view.output, limit, blank, fade };
  const key = [rows, columns, sizes.output, knowsAll ? -1 : known, fade, view.version].join();
  // Painting a large map anew in each frame would take its time.
  if (key !== grids.output.key) grids.output.set({ ...given, isPlain: Boolean(state.fault) });
  grids.output.key = key;
  grids.output.draw();
}

function landSum(over, { state, step, grids, stage, total, look }, share) {
  const letters = grids.output.letters ?? { places: 0, px: 16 };
  const looks = { limit: state.made.limit, letters, look };
  chip(over, middleOf(total, stage), grids.output.box(step.cell, stage), share, step.total, looks);
}

// A number on its way from one box to another, on a slight arc.
function chip(over, from, to, share, value, { fades, look, ...looks }) {
  const mix = (name) => from[name] + (to[name] - from[name]) * share,
    bend = Math.sin(share * Math.PI);
  const arc = bend * Math.min(ARC, Math.hypot(to.x - from.x, to.y - from.y) / 8);
  const box = { x: mix("x"), y: mix("y") - arc, side: mix("side") };
  over.save();
  if (fades && share > 0.65) over.globalAlpha = (1 - share) / 0.35;
  over.fillStyle = look.sheet;
  Object.assign(over, { shadowColor: "#0006", shadowBlur: 8 * bend, shadowOffsetY: 3 });
  over.fillRect(box.x, box.y, box.side - 1, box.side - 1);
  over.shadowColor = "transparent";
  paintCell(over, { ...box, side: box.side - 1 }, value, { ...looks, look });
  over.restore();
}
