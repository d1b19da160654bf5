// Charts: series over x, told apart by colour, dash and the name at their end.

const SERIES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8a8a8a"];
const DASHES = [[], [7, 3], [7, 3, 2, 3], [2, 3], [10, 3], [4, 2], [1, 3]];
// CSS pixels of the piece of line before a name: lines may end in the same place.
const SAMPLE = 24;

// Round numbers between two ends, about `count` of them.
export function ticks(low, high, count) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9), found = [];
  for (let i = first; i * step <= high + step * 1e-6; i++) found.push(i * step);
  return found;
}

function split(values, lengths) {
  let end = 0;
  return lengths.map((length) => values.subarray(end, (end += length)));
}

function range(values) {
  const finite = values.filter(Number.isFinite);
  const low = Math.min(...finite), high = Math.max(...finite), gap = (high - low || Math.abs(high) || 1) * 0.06;
  return finite.length ? [low - gap, high + gap] : [0, 1];
}

// Labels at the right of the lines, moved apart so that none covers another.
export function apart(places, gap, bottom) {
  const order = [...places.keys()].sort((a, b) => places[a] - places[b]), moved = [...places];
  order.forEach((i, n) => {
    if (n) moved[i] = Math.max(moved[i], moved[order[n - 1]] + gap);
  });
  const over = Math.max(0, (moved[order.at(-1)] ?? 0) - bottom);
  return moved.map((place) => place - over);
}

function paintLines(context, panel, { pixel, colour }, [width, height]) {
  const series = split(panel.values, panel.lengths), longest = Math.max(2, ...panel.lengths);
  const [low, high] = range(panel.ends ?? [...panel.values]);
  context.font = `${pixel(13)}px ${colour.font}`;
  const write_ = (value) => (panel.percent ? `${+(100 * value).toFixed(2)} %` : String(+value.toPrecision(3)));
  const marks = ticks(low, high, 4), most = (texts) => Math.max(0, ...texts.map((text) => context.measureText(text).width));
  const left = most(marks.map(write_)) + pixel(8), right = most(panel.names) + pixel(SAMPLE + 14);
  const [top, bottom] = [pixel(8), height - pixel(38)];
  const x = (i) => left + (i / (longest - 1)) * (width - left - right);
  const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - top);
  context.lineWidth = pixel(1);
  for (const mark of marks) {
    context.strokeStyle = colour.line;
    context.globalAlpha = 0.5;
    stroke(context, [[left, y(mark)], [width - right, y(mark)]]);
    context.globalAlpha = 1;
    write(context, write_(mark), left - pixel(6), y(mark), colour.ink, "right");
  }
  // Where only whole numbers are meant, such as epochs, no others are written.
  const { start, step } = panel, isMeant = (mark) => step % 1 || Number.isInteger(mark);
  for (const mark of ticks(start, start + (longest - 1) * step, 5).filter(isMeant)) {
    write(context, String(+mark.toFixed(6)).replace("-", "−"), x((mark - start) / step), bottom + pixel(12), colour.ink);
  }
  write(context, panel.along, (left + width - right) / 2, bottom + pixel(29), colour.ink);
  if (panel.at !== null) {
    context.strokeStyle = colour.ink;
    stroke(context, [[x(panel.at), top], [x(panel.at), bottom]]);
  }
  const ends = series.map((values) => y(values.findLast(Number.isFinite) ?? low));
  const places = apart(ends, pixel(16), bottom);
  series.forEach((values, n) => {
    const beside = width - right + pixel(6), name = beside + pixel(SAMPLE + 4);
    context.strokeStyle = SERIES[n % SERIES.length];
    context.lineWidth = pixel(2);
    context.setLineDash(DASHES[n % DASHES.length].map(pixel));
    stroke(context, [...values].flatMap((value, i) => (Number.isFinite(value) ? [[x(i), y(value)]] : [])));
    stroke(context, [[beside, places[n]], [beside + pixel(SAMPLE), places[n]]]);
    context.setLineDash([]);
    if (panel.at !== null && Number.isFinite(values[panel.at])) dot(context, x(panel.at), y(values[panel.at]), pixel(4));
    write(context, panel.names[n], name, places[n], colour.ink, "left");
  });
}

function stroke(context, points) {
  context.beginPath();
  points.forEach((point, i) => (i ? context.lineTo(...point) : context.moveTo(...point)));
  context.stroke();
}

function dot(context, x, y, radius) {
  context.fillStyle = context.strokeStyle;
  context.beginPath();
  context.arc(x, y, radius, 0, 7);
  context.fill();
}
