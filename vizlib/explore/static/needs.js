// What each channel of a layer is needed for: the winner's score without it.

import { written } from "./numbers.js";

const WIDE = 240, HIGH = 150, LEFT = 46, FOOT = 18, DIGIT_WIDE = 8.5;

// `without` has, for each channel, the winner's score and the winner that there is without it.
export function showNeeds(svg, { without, count, score, winner, chosen, classes, onChannel }) {
  const scores = without.map((each) => each.score);
  const isDetail = count > 40 || scores.every((value) => Math.abs(value - score) < 0.15 * Math.abs(score));
  const ends = isDetail ? [score, ...scores] : [0, score, ...scores];
  const [low, high] = [Math.min(...ends), Math.max(...ends)],
    reach = high - low || 1;
  const y = (value) => 14 + ((high - value) / reach) * (HIGH - 14 - FOOT),
    step = (WIDE - LEFT) / count;
  const base = isDetail ? y(score) : y(0),
    parts = [];
  const rect = (kind, x, from, to, wide) => {
    const [left, top, width] = [x, Math.min(from, to), wide].map((size) => size.toFixed(2));
    const height = Math.max(Math.abs(from - to), 0.6).toFixed(2);
    parts.push(`<rect class="${kind}" x="${left}" y="${top}" width="${width}" height="${height}"/>`);
  };
  scores.forEach((value, i) => {
    const x = LEFT + i * step + step * 0.12,
      wide = step * 0.76;
    if (i === chosen) rect("here", LEFT + i * step, 4, HIGH - FOOT, Math.max(step, 2));
    if (!isDetail) rect("left", x, base, y(value), wide);
    rect(value < score ? "lost" : "gained", x, y(score), y(value), wide);
    const other = without[i].winner,
      told = step > 24 ? `→${other}` : String(other);
    if (other !== winner && step > DIGIT_WIDE * told.length)
      parts.push(`<text class="other" x="${x + wide / 2}" y="11" text-anchor="middle">${told}</text>`);
  });
  const tick = Math.ceil(count / Math.max(1, Math.floor((WIDE - LEFT) / 30)));
  for (let i = 0; i < count; i += tick)
    parts.push(`<text x="${LEFT + (i + 0.5) * step}" y="${HIGH - 4}" text-anchor="middle">${i}</text>`);
  parts.push(`<path class="score" d="M${LEFT},${y(score).toFixed(1)}H${WIDE}"/>`);
  const place = `x="${LEFT - 4}" y="${y(score) + 4}" text-anchor="end"`;
  parts.push(`<text ${place} class="value">${written(score, 10)}</text>`);
  svg.innerHTML = parts.join(""); // numbers alone: no name of a class or a layer is in it
  svg.onclick = (event) => {
    const box = svg.getBoundingClientRect(),
      at = ((event.clientX - box.left) / box.width) * WIDE - LEFT;
    const channel = Math.floor(at / step);
    if (channel >= 0 && channel < count) onChannel(channel);
  };
  const here = without[chosen],
    change = here ? here.score - score : 0;
  const sign = change > 0 ? "+" : "";
  const answer = here && here.winner !== winner ? `; the answer is then ${classes[here.winner]}` : "";
  const scored = here && `${written(here.score, 10)} (${sign}${written(change, 10)})${answer}`;
  const said = here ? `without ${chosen}: ${scored}` : "";
  svg.setAttribute("aria-label", `score of ${classes[winner]} without each channel; ${said}`);
  return said;
}
