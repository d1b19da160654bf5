// The page held against PyTorch: the largest difference between the answers of both.

export function difference(state) {
  const { images, network, data, fed, isPage, sets } = state;
  if (fed) return `${isPage ? "What was recorded is shown here" : "Computed by the kernel"}: ${data.why}.`;
  const { expected } = images,
    count = expected.length / sets.length;
  const answers = sets.flatMap((tensors) =>
    Array.from({ length: count }, (_, i) => state.compute(images.input(i), {}, tensors)[network.output]),
  );
  const largest = Math.max(...answers.map(({ values }, i) => farApart(values, expected[i])));
  const over = `over ${count} image${count > 1 ? "s" : ""}`,
    after = sets.length > 1 ? ` after each of ${sets.length} epochs` : "";
  const said = `largest difference from PyTorch ${over}${after}: `;
  const half = data.half ? "; its weights are rounded to half precision, so that the page is small" : "";
  return `Computed in this page; ${said}${largest ? inPowers(largest) : "0"}${half}`;
}

function farApart(values, expected) {
  return values.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0);
}

const raised = (character) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(character)];

function inPowers(value) {
  const [digits, power] = value.toExponential(1).split("e");
  return `${digits} · 10${[...String(Number(power))].map(raised).join("")}`;
}
