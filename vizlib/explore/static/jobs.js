// Computes a network again and again, never longer at a time than a frame of the screen may take:
// a slow network's last answer stands until the next one is whole.

import { faded, run } from "./engine.js";
import { dependents, graph } from "./graph.js";

const SLICE = 14; // milliseconds

// Runs a generator to its end, with pauses where it is slow; a newer job of the same name ends it.
export class Jobs {
  constructor(slice = SLICE) {
    Object.assign(this, { slice, current: new Map() });
  }

  start(name, generator, onEnd) {
    this.current.set(name, generator);
    const goOn = () => {
      if (this.current.get(name) !== generator) return;
      const until = performance.now() + this.slice;
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

// A question about an image: all stages, or what the scores are without each channel of a layer.
export const answering = (program, { tensors, image, changes, without }, tell) =>
  without
    ? withoutEach(program, tensors, image, changes, without, tell)
    : allStages(program, tensors, image, changes);

export function* allStages(program, tensors, image, changes) {
  const made = { __proto__: null, input: image };
  for (const [name, tensor] of run(program, tensors, image, changes)) {
    made[name] = tensor;
    yield;
  }
  return made;
}

// Computed from that layer on, and told channel by channel.
function* withoutEach(program, tensors, image, changes, { layer, scores, count }, tell) {
  const made = yield* allStages(program, tensors, image, changes),
    later = dependents(graph(program), layer);
  const known = Object.fromEntries(Object.entries(made).filter(([name]) => !later.has(name)));
  const rest = { input: "input", steps: program.steps.filter(({ name }) => later.has(name)) };
  for (let channel = 0; channel < count; channel++) {
    known[layer] = faded(made[layer], { [channel]: 0 });
    let last;
    for (const [name, tensor] of run(rest, tensors, image, changes, known)) {
      if (name === scores) last = tensor;
      yield;
    }
    tell(last.values);
  }
}
