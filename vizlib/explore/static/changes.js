// What is done to an image: it is turned, sized, moved, and gets noise, as `explore.compare` says.
//
// An image has the shape [C, H, W] and values from 0, black, to 1, white.

export function changed(values, [channels, height, width], { right, down, turn, size, noise }, grains) {
  const angle = (turn * Math.PI) / 180, [sin, cos] = [Math.sin(angle), Math.cos(angle)];
  // The image is turned, then moved: from where comes what is now at row i and column j?
  const [x, y] = [(sin * down - cos * right) / size, -(sin * right + cos * down) / size];
  const made = new Float32Array(values.length), area = height * width;
  for (let i = 0; i < height; i++) {
    for (let j = 0; j < width; j++) {
      const [u, v] = [j + 0.5 - width / 2, i + 0.5 - height / 2];
      const row = (sin * u + cos * v) / size + y + height / 2 - 0.5;
      const column = (cos * u - sin * v) / size + x + width / 2 - 0.5;
      for (let c = 0; c < channels; c++) {
        const at = c * area + i * width + j;
        const moved = between(values, c * area, height, width, row, column);
        made[at] = Math.min(Math.max(moved + noise * grains[at], 0), 1);
      }
    }
  }
  return made;
}

// The mean of the four pixels around a place, each the more the nearer it is; outside all is black.
function between(values, plane, height, width, row, column) {
  const top = Math.floor(row), left = Math.floor(column), [down, across] = [row - top, column - left];
  const pixel = (r, c) => (r >= 0 && r < height && c >= 0 && c < width ? values[plane + r * width + c] : 0);
  const above = pixel(top, left) * (1 - across) + pixel(top, left + 1) * across;
  const below = pixel(top + 1, left) * (1 - across) + pixel(top + 1, left + 1) * across;
  return above * (1 - down) + below * down;
}
