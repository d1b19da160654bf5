// The other end of a Thread: what runs in a thread of its own.

import { Jobs, answering } from "./jobs.js";

const LONGER_SLICE = 30; // milliseconds until the next message is heard
const jobs = new Jobs(LONGER_SLICE);
let program, tensors;

self.onmessage = ({ data }) => {
  if (data.program) program = data.program;
  else if (data.tensors) tensors = data.tensors;
  else if (data.stop) jobs.stop(data.stop);
  else answer(data);
};

function answer({ name, number, ...question }) {
  const own = tensors,
    tell = (part) => self.postMessage({ name, number, part });
  jobs.start(name, answering(program, { ...question, tensors: own }, tell), (made = {}) => {
    const all = handedOver(made, own);
    self.postMessage({ name, number, made: all }, [...new Set(all.map(([, { values }]) => values.buffer))]);
  });
}

// What is sent is gone here: the network's own tensors are copied first.
function handedOver(made, weights) {
  const own = new Set(weights.map(({ values }) => values.buffer));
  return Object.entries(made)
    .filter(([stage]) => stage !== "input")
    .map(([stage, { shape, values }]) => [
      stage,
      { shape, values: own.has(values.buffer) ? values.slice() : values },
    ]);
}
