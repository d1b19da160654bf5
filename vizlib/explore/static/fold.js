// Which layers have a column of their own in the picture of the network, and which are folded into
// one: a long network is shown by its modules, and opened where you stand.
//
// A part is { name, stages, parts }: what it is called, the names of its stages in order, and the
// parts that it opens into; a single stage opens into none.

// Layers that begin something new; those that follow (norm, activation, pooling) belong to them.
const BEGIN = /^(conv|linear|add|cat|flatten|reshape|matmul)/;

export function partsOf(steps, depth = 0) {
  const parts = [];
  for (const step of steps) {
    const path = step.name.split("."),
      isInside = path.length > depth + 1;
    const home = isInside ? path.slice(0, depth + 1).join(".") : "",
      last = parts.at(-1);
    const goesOn = last && last.home === home && (isInside || !BEGIN.test(step.operation));
    if (goesOn) last.steps.push(step);
    else parts.push({ home, steps: [step] });
  }
  return parts.map((part) => opened(part, depth));
}

function opened({ home, steps }, depth) {
  const stages = steps.map((step) => step.name),
    name = home || stages[0];
  if (steps.length === 1) return { name, stages, parts: [] };
  const parts = home ? partsOf(steps, depth + 1) : steps.map((step) => opened({ steps: [step] }, depth));
  return { name, stages, parts: parts.length > 1 ? parts : parts[0].parts };
}

// The parts to show where `chosen` is the stage at which you stand: at most so many.
export function folded(parts, chosen, most) {
  let shown = [...parts];
  const holder = () => shown.findIndex((part) => part.stages.includes(chosen));
  const open = (at) => shown.splice(at, 1, ...shown[at].parts);
  while (shown[holder()]?.parts.length) open(holder());
  for (let at = nearest(shown, holder(), most); at >= 0; at = nearest(shown, holder(), most)) open(at);
  while (shown.length > most && most > 2) shown = merged(shown, holder());
  return shown;
}

// The closed part nearest to where you stand for which there is room, or −1.
function nearest(shown, here, most) {
  const fits = ({ parts }) => parts.length && shown.length - 1 + parts.length <= most;
  const found = [...shown.keys()].filter((at) => fits(shown[at]));
  return found.sort((a, b) => Math.abs(a - here) - Math.abs(b - here))[0] ?? -1;
}

// Two parts at the end that is farther away become one.
function merged(shown, here) {
  const at = here > shown.length - 1 - here ? 0 : shown.length - 2,
    [one, other] = shown.slice(at, at + 2);
  const name = `${one.name.split(" … ")[0]} … ${other.name.split(" … ").at(-1)}`;
  return shown.toSpliced(at, 2, { name, stages: [...one.stages, ...other.stages], parts: [] });
}
