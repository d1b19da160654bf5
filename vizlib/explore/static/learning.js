// One step of gradient descent on one image: what was computed, what was found on the way back, and
// what came of it.

import { RULES, backward, crossEntropy, stepped } from "./gradient.js";
import { dependents } from "./graph.js";
import { allStages } from "./jobs.js";
import { winnerOf } from "./numbers.js";

const learnsOf = ({ program }) => program.tensors.map(({ parameter }) => Boolean(parameter));

// Why a network cannot learn here, in one sentence; or nothing.
export function whyNot({ data, fed, ends, network }) {
  if (fed) return "a page can only go back where it has computed the way there itself";
  if (!ends) return "this network does not end in one score for each class";
  if (!learnsOf(data).some(Boolean)) return "this network has no weights that learn";
  const strange = [...network.steps.values()].find(
    ({ name, operation }) => !(operation in RULES) && dependents(network, name).has(ends.scores),
  );
  return strange ? `a page knows no way back through ${strange.operation} (the layer ${strange.name})` : "";
}

export function* oneStep({ data, tensors, changes, input, ends }, label, rate) {
  const { program } = data,
    made = yield* allStages(program, tensors, input, changes),
    before = crossEntropy(made[ends.scores], label);
  const way = yield* backward(program, tensors, made, changes, ends.scores, before.slopes);
  const after = stepped(tensors, learnsOf(data), way.tensors, rate),
    later = yield* allStages(program, after, input, changes);
  return {
    ...{ before: tensors, slopes: way.tensors, after, rate },
    losses: [before.loss, crossEntropy(later[ends.scores], label).loss],
    answers: [made, later].map((each) => winnerOf(each[ends.scores].values)),
  };
}
