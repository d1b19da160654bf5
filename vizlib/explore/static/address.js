// The address of a page: where you stand, in words that can be sent to somebody else.

export class Address {
  constructor(state, actions) {
    Object.assign(this, { state, actions });
  }

  follow() {
    const opened = wordsOf(this.state);
    const read = () => this.goTo(location.hash ? new URLSearchParams(location.hash.slice(1)) : opened);
    addEventListener("hashchange", read);
    if (location.hash) read();
    this.actions.tell = () => this.tell();
    return () => removeEventListener("hashchange", read);
  }

  tell() {
    const text = `#${wordsOf(this.state)}`;
    if (location.hash !== text) history.replaceState(null, "", text);
  }

  // What an address says wrongly is left out.
  goTo(words) {
    const { names, images, place, data } = this.state,
      to = {};
    if (names.includes(words.get("layer"))) to.layer = words.get("layer");
    if (/^\d+$/.test(words.get("channel") ?? "")) to.channel = Number(words.get("channel"));
    if (/^\d+,\d+$/.test(words.get("pixel") ?? "")) to.spot = words.get("pixel").split(",").map(Number);
    const image = Number(words.get("image") ?? "none");
    if (image < images.count && image !== place.image) this.actions.showImage(image);
    const epoch = data.epochs?.indexOf(words.get("epoch")) ?? -1;
    if (epoch >= 0 && epoch !== place.epoch) this.actions.showEpoch(epoch);
    this.actions.go(to);
  }
}

function wordsOf({ place: { epoch, layer, channel, image, spot }, data: { epochs } }) {
  const past = epochs ? { epoch: epochs[epoch] } : {};
  const words = { ...past, layer, channel, ...(image === null ? {} : { image }) };
  if (spot) words.pixel = spot.join(",");
  return new URLSearchParams(words);
}
