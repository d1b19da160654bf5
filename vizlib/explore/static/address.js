// The address of the page: where you stand, in words that can be sent to somebody else.

export function addressOf({ layer, channel, image, spot }) {
  const words = { layer, channel, ...(image === null ? {} : { image }) };
  if (spot) words.pixel = spot.join(",");
  return `#${new URLSearchParams(words)}`;
}

// What an address says of a place; what it says wrongly is left out.
export function placeOf(words, { names, images }) {
  const to = {};
  if (names.includes(words.get("layer"))) to.layer = words.get("layer");
  for (const name of ["channel", "image"])
    if (/^\d+$/.test(words.get(name) ?? "")) to[name] = Number(words.get(name));
  if (/^\d+,\d+$/.test(words.get("pixel") ?? "")) to.spot = words.get("pixel").split(",").map(Number);
  if (to.image >= images.inputs.length) delete to.image;
  return to;
}

// The words of an address; of none, the place where the page opens.
export const wordsOf = (address, place) =>
  address ? new URLSearchParams(address.slice(1)) : new Map(Object.entries(place));
