// What is marked on the grids: magenta is where we are, green is what was asked, red does not fit.

import { within } from "./numbers.js";
import { cornerOf, cellOf, readersOf, tapsOf } from "./sliding_geometry.js";
import { frame } from "./sliding_grid.js";
import { colourOf, inkOn, mixed, say } from "./sliding_numbers.js";

const ROOMY = 44; // pixels of a cell that has room for a factor beside its number
const FACTOR = 0.2; // the size of a factor, as part of its cell

const thin = (cell) => (cell < 10 ? 2 : 3);
const inset = (by, [row, column], cell) =>
  [column * cell + by, row * cell + by, cell - 2 * by, cell - 2 * by];

// The window on its way from one step to the next, the weights that ride in it, what was asked.
export function markInput(context, grid, { state, step, player, asked, look }) {
  const { geometry, fault } = state,
    { cell } = grid;
  outlineImage(context, state, cell, look);
  if (!fault) {
    const [from, to] = [player.from, step.k].map((k) => cornerOf(geometry, cellOf(geometry, k)));
    const corner = from.map((at, d) => at + (to[d] - at) * player.way);
    markWindow(context, grid, state, corner, look);
    if (player.way === 1 && cell >= ROOMY) rideAlong(context, grid, step, state, look);
  }
  for (const place of asked ? asked.cells : []) frameAsked(context, place, cell, look);
}

function frameAsked(context, place, cell, look) {
  frame(context, inset(2, place, cell), look.ask, look, within(cell / 4, 1.5, 3));
}

// Where padding ends and the image begins.
function outlineImage(context, { geometry: { down, across } }, cell, look) {
  if (!(down.before + down.after + across.before + across.after)) return;
  Object.assign(context, { strokeStyle: look.ink, lineWidth: 2 });
  context.strokeRect(across.before * cell, down.before * cell, across.size * cell, down.size * cell);
}

function markWindow(context, grid, { geometry }, [top, left], look) {
  const { down, across } = geometry,
    { cell } = grid,
    isApart = down.dilation * across.dilation > 1;
  if (isApart && cell > 8) {
    paleBetween(context, grid, geometry, [top, left], look);
    for (const tap of tapsOf(geometry, [top, left])) frame(context, inset(1, tap, cell), look.here, look, 2);
  }
  const window = [left * cell, top * cell, across.span * cell, down.span * cell];
  frame(context, window, look.here, look, thin(cell));
}

// The cells that a dilated window steps over are pale, and their numbers in an ink that shows on it.
function paleBetween(context, grid, { down, across }, [top, left], look) {
  const { cell, columns, rows } = grid,
    [r, c] = [Math.round(top), Math.round(left)];
  for (let i = 0; i < down.span; i++) {
    for (let j = 0; j < across.span; j++) {
      const at = (r + i) * columns + c + j;
      if (!(i % down.dilation || j % across.dilation) || r + i >= rows || c + j >= columns) continue;
      if (!grid.isOutside(at))
        grid.repaint(context, at, mixed(colourOf(grid.values[at], grid.limit, look.packed), look.sheet));
    }
  }
}

function factorAt(context, [row, column], cell, weight, style, look) {
  context.font = `600 ${Math.max(13, cell * FACTOR)}px ${look.font}`;
  Object.assign(context, { textAlign: "right", textBaseline: "alphabetic", fillStyle: style });
  context.fillText(`×${say(weight, 2)}`, (column + 1) * cell - 6, (row + 1) * cell - 6);
}

function rideAlong(context, grid, { taps, shown }, state, look) {
  taps.forEach((tap, i) => {
    const ink = state.isPadding(tap) ? look.quiet : inkOn(colourOf(shown.patch[i], grid.limit, look.packed));
    factorAt(context, tap, grid.cell, shown.weights[i], ink, look);
  });
}

export function markOutput(context, grid, { state, step, asked, look }) {
  if (state.fault) return;
  const { cell, columns, values, limit } = grid;
  for (const { cell: place, tap } of asked ? asked.readers : []) {
    frameAsked(context, place, cell, look);
    if (cell < ROOMY) continue;
    const i = place[0] * columns + place[1];
    const ink = grid.blank?.(i) ? look.ask : inkOn(colourOf(values[i], limit, look.packed));
    factorAt(context, place, cell, step.shown.weights[tap], ink, look);
  }
  frame(context, inset(0, step.cell, cell), look.here, look, thin(cell));
}

// A window that fits nowhere, as large as it is, on the canvas over all.
export function markOverhang(context, { x, y, side }, { geometry }, look) {
  const { down, across } = geometry;
  for (const [row, column] of tapsOf(geometry, [0, 0]))
    frame(context, [x + column * side + 2, y + row * side + 2, side - 4, side - 4], look.bad, look, 2);
  const window = [x, y, across.span * side, down.span * side];
  frame(context, window, look.bad, look, 3, [7, 5]);
}

// What was asked about an input cell: the cells that hold its pixel, and who reads them.
export function askedAbout(state, cell) {
  const pixel = state.pixelAt(cell),
    cells = pixel < 0 ? [cell] : state.cellsOf(pixel);
  const readers = state.fault ? [] : cells.flatMap((one) => readersOf(state.geometry, one));
  // Where padding repeats a pixel, one output may read it several times.
  const many = new Set(readers.map((reader) => String(reader.cell))).size;
  return { pixel, cell, cells, readers, many };
}
