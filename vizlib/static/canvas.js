// The picture of an explorer: every map of a layer as one mosaic, the chosen one large beside it,
// the input and the probabilities. It holds the maps, so a slider that moves asks nobody.

// What is kept and fetched ahead, in bytes, and how many digits to either side of the current one.
const KEEP = 64 << 20;
const BATCH = 4 << 20;
const NEAR = 24;

// Sizes in CSS pixels.
const ANSWER = 160, LEGEND = 78, GUTTER = 20, INPUT = 112, SMALLEST = 140, LARGEST = 266;
const SCALES = ["per map", "per layer", "whole network"];
const NOT_A_NUMBER = 255; // the palette's last entry, behind its 255 colours

// --- Numbers -------------------------------------------------------------------------------

export function statistics(values) {
  let min = Infinity, max = -Infinity, sum = 0, zeros = 0, peak = 0, lost = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value < min) min = value;
    if (value > max) max = value;
    if (value === 0) zeros++;
    const size = Math.abs(value);
    if (size > peak && size < Infinity) peak = size;
    if (value !== value) lost++;
    sum += value;
  }
  if (lost) min = max = NaN;
  return { min, max, mean: sum / values.length, zeros: zeros / values.length, peak };
}

// As many decimals for all numbers of a layer, so that none jumps while the slider moves.
export function written(value, peak) {
  if (!Number.isFinite(value)) return String(value).replace("-", "−");
  if (peak > 0 && (peak < 0.01 || peak >= 1e5)) return value.toExponential(2).replaceAll("-", "−");
  const text = value.toFixed(peak >= 1000 ? 0 : peak >= 100 ? 1 : peak >= 10 ? 2 : 3);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

// Zero falls on the middle one of 255 colours, which is white.
export function shade(value, limit) {
  if (value !== value) return NOT_A_NUMBER;
  const place = Math.floor((value / limit + 1) * 127.5);
  return place < 0 ? 0 : place > 254 ? 254 : place;
}

const floats = (view) =>
  new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();

// --- What the browser holds ----------------------------------------------------------------

class Store {
  constructor(model) {
    this.model = model;
    this.stages = model.get("stages").map((stage) => {
      const [count, height = 1, width = 1] = stage.shape;
      return { ...stage, count, height, width, vector: height * width === 1 };
    });
    this.palette = palette(bytes(model.get("palette")));
    this.scenes = new Map(); // digit → what is the same for all of its layers
    this.layers = new Map(); // "digit/layer" → { values, statistics }, least recently seen first
    this.bytes = 0;
    this.waiting = false;
    this.arrived = new Set();
    for (const packet of model.get("packets")) this.keep(packet, packet.buffers);
    model.on("msg:custom", (content, buffers) => this.receive(content, buffers));
  }

  receive(content, buffers) {
    this.waiting = false;
    if (content.error) this.error = content.error;
    else this.keep(content, buffers);
    for (const tell of this.arrived) tell();
  }

  keep(packet, [picture, probabilities, ...maps]) {
    this.scenes.set(packet.digit, {
      ...packet, pixels: bytes(picture), probabilities: floats(probabilities),
    });
    packet.layers.forEach((layer, i) => {
      const values = floats(maps[i]);
      this.layers.set(`${packet.digit}/${layer}`, { values, all: statistics(values) });
      this.bytes += values.byteLength;
    });
    for (const [key, { values }] of this.layers) {
      if (this.bytes <= KEEP + BATCH || this.layers.size === 1) break;
      this.layers.delete(key);
      this.bytes -= values.byteLength;
    }
  }

  get(digit, layer) {
    const key = `${digit}/${layer}`, found = this.layers.get(key);
    if (found) {
      this.layers.delete(key);
      this.layers.set(key, found);
    }
    return found;
  }

  missing(digit, first) {
    const order = this.stages.map((_, i) => (first + i) % this.stages.length);
    return order.filter((layer) => !this.layers.has(`${digit}/${layer}`));
  }

  size(layer) {
    const { count, height, width } = this.stages[layer];
    return 4 * count * height * width;
  }

  // The current picture first, then its digit's other layers, then the digits around it.
  fetch() {
    if (this.waiting || this.error) return;
    const digit = this.model.get("digit"), layer = this.model.get("layer");
    const urgent = !this.layers.has(`${digit}/${layer}`);
    for (const other of around(digit, this.model.get("digits"))) {
      const missing = this.missing(other, layer);
      if (!missing.length) continue;
      const layers = batch(missing, (one) => this.size(one));
      const bytes = layers.reduce((sum, one) => sum + this.size(one), 0);
      if (!urgent && this.bytes + bytes > KEEP) return;
      this.waiting = true;
      this.model.send({ digit: other, layers });
      return;
    }
  }
}

export function around(digit, count) {
  const order = [digit];
  for (let step = 1; step <= NEAR; step++) order.push(digit + step, digit - step);
  return order.filter((one) => one >= 0 && one < count);
}

export function batch(layers, size) {
  let total = 0;
  return layers.filter((layer, i) => (total += size(layer)) <= BATCH || i === 0);
}

function palette(colours) {
  const packed = new Uint32Array(256);
  const pack = (r, g, b) => (255 << 24) | (b << 16) | (g << 8) | r;
  for (let i = 0; i < 255; i++) packed[i] = pack(...colours.subarray(3 * i, 3 * i + 3));
  packed[NOT_A_NUMBER] = pack(128, 128, 128);
  return packed;
}

const css = (packed) => `rgb(${packed & 255} ${(packed >> 8) & 255} ${(packed >> 16) & 255})`;
const isDark = (shade) => shade < 64 || (shade > 190 && shade < NOT_A_NUMBER);

// --- Painting ------------------------------------------------------------------------------

// Two small maps side by side grow by a whole number; one too large shrinks by a whole number.
export function zoom(height, width, box) {
  const scale = Math.floor(box / Math.max(height, width));
  return scale >= 1 ? scale : 1 / Math.ceil(Math.max(height, width) / box);
}

export function grid(count, height, width, [boxWidth, boxHeight], gap) {
  const columns = Math.ceil(Math.sqrt(count)), rows = Math.ceil(count / columns);
  const scale = Math.min(
    zoom(1, width, (boxWidth - gap * (columns + 1)) / columns),
    zoom(height, 1, (boxHeight - gap * (rows + 1)) / rows),
  );
  return { columns, rows, scale, gap, tile: [Math.floor(width * scale), Math.floor(height * scale)] };
}

function image(width, height, fill) {
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d");
  const data = context.createImageData(width, height);
  fill(new Uint32Array(data.data.buffer));
  context.putImageData(data, 0, 0);
  return canvas;
}

// All maps of a layer as one array, coloured once; a new channel only frames another part of it.
function atlas({ values }, { count, height, width }, limits, colours) {
  const columns = Math.ceil(Math.sqrt(count)), rows = Math.ceil(count / columns);
  const size = height * width, line = columns * width;
  return image(line, rows * height, (pixels) => {
    for (let channel = 0; channel < count; channel++) {
      const limit = limits(channel);
      const corner = Math.floor(channel / columns) * height * line + (channel % columns) * width;
      for (let i = 0; i < size; i++) {
        const at = corner + Math.floor(i / width) * line + (i % width);
        pixels[at] = colours[shade(values[channel * size + i], limit)];
      }
    }
  });
}

function frame(context, x, y, width, height, line, colour) {
  context.lineWidth = line;
  context.strokeStyle = colour;
  context.strokeRect(x - line / 2, y - line / 2, width + line, height + line);
}

function paintMosaic(context, view, x, box) {
  const { stage, picture, pixel, colour, channel } = view;
  const { columns, scale, gap, tile } = grid(stage.count, stage.height, stage.width, box, pixel(4));
  const step = [tile[0] + gap, tile[1] + gap];
  for (let i = 0; i < stage.count; i++) {
    const column = i % columns, row = Math.floor(i / columns);
    const at = [x + gap + column * step[0], gap + row * step[1]];
    context.drawImage(picture, column * stage.width, row * stage.height, stage.width, stage.height,
      ...at, ...tile);
    if (scale >= 1) frame(context, ...at, ...tile, pixel(1), colour.line);
  }
  const place = [channel % columns, Math.floor(channel / columns)];
  frame(context, x + gap + place[0] * step[0], gap + place[1] * step[1], ...tile, pixel(4), colour.ink);
  return (px, py) => {
    const column = Math.floor((px - x) / step[0]), row = Math.floor(py / step[1]);
    const hit = row * columns + column;
    return column >= 0 && column < columns && hit >= 0 && hit < stage.count ? hit : null;
  };
}

function paintLarge(context, view, x, box) {
  const { stage, picture, pixel, colour, channel, values, limit, peak } = view;
  const scale = zoom(stage.height, stage.width, box - pixel(2));
  const columns = Math.ceil(Math.sqrt(stage.count)), edge = pixel(1);
  const size = [Math.floor(stage.width * scale), Math.floor(stage.height * scale)];
  context.drawImage(picture, (channel % columns) * stage.width,
    Math.floor(channel / columns) * stage.height, stage.width, stage.height,
    x + edge, edge, ...size);
  frame(context, x + edge, edge, ...size, edge, colour.line);
  if (scale < pixel(30)) return;
  context.font = `${Math.min(pixel(15), scale * 0.36)}px ${colour.font}`;
  context.textAlign = "center";
  values.forEach((value, i) => {
    context.fillStyle = isDark(shade(value, limit)) ? "#fff" : "#1a1a1a";
    context.fillText(written(value, peak * 10), x + edge + ((i % stage.width) + 0.5) * scale,
      edge + (Math.floor(i / stage.width) + 0.5) * scale);
  });
}

// A vector has no rows and columns: each value is a bar up or down from zero.
function paintBars(context, view, x, width, height) {
  const { stage, pixel, colour, channel, all, limit, colours, peak } = view;
  const foot = pixel(22), middle = (height - foot) / 2, room = middle - pixel(24);
  const step = width / stage.count, bar = Math.max(1, Math.floor(step * 0.8));
  const few = step >= pixel(30);
  context.fillStyle = "#fff";
  context.fillRect(x, 1, width, height - foot);
  frame(context, x + 1, 1, width - 2, height - foot - 1, 1, colour.line);
  context.textAlign = "center";
  context.font = `${pixel(13)}px ${colour.font}`;
  all.forEach((value, i) => {
    const left = Math.round(x + i * step + (step - bar) / 2);
    const length = Math.max(-1, Math.min(1, value / limit)) * room || 0;
    const chosen = i === channel;
    if (chosen) {
      context.fillStyle = "#e3e6eb";
      context.fillRect(Math.min(left, left + bar / 2 - pixel(2)), 2, Math.max(bar, pixel(4)), height - foot - 3);
    }
    context.fillStyle = css(colours[shade(value, limit)]);
    context.fillRect(left, middle - Math.max(length, 0), bar, Math.abs(length));
    if (bar >= pixel(4)) {
      context.strokeStyle = "#6b6b6b";
      context.lineWidth = pixel(1);
      context.strokeRect(left, middle - Math.max(length, 0), bar, Math.abs(length));
    }
    const centre = Math.min(Math.max(left + bar / 2, x + pixel(24)), x + width - pixel(24));
    if (few || chosen) {
      context.fillStyle = "#1a1a1a";
      const below = value < 0 ? pixel(11) : -pixel(9);
      context.fillText(written(value, peak * 10), few ? left + bar / 2 : centre, middle - length + below);
      context.fillStyle = colour.ink;
      context.fillText(i, left + bar / 2, height - foot / 2 + pixel(1));
    }
  });
  context.fillStyle = "#1a1a1a";
  context.fillRect(x, middle, width, 1);
  return (px, py) => {
    const hit = Math.floor((px - x) / step);
    return hit >= 0 && hit < stage.count && py < height ? hit : null;
  };
}

// The bar is coloured by the very function, with the very limit, that colours the maps.
function paintLegend(context, view, x, height) {
  const { pixel, colour, colours, limit } = view, width = pixel(16), top = pixel(1);
  const bar = height - 2 * top;
  for (let y = 0; y < bar; y++) {
    context.fillStyle = css(colours[shade(limit * (1 - (2 * y + 1) / bar), limit)]);
    context.fillRect(x, top + y, width, 1);
  }
  frame(context, x, top, width, bar, pixel(1), colour.line);
  context.fillStyle = colour.ink;
  context.textAlign = "left";
  context.font = `${pixel(13)}px ${colour.font}`;
  [1, 0.5, 0, -0.5, -1].forEach((part) => {
    const y = top + (bar * (1 - part)) / 2;
    const inside = Math.min(Math.max(y, pixel(8)), height - pixel(8));
    context.fillText(written(part * limit, limit), x + width + pixel(6), inside);
  });
}

function paintInput(context, view) {
  const { pixel, colour, scene } = view, [height, width, depth] = scene.picture;
  const edge = pixel(1), scale = zoom(height, width, pixel(INPUT));
  const of = (at, part) => scene.pixels[at * depth + Math.min(part, depth - 1)];
  const picture = image(width, height, (pixels) => {
    for (let i = 0; i < pixels.length; i++) {
      pixels[i] = (255 << 24) | (of(i, 2) << 16) | (of(i, 1) << 8) | of(i, 0);
    }
  });
  const size = [Math.floor(width * scale), Math.floor(height * scale)];
  context.drawImage(picture, edge, edge, ...size);
  frame(context, edge, edge, ...size, edge, colour.line);
}

// --- Words and numbers around the canvas ---------------------------------------------------

function element(tag, name, ...children) {
  const made = document.createElement(tag);
  made.className = name;
  made.append(...children);
  return made;
}

function put(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

// Where a network has too many layers for their names, those around the current one show.
export function shownLayers(count, current, room) {
  const shown = Math.max(1, Math.min(count, room));
  const first = Math.max(0, Math.min(count - shown, current - Math.floor(shown / 2)));
  return [first, first + shown];
}

function fillStrip(strip, stages, current, width, choose) {
  const letters = Math.max(...stages.map((s) => Math.max(s.name.length, s.shape.join("×").length)));
  const [first, last] = shownLayers(stages.length, current, Math.floor(width / (letters * 7 + 12)));
  const key = `${first}-${last}`;
  if (strip.dataset.shown !== key) {
    strip.dataset.shown = key;
    strip.replaceChildren(...stages.slice(first, last).map((stage, i) => {
      const item = element("li", "", element("b", "", stage.name),
        element("span", "", stage.shape.join("×")));
      item.title = `${stage.name}: ${stage.kind}`;
      item.onclick = () => choose(first + i);
      return item;
    }));
    strip.classList.toggle("more-before", first > 0);
    strip.classList.toggle("more-after", last < stages.length);
  }
  [...strip.children].forEach((item, i) => {
    if (first + i === current) item.setAttribute("aria-current", "true");
    else item.removeAttribute("aria-current");
  });
}

function fillAnswer(answer, { classes, probabilities }, label) {
  while (answer.children.length > classes.length) answer.lastChild.remove();
  while (answer.children.length < classes.length) {
    answer.append(element("li", "", element("b", ""), element("i", ""), element("span", "")));
  }
  const winner = probabilities.indexOf(Math.max(...probabilities));
  classes.forEach((name, i) => {
    const row = answer.children[i];
    put(row.children[0], `P${name}`);
    row.children[1].style.setProperty("--part", probabilities[i] || 0);
    put(row.children[2], probabilities[i].toFixed(3));
    row.classList.toggle("winner", i === winner);
    row.classList.toggle("label", name === label);
  });
  return classes[winner];
}

function fillNumbers(body, view, layer) {
  const { stage, channel, all, values } = view;
  const rows = [
    [stage.name, stage.shape.join("×"), layer],
    [`${stage.vector ? "unit" : "channel"} ${channel}`,
      stage.vector ? "1" : `${stage.height}×${stage.width}`, statistics(values)],
  ];
  rows.forEach(([name, shape, { min, max, mean, zeros }], i) => {
    const numbers = [min, max, mean].map((value) => written(value, layer.peak));
    const cells = [name, shape, ...numbers, `${(100 * zeros).toFixed(1)} %`];
    cells.forEach((text, j) => put(body.rows[i].cells[j], text));
  });
}

function build(el) {
  const cell = (tag, text = "") => element(tag, "", text);
  const row = (tag, texts) => element("tr", "", cell("th", texts[0]), ...texts.slice(1).map((t) => cell(tag, t)));
  const parts = {
    strip: element("ol", "vizlib-strip"),
    captions: element("div", "vizlib-captions", ...Array.from({ length: 4 }, () => cell("span"))),
    canvas: document.createElement("canvas"),
    answer: element("ol", "vizlib-answer"),
    verdict: element("p", "vizlib-verdict"),
    body: element("tbody", "", row("td", Array(6).fill("")), row("td", Array(6).fill(""))),
  };
  parts.canvas.setAttribute("role", "img");
  parts.strip.setAttribute("aria-label", "layers of the network");
  parts.answer.setAttribute("aria-label", "probabilities");
  const head = element("thead", "", row("th", ["", "shape", "min", "max", "mean", "zeros"]));
  const left = element("div", "vizlib-left", parts.verdict, parts.answer);
  const table = element("table", "vizlib-numbers", head, parts.body);
  parts.root = element("div", "vizlib-canvas", parts.strip, parts.captions, parts.canvas, left, table);
  el.append(parts.root);
  return parts;
}

// ipywidgets gives its sliders no name that a screen reader could say.
function nameSliders(box) {
  for (const slider of box?.querySelectorAll(".widget-slider, .widget-hslider") ?? []) {
    const handle = slider.querySelector(".noUi-handle"), label = slider.querySelector("label");
    if (handle && label) handle.setAttribute("aria-label", label.textContent);
  }
}

// --- The view ------------------------------------------------------------------------------

function describe(model, store, { digit, layer, scale }) {
  const stage = store.stages[layer], held = store.get(digit, layer), scene = store.scenes.get(digit);
  const channel = Math.min(model.get("channel"), stage.count - 1);
  const size = stage.height * stage.width;
  const part = (i) => held.values.subarray(i * size, (i + 1) * size);
  const whole = (scale === 2 ? scene.peak : held.all.peak) || 1;
  const limits = (i) => (scale === 0 && !stage.vector ? statistics(part(i)).peak || 1 : whole);
  return {
    digit, layer, scale, stage, scene, channel, limits, held, all: held.values,
    values: part(channel), limit: limits(channel), peak: held.all.peak, colours: store.palette,
  };
}

function render(store, { model, el }) {
  const parts = build(el), { canvas, root } = parts;
  let width = 0, frameAsked = 0, hit = () => null, kept = {};

  const change = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };

  // The slider's range follows the layer; a channel that the layer lacks becomes its last one.
  const follow = () => {
    const last = store.stages[model.get("layer")].count - 1;
    if (model.get("channel") > last) model.set("channel", last);
    change("last_channel", last);
  };

  const measure = () => {
    const room = width - ANSWER - LEGEND - 2.5 * GUTTER, ratio = window.devicePixelRatio || 1;
    const side = Math.max(SMALLEST, Math.min(LARGEST, Math.floor(room * 0.444)));
    return { side, broad: Math.floor(side * 1.25), ratio, pixel: (size) => Math.round(size * ratio) };
  };

  const paint = () => {
    frameAsked = 0;
    const now = { digit: model.get("digit"), layer: model.get("layer"), scale: model.get("scale") };
    const ready = store.layers.has(`${now.digit}/${now.layer}`);
    root.setAttribute("aria-busy", String(!ready && !store.error));
    store.fetch();
    fillStrip(parts.strip, store.stages, now.layer, width, (layer) => change("layer", layer));
    if (!ready) return put(parts.captions.children[1], store.error ?? "on its way …");
    const { side, broad, ratio, pixel } = measure(), style = getComputedStyle(root);
    const colour = { ink: style.color, line: style.getPropertyValue("--line"), font: style.fontFamily };
    const view = { ...describe(model, store, now), pixel, colour };
    view.picture = picture(view);
    const total = ANSWER + broad + side + 2.5 * GUTTER + LEGEND;
    const size = [pixel(total), pixel(side)];
    if (canvas.width !== size[0]) canvas.width = size[0];
    if (canvas.height !== size[1]) canvas.height = size[1];
    canvas.style.width = `${size[0] / ratio}px`;
    root.style.setProperty("--side", `${side}px`);
    root.style.setProperty("--broad", `${broad}px`);
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, ...size);
    context.imageSmoothingEnabled = false;
    context.textBaseline = "middle";
    paintInput(context, view);
    const x = pixel(ANSWER + GUTTER), second = pixel(ANSWER + 2 * GUTTER + broad);
    hit = view.stage.vector
      ? paintBars(context, view, x, second + pixel(side) - x, pixel(side))
      : paintMosaic(context, view, x, [pixel(broad), pixel(side)]);
    if (!view.stage.vector) paintLarge(context, view, second, pixel(side));
    paintLegend(context, view, second + pixel(side + GUTTER / 2), pixel(side));
    tell(view);
  };

  // Coloured anew for another layer, digit or scale, not for another channel.
  const picture = (view) => {
    if (view.stage.vector) return null;
    if (kept.values !== view.held.values || kept.scale !== view.scale || kept.digit !== view.digit) {
      kept = { values: view.held.values, scale: view.scale, digit: view.digit,
        picture: atlas(view.held, view.stage, view.limits, store.palette) };
    }
    return kept.picture;
  };

  const tell = (view) => {
    const { stage, channel, digit, scale, limit } = view, label = model.get("labels")[digit];
    const unit = stage.vector ? "unit" : "channel";
    const words = [
      `image ${digit}`,
      stage.vector ? `${stage.name}: ${stage.count} values` : `${stage.name}: ${stage.count} maps`,
      stage.vector ? "" : `channel ${channel}`,
      SCALES[scale],
    ];
    words.forEach((text, i) => put(parts.captions.children[i], text));
    fillNumbers(parts.body, view, view.held.all);
    const reads = view.scene.classes.length ? fillAnswer(parts.answer, view.scene, label) : undefined;
    const verdict = [reads === undefined ? "" : `read as ${reads}`, label === undefined ? "" : `labelled ${label}`];
    put(parts.verdict, verdict.filter(Boolean).join(", "));
    const extent = written(limit, limit);
    canvas.setAttribute("aria-label",
      `image ${digit}, layer ${stage.name}, ${unit} ${channel} of ${stage.count}, ` +
      `shape ${stage.shape.join("×")}, colours from −${extent} to ${extent}, ${SCALES[scale]}`);
  };

  const soon = () => (frameAsked ||= requestAnimationFrame(paint));
  const moved = () => (follow(), soon());
  const names = ["digit", "channel", "scale"].map((name) => `change:${name}`);
  names.forEach((name) => model.on(name, soon));
  model.on("change:layer", moved);
  store.arrived.add(soon);
  canvas.onclick = (event) => {
    const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
    const channel = hit((event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio);
    if (channel !== null) change("channel", channel);
  };
  const resized = new ResizeObserver(([entry]) => {
    width = entry.contentRect.width;
    nameSliders(el.closest(".vizlib"));
    soon();
  });
  resized.observe(el);
  const themed = new MutationObserver(soon);
  themed.observe(document.body, { attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class"] });
  follow();
  return () => {
    [resized, themed].forEach((observer) => observer.disconnect());
    names.forEach((name) => model.off(name, soon));
    model.off("change:layer", moved);
    store.arrived.delete(soon);
  };
}

export default () => {
  let store;
  return {
    initialize: ({ model }) => void (store = new Store(model)),
    render: (view) => render(store, view),
  };
};
