// What the browser holds: every map that it has seen, and those that it is likely to need next.

const KEEP = 64 << 20; // bytes
const BATCH = 4 << 20; // bytes in one answer of the kernel
const NEAR = 24; // images fetched ahead, to either side of the current one

class Store {
  constructor(model) {
    this.model = model;
    this.stages = model.get("stages").map((stage) => {
      const [count, height = 1, width = 1] = stage.shape;
      return { ...stage, count, height, width, vector: height * width === 1 };
    });
    this.palette = packedPalette(bytes(model.get("palette")));
    this.scenes = new Map(); // image → what is the same for all of its layers
    this.layers = new Map(); // "image/layer" → { values, all }, the least recently seen first
    this.bytes = 0;
    this.waiting = false;
    this.arrived = new Set(); // called whenever something new is here
    this.open();
    model.on("change:packets", () => {
      this.open();
      this.tell();
    });
    model.on("msg:custom", (content, buffers) => this.receive(content, buffers));
  }

  open() {
    for (const packet of this.model.get("packets")) {
      // Layers that did not come along are those of an image that is no more.
      this.stages.forEach((_, layer) => this.drop(`${packet.image}/${layer}`));
      this.keep(packet, packet.buffers);
    }
  }

  receive(content, buffers) {
    this.waiting = false;
    if (content.error) this.error = content.error;
    else this.keep(content, buffers);
    this.tell();
  }

  tell() {
    for (const told of this.arrived) told();
  }

  keep(packet, [picture, probabilities, ...maps]) {
    const scene = { pixels: bytes(picture), probabilities: floats(probabilities) };
    this.scenes.set(packet.image, { ...packet, ...scene });
    packet.layers.forEach((layer, i) => {
      const values = floats(maps[i]);
      this.drop(`${packet.image}/${layer}`);
      this.layers.set(`${packet.image}/${layer}`, { values, all: statistics(values) });
      this.bytes += values.byteLength;
    });
    for (const key of this.layers.keys()) {
      if (this.bytes <= KEEP + BATCH || this.layers.size === 1) break;
      this.drop(key);
    }
  }

  drop(key) {
    this.bytes -= this.layers.get(key)?.values.byteLength ?? 0;
    this.layers.delete(key);
  }

  get(image, layer) {
    const key = `${image}/${layer}`, found = this.layers.get(key);
    if (found) {
      this.layers.delete(key);
      this.layers.set(key, found);
    }
    return found;
  }

  size(layer) {
    const { count, height, width } = this.stages[layer];
    return 4 * count * height * width;
  }

  // One question at a time: what is looked at, then its image's other layers, then its neighbours.
  fetch() {
    if (this.waiting || this.error) return;
    const image = this.model.get("image"), layer = this.model.get("layer");
    const seen = [image, this.model.get("beside") - 1].filter((one) => one >= 0);
    const isUrgent = seen.some((one) => !this.layers.has(`${one}/${layer}`));
    for (const other of new Set([...seen, ...around(image, this.model.get("images"))])) {
      const order = this.stages.map((_, i) => (layer + i) % this.stages.length);
      const missing = order.filter((one) => !this.stages[one].says && !this.layers.has(`${other}/${one}`));
      if (!missing.length) continue;
      const layers = batch(missing, (one) => this.size(one));
      const bytes = layers.reduce((sum, one) => sum + this.size(one), 0);
      if (!isUrgent && this.bytes + bytes > KEEP) return;
      this.waiting = tell(() => this.model.send({ image: other, layers }));
      this.gone = !this.waiting;
      return;
    }
  }
}

export function around(image, count) {
  const order = [image];
  for (let step = 1; step <= NEAR; step++) order.push(image + step, image - step);
  return order.filter((one) => one >= 0 && one < count);
}

export function batch(layers, size) {
  let total = 0;
  return layers.filter((layer, i) => (total += size(layer)) <= BATCH || i === 0);
}
