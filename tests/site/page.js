// A view tells how high it is; a question says what the notebook would say.

window.addEventListener("message", ({ source, data }) => {
  for (const frame of document.querySelectorAll("iframe"))
    if (frame.contentWindow === source && data.height > 0) frame.style.height = `${data.height}px`;
});

const spoken = text => String(text).trim().toLowerCase();
const numbers = text => (String(text).replaceAll("−", "-").match(/-?\d+(\.\d+)?/g) ?? []).map(Number);
// Whole numbers must be met exactly, others up to one part in two hundred.
const near = (given, right) =>
  Math.abs(given - right) <= (Number.isInteger(right) ? 0 : Math.abs(right) / 200);

function means(given, right) {
  if (typeof right === "string") return spoken(given) === spoken(right);
  const wanted = [right].flat(Infinity), found = numbers(given);
  return found.length === wanted.length && wanted.every((each, i) => near(found[i], each));
}

// The right number with too few decimals, but with two digits at least.
function isRounded(given, right) {
  const decimals = given.trim().split(".")[1]?.length ?? 0, [number] = numbers(given);
  if (!Number.isFinite(right) || Number.isInteger(right) || Math.abs(number) * 10 ** decimals < 10)
    return false;
  return number === Number(right.toFixed(decimals));
}

function said(given, known, otherwise) {
  const found = known.find(([answer]) => means(given, answer));
  if (found) return found[1];
  return isRounded(given, known[0][0]) ? "Right, but give more decimals." : otherwise;
}

document.addEventListener("submit", event => {
  event.preventDefault();
  const form = event.target, given = event.submitter?.value || form.querySelector("input").value;
  const { said: known, otherwise } = form.dataset;
  form.querySelector("output").value = said(given, JSON.parse(known), otherwise);
});
