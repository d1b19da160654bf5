// Pictures: the input, the mosaic of all maps, the chosen one large, bars for vectors, the legend.
// Sizes are device pixels; `pixel` makes them of CSS pixels.

const DARK = "#1a1a1a", EDGE = "#6b6b6b", PALE = "#e3e6eb"; // on white, whatever the theme
const THUMB = 80; // pixels of a layer's small picture at most; half as many on the screen
const BETWEEN = "#d3d8e0"; // maps, where white ones and their black frame can both be seen

// A small picture grows by a whole number, one that is too large shrinks by a whole number.
export function zoom(size, box) {
  return box >= size ? Math.floor(box / size) : 1 / Math.ceil(size / Math.max(box, 1));
}

export function grid(count, height, width, [wide, high], gap) {
  const columns = Math.ceil(Math.sqrt(count)), rows = Math.ceil(count / columns);
  const scale = Math.min(
    zoom(width, (wide - gap * (columns + 1)) / columns),
    zoom(height, (high - gap * (rows + 1)) / rows),
  );
  return { columns, rows, scale, tile: scaled(width, height, scale) };
}

const scaled = (...sizes) => {
  const scale = sizes.pop();
  return sizes.map((size) => Math.max(1, Math.floor(size * scale)));
};

function image(width, height, fill) {
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d");
  const data = context.createImageData(width, height);
  fill(new Uint32Array(data.data.buffer));
  context.putImageData(data, 0, 0);
  return canvas;
}

// All maps of a layer as one array, coloured once; another channel only frames another part of it.
function atlas(values, { count, height, width }, limitOf, colours) {
  const columns = Math.ceil(Math.sqrt(count)), rows = Math.ceil(count / columns);
  const size = height * width, line = columns * width;
  return image(line, rows * height, (pixels) => {
    for (let channel = 0; channel < count; channel++) {
      const limit = limitOf(channel);
      const corner = Math.floor(channel / columns) * height * line + (channel % columns) * width;
      for (let i = 0; i < size; i++) {
        const at = corner + Math.floor(i / width) * line + (i % width);
        pixels[at] = colours[shade(values[channel * size + i], limit)];
      }
    }
  });
}

function frame(context, [x, y], [width, height], line, colour) {
  context.lineWidth = line;
  context.strokeStyle = colour;
  context.strokeRect(x - line / 2, y - line / 2, width + line, height + line);
}

function write(context, text, x, y, colour, align = "center") {
  context.fillStyle = colour;
  context.textAlign = align;
  context.fillText(text, x, y);
}

function paintInput(context, { pixel, colour, scene }, left, box) {
  const [height, width, depth] = scene.picture, edge = pixel(1);
  const part = (at, which) => scene.pixels[at * depth + Math.min(which, depth - 1)];
  const picture = image(width, height, (pixels) => {
    for (let i = 0; i < pixels.length; i++) {
      pixels[i] = (255 << 24) | (part(i, 2) << 16) | (part(i, 1) << 8) | part(i, 0);
    }
  });
  const size = scaled(width, height, zoom(Math.max(height, width), box));
  context.drawImage(picture, left + edge, edge, ...size);
  frame(context, [left + edge, edge], size, edge, colour.line);
}

// A layer as a picture of a few pixels: its first nine maps, or a vector as lines of text are read.
// No finer than the maps are: the page enlarges it.
function paintThumb(canvas, held, stage, colours) {
  const shape = stage.vector ? { count: 1, height: Math.ceil(Math.sqrt(stage.count)) } : stage;
  const count = Math.min(shape.count, 9), { height, width = height } = shape;
  const columns = Math.ceil(Math.sqrt(count)), side = Math.min(THUMB, columns * Math.max(height, width));
  const tile = side / columns, { values, all } = held;
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const context = canvas.getContext("2d"), data = context.createImageData(side, side);
  const pixels = new Uint32Array(data.data.buffer);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const channel = Math.floor(y / tile) * columns + Math.floor(x / tile);
      const row = Math.floor(((y % tile) * height) / tile), column = Math.floor(((x % tile) * width) / tile);
      const at = (channel * height + row) * width + column;
      if (channel < count && at < values.length) pixels[y * side + x] = colours[shade(values[at], all.peak || 1)];
    }
  }
  context.putImageData(data, 0, 0);
}

// Paints all maps and returns which of them a point of the canvas shows.
function paintMosaic(context, view, x, box) {
  const { stage, picture, pixel, channel, dead } = view, gap = pixel(4);
  const { columns, rows, tile } = grid(stage.count, stage.height, stage.width, box, gap);
  const [wide, high] = [tile[0] + gap, tile[1] + gap];
  const corner = (i) => [x + gap + (i % columns) * wide, gap + Math.floor(i / columns) * high];
  context.fillStyle = BETWEEN;
  context.fillRect(x, 0, columns * wide + gap, rows * high + gap);
  for (let i = 0; i < stage.count; i++) {
    context.drawImage(picture, ...source(i, stage), ...corner(i), ...tile);
    if (dead.has(i)) paintBadge(context, view, corner(i), tile);
  }
  frame(context, corner(channel), tile, gap, DARK);
  return (px, py) => {
    const column = Math.floor((px - x) / wide), row = Math.floor(py / high);
    const found = row * columns + column;
    return column >= 0 && column < columns && found < stage.count ? found : null;
  };
}

// A map without a single value but zero says so, or it might be taken for a faint one.
function paintBadge(context, { pixel, colour }, [x, y], [width, height]) {
  context.font = `${Math.min(pixel(13), Math.max(pixel(8), width * 0.5))}px ${colour.font}`;
  write(context, "0", x + width / 2, y + height / 2, EDGE);
}

function source(channel, { count, height, width }) {
  const columns = Math.ceil(Math.sqrt(count));
  return [(channel % columns) * width, Math.floor(channel / columns) * height, width, height];
}

function paintLarge(context, view, x, box) {
  const { stage, picture, pixel, colour, channel, cell } = view, edge = pixel(1);
  const scale = zoom(Math.max(stage.height, stage.width), box - 2 * edge);
  const size = scaled(stage.width, stage.height, scale);
  context.drawImage(picture, ...source(channel, stage), x + edge, edge, ...size);
  frame(context, [x + edge, edge], size, edge, colour.line);
  writeValues(context, view, x + edge, edge, scale);
  if (cell) {
    const [row, column] = cell, line = pixel(2), far = Math.max(scale, line * 2);
    frame(context, [x + edge + column * scale + line, edge + row * scale + line], [far - 2 * line, far - 2 * line], line, DARK);
  }
  return (px, py) => {
    const [row, column] = [py - edge, px - x - edge].map((at) => Math.floor(at / scale));
    return row >= 0 && row < stage.height && column >= 0 && column < stage.width ? [row, column] : null;
  };
}

// Sets the letters' size for cells of this width and returns the decimals that there is room for.
function room(context, { pixel, colour }, values, width) {
  if (width < pixel(24)) return null;
  context.font = `${Math.min(pixel(15), width * 0.37)}px ${colour.font}`;
  return decimals(values, (text) => context.measureText(signed(text)).width < width * 0.92);
}

function writeValues(context, view, x, y, scale) {
  const { stage, values, limit } = view, places = room(context, view, values, scale);
  if (places === null) return;
  values.forEach((value, i) => {
    const column = i % stage.width, row = Math.floor(i / stage.width);
    const ink = isDark(shade(value, limit)) ? "#fff" : DARK, text = signed(value.toFixed(places));
    write(context, text, x + (column + 0.5) * scale, y + (row + 0.5) * scale, ink);
  });
}

// A vector has no rows and columns: each value is a bar up or down from zero, as far as the legend
// beside it says.
function paintBars(context, view, x, [width, height]) {
  const { stage, all, pixel, colour, channel } = view, step = width / stage.count;
  context.fillStyle = "#fff";
  context.fillRect(x, 0, width, height);
  context.fillStyle = PALE;
  for (const part of [0.25, 0.75]) context.fillRect(x, Math.round(height * part), width, pixel(1));
  const wide = Math.max(step, pixel(5)), middle = x + (channel + 0.5) * step;
  context.fillRect(middle - wide / 2, 0, wide, height);
  const places = room(context, view, all, step);
  all.forEach((value, i) => paintBar(context, view, value, x + (i + 0.5) * step, step, height, places));
  context.fillStyle = DARK;
  context.fillRect(x, Math.round(height / 2), width, pixel(1));
  frame(context, [x + 1, 1], [width - 2, height - 2], 1, colour.line);
  const names = step >= pixel(16) ? [...all.keys()] : [channel];
  context.font = `${pixel(13)}px ${colour.font}`;
  for (const i of names) write(context, i, x + (i + 0.5) * step, height + pixel(11), colour.ink);
  return (px, py) => {
    const found = Math.floor((px - x) / step);
    return found >= 0 && found < stage.count && py <= height ? found : null;
  };
}

function paintBar(context, { limit, colours, pixel }, value, centre, step, height, places) {
  const tone = shade(value, limit), width = Math.max(1, Math.floor(step * 0.8));
  const left = Math.round(centre - width / 2), middle = Math.round(height / 2);
  const length = Math.round(Math.max(-1, Math.min(1, value / limit)) * middle) || 0;
  context.fillStyle = css(colours[tone]);
  context.fillRect(left, middle - length, width, length);
  if (width < pixel(4)) return;
  frame(context, [left, middle - Math.max(length, 0)], [width, Math.abs(length)], 1, EDGE);
  if (places === null) return;
  const inside = Math.abs(length) > middle - pixel(24);
  const away = (inside ? -1 : 1) * pixel(11) * (length < 0 ? -1 : 1);
  const ink = inside && isDark(tone) ? "#fff" : DARK;
  write(context, signed(value.toFixed(places)), centre, middle - length - away, ink);
}

// Coloured by the very function, with the very limit, that colours the maps.
function paintLegend(context, { pixel, colour, colours, limit }, x, height) {
  const width = pixel(16), edge = pixel(1), length = height - 2 * edge;
  for (let y = 0; y < length; y++) {
    context.fillStyle = css(colours[shade(limit * (1 - (2 * y + 1) / length), limit)]);
    context.fillRect(x, edge + y, width, 1);
  }
  frame(context, [x, edge], [width, length], edge, colour.line);
  context.font = `${pixel(13)}px ${colour.font}`;
  for (const part of [1, 0.5, 0, -0.5, -1]) {
    const y = edge + (length * (1 - part)) / 2;
    const inside = Math.min(Math.max(y, pixel(7)), height - pixel(6));
    write(context, written(part * limit, limit), x + width + pixel(6), inside, colour.ink, "left");
  }
}
