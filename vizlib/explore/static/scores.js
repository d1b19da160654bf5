// What the network answers: a score for each class, and what softmax makes of the scores.

import { element, press, put } from "./elements.js";
import { share, winnerOf, written } from "./numbers.js";

const LONGEST_NAME = 16; // letters of a name in one line
const MOST = 10; // classes; the likeliest ones, where there are more

// Which stages hold the scores and the probabilities, if the network ends in one number a class.
export function endsIn(network, made) {
  const last = network.output,
    step = network.steps.get(last),
    { shape } = made[last];
  if (shape.length !== 2 || shape[0] !== 1 || shape[1] < 2) return null;
  const isSoft = /^(log_)?softmax$/.test(step.operation);
  return { scores: isSoft ? network.reads(last)[0] : last, last };
}

export function probabilities(scores) {
  const top = scores.reduce((a, b) => Math.max(a, b)),
    powers = Array.from(scores, (score) => Math.exp(score - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

export class Scores {
  constructor(root, classes, onClass) {
    const heads = ["class", "score", "probability"].map((word) => element("b", {}, word));
    this.rows = Array.from({ length: Math.min(classes.length, MOST) }, () => barsOf());
    this.classes = classes;
    const longest = Math.max(...classes.map((name) => name.length));
    root.style.setProperty("--names", `${Math.min(longest, LONGEST_NAME) * 1.1 + 1}ch`);
    for (const each of this.rows) each.root.onclick = () => onClass(each.number);
    root.replaceChildren(element("div", { class: "heads" }, ...heads), ...this.rows.map((each) => each.root));
  }

  // `before` are the scores with all channels switched on, where some are not.
  show(scores, before, chosen, label) {
    const shares = probabilities(scores),
      all = [...scores.keys()];
    const few = all.length <= MOST ? all : all.sort((a, b) => scores[b] - scores[a]).slice(0, MOST);
    const peak = Math.max(...few.flatMap((i) => [Math.abs(scores[i]), Math.abs(before?.[i] ?? 0)])) || 1;
    const winner = winnerOf(scores);
    this.rows.forEach((each, i) => {
      const number = few[i],
        change = before ? scores[number] - before[number] : 0;
      each.number = number;
      put(each.name, this.classes[number]);
      put(each.score, written(scores[number], Math.max(peak, 10)));
      put(each.share, share(shares[number]));
      put(each.change, Math.abs(change) < 0.005 ? "" : (change > 0 ? "+" : "") + written(change, 10));
      stretch(each.bar, scores[number] / peak);
      each.tick.style.left = `${50 + 50 * ((before?.[number] ?? 0) / peak)}%`;
      each.tick.hidden = !before;
      each.change.className = change < 0 ? "minus" : "plus";
      each.change.style.cssText = scores[number] < 0 ? "right:0" : "left:0"; // where the bar is not
      each.chance.style.width = `${100 * shares[number]}%`;
      each.root.classList.toggle("winner", number === winner);
      each.root.classList.toggle("label", number === label);
      press(each.root, number === chosen);
    });
  }
}

function stretch(bar, part) {
  bar.className = part < 0 ? "minus" : "plus";
  bar.style.width = `${50 * Math.abs(part)}%`;
  bar.style[part < 0 ? "right" : "left"] = "50%";
  bar.style[part < 0 ? "left" : "right"] = "auto";
}

function barsOf() {
  const part = (tag, name, ...children) => element(tag, { class: name }, ...children);
  const name = part("span", "name"), score = part("span", "score"), share = part("span", "share");
  const bar = element("i"), tick = element("u"), change = element("em"), chance = part("i", "plus");
  const bars = [part("span", "bar", bar, tick, change), score, part("span", "chance", chance)];
  const root = element("button", { type: "button", class: "class" }, name, ...bars, share);
  return { root, name, bar, tick, change, score, chance, share };
}
