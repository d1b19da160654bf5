// How large the cells are: as large as the room allows, patch, kernel and products alike, and the
// output's no larger than the input's, so that one sees how the map shrinks.

const PHONE = 520,
  WIDE = 700; // pixels of the view
const NUMBER = 2; // letters' heights: a cell with a number of three digits

// In letters' heights or shares of the room: the height and width that one of the grids under the
// window has, the height that the input has, and the largest cells of both.
const ROOMS = {
  wide: (width, room, letter) =>
    [(room - 8.2 * letter) / 2, (width - 12.4 * letter) / 4, room - 6.2 * letter, 6.2, 6.6],
  // Patch, kernel, products and sum are one row below input and output.
  narrow: (width, room, letter, below) => [
    room / 2 - 4 * letter,
    (width - 16 * letter) / 3,
    Math.max(0.6 * room, below + 8 * letter) - 4 * letter,
    6.2,
    4.4,
  ],
  phone: (width, _, letter) => [Infinity, (width - 1.6 * letter) / 2, Infinity, 2.9, 4.4],
};

const formOf = (width) => (width < PHONE ? "phone" : width < WIDE ? "narrow" : "wide");

// `room` is the height of the stage, `below` that of the sum under the output; all is in pixels.
export function sizesOf({ width, room, letter, geometry, fault, made, below }) {
  const { down, across } = geometry,
    form = formOf(width);
  const isWide = form === "wide",
    [high, share, tall, roomiest, most] = ROOMS[form](width, room, letter, below);
  // Cells that are too low for their numbers make the stage higher than the room.
  const enough = Math.max(high / down.kernel, NUMBER * letter);
  const roomy = Math.min(enough, share / across.kernel, roomiest * letter);
  const patch = Math.max(Math.floor(roomy), isWide ? 15 : 13);
  const middle = 2 * across.kernel * patch + 6.6 * letter;
  const side = isWide ? (width - middle - 5 * letter) / 2 : (width - 2.2 * letter) / 2;
  const rows = fault ? Math.max(down.span, down.whole) : down.whole,
    columns = fault ? Math.max(across.span, across.whole) : across.whole;
  const input = cell(Math.min(side / columns, tall / rows, most * letter));
  // The sum below the output may take at most half of the height.
  const lower = isWide ? Math.max(room - 4 * letter - below, room / 2 - 2 * letter) : Infinity;
  const output = cell(Math.min(side / made.columns, lower / made.rows, Math.max(input, side / 14)));
  return { form, patch, input, output, rows, columns };
}

const cell = (size) => (size >= 3 ? Math.floor(size) : Math.max(size, 0.2));
