// The page held against PyTorch: the largest difference between the answers of both.

export async function difference(state) {
  const { images, network, data, fed, isPage, sets, thread } = state;
  if (fed) return `${isPage ? "What was recorded is shown here" : "Computed by the kernel"}: ${data.why}.`;
  const { expected } = images,
    count = expected.length / sets.length;
  let largest = 0;
  for (const [i, values] of expected.entries()) {
    const tensors = sets[Math.floor(i / count)],
      image = images.input(i % count);
    const made = await thread.answer("check", { tensors, image, changes: {} });
    largest = Math.max(largest, farApart(made[network.output].values, values));
  }
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
