// Maps as pictures: each value a pixel, white for zero, blue for positive, orange for negative.

import { shade, statistics, within } from "./numbers.js";

// All maps of a stage in one picture, as many beside each other as `columns` says; `limitOf` a map
// is the value of its darkest colour.
export function atlasOf(values, { count, height, width }, columns, limitOf, colours) {
  const rows = Math.ceil(count / columns),
    line = columns * width,
    size = height * width,
    limits = Array.from({ length: count }, (_, i) => limitOf(i));
  return pictured(line, rows * height, (pixels) => {
    for (let i = 0; i < count * size; i++) {
      const map = Math.floor(i / size),
        row = Math.floor((i % size) / width);
      const top = Math.floor(map / columns) * height + row;
      pixels[top * line + (map % columns) * width + (i % width)] = colours[shade(values[i], limits[map])];
    }
  });
}

// An image as the eye knows it: grey, or of three colours; `range` are its black and its white.
export function photograph({ shape, values }, [black, white]) {
  const [height, width] = shape.slice(-2), area = height * width, depth = shape.length > 3 ? shape[1] : 1;
  const bright = (i) => within(((values[i] - black) / (white - black)) * 255, 0, 255);
  return coloured(width, height, (i, c) => bright(depth === 3 || depth === 4 ? c * area + i : i));
}

// `part(i, c)` is the red, the green or the blue of pixel i, from 0 to 255.
export const coloured = (width, height, part) => pictured(width, height, (pixels) => {
  for (let i = 0; i < pixels.length; i++) {
    pixels[i] = (255 << 24) | (part(i, 2) << 16) | (part(i, 1) << 8) | part(i, 0);
  }
});

export const grey = (values, height, width) => coloured(width, height, (i) => values[i]);

function pictured(width, height, fill) {
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d");
  const data = context.createImageData(width, height);
  fill(new Uint32Array(data.data.buffer));
  context.putImageData(data, 0, 0);
  return canvas;
}

// A canvas with a picture on it, each pixel of the picture so many pixels wide.
export function enlarged(canvas, picture, scale = 1) {
  Object.assign(canvas, { width: picture.width * scale, height: picture.height * scale });
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas;
}

// A frame of so many pixels, its middle `out` of them beyond a box.
export function edged(context, [x, y], [width, height], line, colour, out = line / 2) {
  Object.assign(context, { lineWidth: line, strokeStyle: colour });
  context.strokeRect(x - out, y - out, width + 2 * out, height + 2 * out);
}

// What is pointed at: pink, between two edges of white.
export const POINTED = "#d2007a";

export function pointed(context, corner, size, [whole, pink]) {
  edged(context, corner, size, whole, "#fff", 0);
  edged(context, corner, size, pink, POINTED, 0);
}

export const peakOf = ({ values }) => statistics(values).peak || 1;

// A canvas of so many CSS pixels, sharp on every screen; its context paints in CSS pixels.
export function sized(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  context.imageSmoothingEnabled = false;
  return context;
}

export const colour = (element, name) => getComputedStyle(element).getPropertyValue(`--${name}`).trim();
