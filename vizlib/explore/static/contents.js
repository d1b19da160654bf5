// What the view holds: the network's own tensors, and images with what PyTorch made of them.

import { element } from "./elements.js";
import { product } from "./engine.js";
import { bytes, floats } from "./numbers.js";
import { enlarged, photograph } from "./tiles.js";

// Sixteen bits: a sign, five bits of a power of two, ten bits of a number from 1 to 2.
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1,
    power = (bits >> 10) & 31,
    part = bits & 1023;
  if (power === 31) return part ? NaN : sign * Infinity;
  return sign * (power ? 2 ** (power - 15) * (1 + part / 1024) : 2 ** -14 * (part / 1024));
}

// The network's own tensors, in as many sets as there are, one after the other.
export function setsOf({ program: { tensors }, weights, half: isHalf }, many) {
  const values = isHalf ? halves(bytes(weights)) : floats(weights),
    size = tensors.reduce((sum, { shape }) => sum + product(shape), 0);
  const own = (shape, from) => ({ shape, values: values.subarray(from, from + product(shape)) });
  return Array.from({ length: many }, (_, i) => tensors.map(({ shape, at }) => own(shape, i * size + at)));
}

const halves = (own) => Float32Array.from(new Uint16Array(own.buffer), half);

const MOST_CURVES = 4; // rows of numbers that are no image

// Images are bytes that are normalized here, or floats that are taken as they are.
export function imagesOf({ images, shape, mean, std, isBytes, outputs, range: [low, high] }) {
  const size = shape.slice(-2),
    pixels = product(size);
  const prepared = (own) => ({
    shape,
    values: Float32Array.from(own, (v) => Math.fround(Math.fround(v / 255) - mean) / std),
  });
  const input = (i) => (isBytes ? prepared(bytes(images[i])) : { shape, values: floats(images[i]) });
  const grey = (value) => Math.round(((value - low) / (high - low)) * 255);
  const picture = (i) => enlarged(element("canvas"), photograph(input(i), [low, high]));
  // A row of numbers is drawn as a line, several as several.
  const rows = size.length > 1 ? size[0] : 1;
  const curves = (i) => {
    const side = 160,
      canvas = element("canvas", { width: side, height: side }),
      context = canvas.getContext("2d"),
      last = size.at(-1) - 1;
    Object.assign(context, { strokeStyle: "#fff", lineWidth: 3 });
    const { values } = input(i);
    for (let row = 0; row < rows; row++) {
      context.beginPath();
      for (let k = 0; k <= last; k++)
        context.lineTo((k / last) * side, (0.95 - (0.9 * grey(values[row * (last + 1) + k])) / 255) * side);
      context.stroke();
    }
    return canvas;
  };
  const isSignal = shape.length < 4 && rows <= MOST_CURVES && size.at(-1) > 1;
  return {
    ...{ size, range: [low, high], picture: isSignal ? curves : picture, input, prepared },
    count: images.length,
    bytes: (i) => Uint8Array.from(input(i).values.subarray(0, pixels), grey),
    takesInk: shape.slice(1).join() === "1,28,28",
    expected: outputs.map(floats),
  };
}
