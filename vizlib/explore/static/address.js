// The address of a page: where you stand, in words that can be sent to somebody else.

export class Address {
  constructor(state, actions) {
    Object.assign(this, { state, actions });
  }

  follow() {
    const opened = wordsOf(this.state.place);
    const read = () => this.goTo(location.hash ? new URLSearchParams(location.hash.slice(1)) : opened);
    addEventListener("hashchange", read);
    if (location.hash) read();
    this.actions.tell = () => this.tell();
    return () => removeEventListener("hashchange", read);
  }

  tell() {
    const text = `#${wordsOf(this.state.place)}`;
    if (location.hash !== text) history.replaceState(null, "", text);
  }

  // What an address says wrongly is left out.
  goTo(words) {
    const { names, images, place } = this.state,
      to = {};
    if (names.includes(words.get("layer"))) to.layer = words.get("layer");
    if (/^\d+$/.test(words.get("channel") ?? "")) to.channel = Number(words.get("channel"));
    if (/^\d+,\d+$/.test(words.get("pixel") ?? "")) to.spot = words.get("pixel").split(",").map(Number);
    const image = Number(words.get("image") ?? "none");
    if (image < images.count && image !== place.image) this.actions.showImage(image);
    this.actions.go(to);
  }
}

function wordsOf({ layer, channel, image, spot }) {
  const words = { layer, channel, ...(image === null ? {} : { image }) };
  if (spot) words.pixel = spot.join(",");
  return new URLSearchParams(words);
}
