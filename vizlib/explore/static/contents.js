// What the page holds: the network's own tensors, and images with what PyTorch made of them.

import { element } from "./elements.js";

const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const floatsOf = (text) => new Float32Array(bytesOf(text).buffer);
const count = (shape) => shape.reduce((all, size) => all * size, 1);

// Sixteen bits: a sign, five bits of a power of two, ten bits of a number from 1 to 2.
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1,
    power = (bits >> 10) & 31,
    part = bits & 1023;
  if (power === 31) return part ? NaN : sign * Infinity;
  return sign * (power ? 2 ** (power - 15) * (1 + part / 1024) : 2 ** -14 * (part / 1024));
}

export function tensorsOf({ program, weights, half: isHalf }) {
  const bytes = bytesOf(weights);
  const values = isHalf ? new Float32Array(bytes.length / 2) : new Float32Array(bytes.buffer);
  if (isHalf) new Uint16Array(bytes.buffer).forEach((bits, i) => (values[i] = half(bits)));
  return program.tensors.map(({ shape, at }) => ({
    shape,
    values: values.subarray(at, at + count(shape)),
  }));
}

// Images are bytes that are normalized here, or floats that are taken as they are.
export function imagesOf({ images, shape, mean, std, isBytes, outputs }) {
  const size = shape.slice(-2),
    pixels = count(size);
  const normal = (bytes) => ({
    shape,
    values: Float32Array.from(bytes, (v) => Math.fround(Math.fround(v / 255) - mean) / std),
  });
  const inputs = images.map((text) =>
    isBytes ? normal(bytesOf(text)) : { shape, values: floatsOf(text) },
  );
  const all = isBytes
    ? []
    : inputs.flatMap(({ values }) => [
        values.reduce((a, b) => Math.min(a, b)),
        values.reduce((a, b) => Math.max(a, b)),
      ]);
  const range = isBytes ? [-mean / std, (1 - mean) / std] : [Math.min(...all), Math.max(...all)];
  const grey = (value) => ((value - range[0]) / (range[1] - range[0])) * 255;
  const bytes = inputs.map(({ values }) =>
    Uint8Array.from(values.subarray(0, pixels), (v) => Math.round(grey(v))),
  );
  const depth = shape.length > 3 ? shape[1] : 1;
  const picture = (i) => {
    const canvas = element("canvas", { width: size.at(-1), height: size.length > 1 ? size[0] : 1 }),
      context = canvas.getContext("2d");
    const data = context.createImageData(canvas.width, canvas.height),
      { values } = inputs[i];
    for (let k = 0; k < canvas.width * canvas.height; k++) {
      for (let c = 0; c < 3; c++)
        data.data[4 * k + c] = grey(values[(depth === 3 || depth === 4 ? c * pixels : 0) + k]);
      data.data[4 * k + 3] = 255;
    }
    context.putImageData(data, 0, 0);
    return canvas;
  };
  const takesInk = shape.slice(1).join() === "1,28,28";
  return {
    inputs,
    bytes,
    size,
    range,
    picture,
    takesInk,
    prepared: normal,
    expected: outputs.map(floatsOf),
  };
}
