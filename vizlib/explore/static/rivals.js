// Several networks that answer the same image.

import { setsOf } from "./contents.js";
import { graph } from "./graph.js";
import { allStages } from "./jobs.js";
import { endsIn, probabilities } from "./scores.js";

const ROUNDING = 1e-3; // a sum of probabilities in half precision is this close to 1

export class Rival {
  constructor({ name, program, weights }) {
    Object.assign(this, { name, program, network: graph(program) });
    [this.tensors] = setsOf({ program, weights }, 1);
  }

  // A score and a probability for each class.
  *answer(image) {
    const made = yield* allStages(this.program, this.tensors, image);
    const last = [...made[this.network.output].values], ends = endsIn(this.network, made);
    return { scores: ends ? [...made[ends.scores].values] : last, shares: sharesOf(last) };
  }
}

// A network may end in scores, in softmax or in its logarithm: as `models.probabilities` tells.
function sharesOf(last) {
  const sum = (form) => form.reduce((a, b) => a + b, 0);
  const isWhole = (form) => form.every((part) => part >= 0) && Math.abs(sum(form) - 1) < ROUNDING;
  return [last, last.map(Math.exp)].find(isWhole) ?? probabilities(last);
}

export function* answers(rivals, image) {
  const found = [];
  for (const rival of rivals) found.push(yield* rival.answer(image));
  return found;
}
