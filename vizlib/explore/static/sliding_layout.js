// How large the cells are: as large as the room allows, patch, kernel and products alike, and the
// output's no larger than the input's, so that one sees how the map shrinks.

const ROOMIEST = 6.2, // times the letters' height: a cell
  PHONE = 520,
  WIDE = 860; // pixels of the view

export const formOf = (width) => (width < PHONE ? "phone" : width < WIDE ? "narrow" : "wide");

// `room` is the height of the stage, `below` that of the sum under the output; all is in pixels.
export function sizesOf({ width, room, letter, geometry, fault, made, below }) {
  const { down, across } = geometry,
    form = formOf(width);
  const isWide = form === "wide",
    sign = (isWide ? 4.6 : form === "phone" ? 1.6 : 2.4) * letter;
  const high = isWide ? (room - 8.2 * letter) / (2 * down.kernel) : Infinity;
  const share = isWide ? width * 0.42 - 1.6 * letter : width;
  const roomy = Math.min(
    high,
    (share - sign) / (2 * across.kernel),
    (form === "phone" ? 2.9 : ROOMIEST) * letter,
  );
  const patch = Math.max(Math.floor(roomy), isWide ? 15 : 13);
  const middle = 2 * across.kernel * patch + sign + 2 * letter;
  const side = isWide ? (width - middle - 5 * letter) / 2 : (width - 2.2 * letter) / 2;
  const rows = fault ? Math.max(down.span, down.whole) : down.whole,
    columns = fault ? Math.max(across.span, across.whole) : across.whole;
  const tall = isWide ? room - 6.2 * letter : Infinity,
    most = (isWide ? 6.6 : 4.4) * letter;
  const input = cell(Math.min(side / columns, tall / rows, most));
  // The sum below the output may take at most half of the height.
  const lower = isWide ? Math.max(room - 4 * letter - below, room / 2 - 2 * letter) : Infinity;
  const output = cell(Math.min(side / made.columns, lower / made.rows, Math.max(input, side / 14)));
  return { form, patch, input, output, rows, columns };
}

const cell = (size) => (size >= 3 ? Math.floor(size) : Math.max(size, 0.2));
