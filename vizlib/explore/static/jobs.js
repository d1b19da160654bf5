// Computes a network again and again, never longer at a time than a frame of the screen may take:
// a slow network's last answer stands until the next one is whole.

import { faded, run } from "./engine.js";
import { dependents } from "./graph.js";
import { winnerOf } from "./scores.js";

const SLICE = 14; // milliseconds

// Runs a generator to its end, with pauses where it is slow; a newer job of the same name ends it.
export class Jobs {
  constructor() {
    this.current = new Map();
  }

  start(name, generator, onEnd) {
    this.current.set(name, generator);
    const goOn = () => {
      if (this.current.get(name) !== generator) return;
      const until = performance.now() + SLICE;
      for (;;) {
        const { done, value } = generator.next();
        if (done) return onEnd(value);
        if (performance.now() > until) break;
      }
      setTimeout(goOn);
    };
    goOn();
  }

  stop(name) {
    this.current.delete(name);
  }
}

export function* allStages(program, tensors, image, changes) {
  const made = { __proto__: null, input: image };
  for (const [name, tensor] of run(program, tensors, image, changes)) {
    made[name] = tensor;
    yield;
  }
  return made;
}

// The winner's score without each channel of a layer, computed from that layer on.
export function* withoutEach(network, tensors, made, changes, layer, { scores, count }, tell) {
  const winner = winnerOf(made[scores].values),
    later = dependents(network, layer);
  const known = Object.fromEntries(Object.entries(made).filter(([name]) => !later.has(name)));
  const rest = { input: "input", steps: [...network.steps.values()].filter(({ name }) => later.has(name)) };
  for (let channel = 0; channel < count; channel++) {
    known[layer] = faded(made[layer], { [channel]: 0 });
    let last;
    for (const [name, tensor] of run(rest, tensors, made.input, changes, known)) {
      if (name === scores) last = tensor;
      yield;
    }
    tell({ score: last.values[winner], winner: winnerOf(last.values) });
  }
}
