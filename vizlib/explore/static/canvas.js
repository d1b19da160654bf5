// The view: whatever changes, the picture is painted anew in the next frame.

const ANSWER = 160, LEGEND = 78, GUTTER = 20, INPUT = 112, FOOT = 22; // CSS pixels
const SMALLEST = 140; // the chosen map; the mosaic is a quarter wider
const AROUND = 474; // what a window's height holds besides: the page's bars, sliders, names, numbers

function describe(store, { image, layer, channel, scale: wanted, pixel }, beside = null) {
  const stage = store.stages[layer], held = store.get(image, layer), scene = store.scenes.get(image);
  const size = stage.height * stage.width, scale = stage.vector ? Math.max(1, wanted) : wanted;
  const second = beside === null ? null : describe(store, { image: beside, layer, channel, scale: wanted, pixel });
  const part = (i) => held.values.subarray(i * size, (i + 1) * size);
  // Two images share one scale, or their colours could not be compared.
  const shared = (scale === 2 ? scene.peak : held.all.peak) || 1;
  const ownOf = (i) => (scale === 0 ? statistics(part(i)).peak || 1 : shared);
  const limitOf = (i) => Math.max(ownOf(i), second?.ownOf(i) ?? 0);
  const found = {
    image, stage, channel, scale, scene, ownOf, limitOf, limit: limitOf(channel),
    all: held.values, values: part(channel),
    layer: held.all, peak: held.all.peak, colours: store.palette, dead: deadOf(held, stage, part),
    cell: stage.vector || !pixel.length ? null : inside(pixel, stage), other: second,
  };
  if (second) Object.assign(second, { limitOf, limit: found.limit });
  return found;
}

function deadOf(held, stage, part) {
  if (stage.vector) return new Set();
  const isZero = (i) => part(i).every((value) => value === 0);
  return (held.dead ??= new Set([...Array(stage.count).keys()].filter(isZero)));
}

const inside = ([row, column], { height, width }) => [Math.min(row, height - 1), Math.min(column, width - 1)];

function measure(width) {
  const ratio = window.devicePixelRatio || 1, room = width - ANSWER - LEGEND - 2.5 * GUTTER;
  const side = Math.max(SMALLEST, Math.min(window.innerHeight - AROUND, Math.floor(room * 0.444)));
  const broad = Math.floor(side * 1.25), total = ANSWER + broad + side + 2.5 * GUTTER + LEGEND;
  return { side, broad, total, ratio, pixel: (size) => Math.round(size * ratio) };
}

function fit({ root, canvas }, { side, broad, total, ratio, pixel }) {
  const size = [pixel(total), pixel(side)];
  // Setting a size, even the same one, empties a canvas and takes time.
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  canvas.style.width = `${size[0] / ratio}px`;
  root.style.setProperty("--side", `${side}px`);
  root.style.setProperty("--broad", `${broad}px`);
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, ...size);
  context.imageSmoothingEnabled = false;
  context.textBaseline = "middle";
  return context;
}

// Paints everything and returns what a point of the canvas shows: { channel }, { cell } or {}.
function paintAll(context, view, { side, broad }) {
  const { pixel, stage, other } = view, height = pixel(side);
  const first = pixel(ANSWER + GUTTER), second = pixel(ANSWER + 2 * GUTTER + broad);
  const legend = second + pixel(side + GUTTER / 2);
  paintInput(context, view, 0, pixel(other ? ANSWER / 2 - 4 : INPUT));
  if (other) paintInput(context, other, pixel(ANSWER / 2), pixel(ANSWER / 2 - 4));
  if (stage.vector) return paintVectors(context, view, first, [second + height - first, height], legend);
  paintLegend(context, view, legend, height);
  const large = paintLarge(context, other ?? view, second, height);
  const left = other ? paintLarge(context, view, first, height) : paintMosaic(context, view, first, [pixel(broad), height]);
  return (px, py) => {
    const cell = large(px, py) ?? (other ? left(px, py) : null);
    return cell ? { cell } : { channel: other ? null : left(px, py) };
  };
}

// A second image has its bars below those of the first.
function paintVectors(context, view, x, [width, height], legend) {
  const views = view.other ? [view, view.other] : [view], each = Math.floor(height / views.length);
  const size = [width, each - view.pixel(FOOT)], hits = views.map((one, i) => {
    context.save();
    context.translate(0, i * each);
    paintLegend(context, one, legend, size[1]);
    const hit = paintBars(context, one, x, size);
    context.restore();
    return hit;
  });
  return (px, py) => ({ channel: hits[Math.floor(py / each)]?.(px, py % each) ?? null });
}

const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function render(store, { model, el }) {
  const parts = build(el), { canvas, root, captions } = parts;
  let width = 0, asked = 0, painted, hit = () => ({}), unmend, now;

  const change = (name, value) => {
    model.set(name, value);
    tell(() => model.save_changes());
  };

  // Nobody answers any more: the sliders go back to what is painted.
  const stay = () => {
    for (const [name, value] of Object.entries(painted ?? {})) change(name, value);
    put(parts.status, GONE);
  };

  // Coloured anew for another layer, image or scale, not for another channel.
  const colouring = new Map();
  const pictureOf = (view, which) => {
    const known = colouring.get(which), end = view.scale === 0 ? view.other?.image : view.limit;
    if (known?.all === view.all && known.scale === view.scale && known.end === end) return known.picture;
    const picture = view.stage.vector ? null : atlas(view.all, view.stage, view.limitOf, view.colours);
    colouring.set(which, { all: view.all, scale: view.scale, end, picture });
    return picture;
  };

  const thumbs = new WeakMap();
  const paintThumbs = (image, items) => {
    for (const [layer, item] of items) {
      const held = store.layers.get(`${image}/${layer}`);
      if (!held || thumbs.get(item) === held) continue;
      thumbs.set(item, held);
      paintThumb(item, held, store.stages[layer], store.palette);
    }
  };

  const paint = () => {
    asked = 0;
    nameSliders(el.closest(".vizlib"));
    store.fetch();
    const place = Object.fromEntries(Object.keys(handlers).map((name) => [name, model.get(name)]));
    const { image, layer } = place, beside = place.beside - 1;
    paintThumbs(image, fillStrip(parts.strip, store.stages, layer, width, (chosen) => change("layer", chosen)));
    const missing = [image, beside].find((one) => one >= 0 && !store.layers.has(`${one}/${layer}`));
    const isComing = missing !== undefined && !store.stages[layer].says;
    mark(root, "aria-busy", isComing);
    if (missing !== undefined && !isComing) parts.canvas.width = 0;
    if (missing !== undefined) {
      if (store.gone) return stay();
      put(parts.status, store.stages[layer].says || store.error || "on its way …");
      for (const caption of captions.children) put(caption, "");
      for (const row of parts.body.rows) for (const cell of row.cells) put(cell, "");
      return undefined;
    }
    painted = place;
    const sizes = measure(width), style = getComputedStyle(root);
    const colour = { ink: style.color, line: style.getPropertyValue("--line"), font: style.fontFamily };
    const view = now = describe(store, place, beside >= 0 ? beside : null);
    for (const one of [view, view.other]) {
      if (one) Object.assign(one, { pixel: sizes.pixel, colour, picture: pictureOf(one, one === view) });
    }
    hit = paintAll(fit(parts, sizes), view, sizes);
    mark(canvas, "aria-label", spoken(view));
    put(parts.status, store.gone ? GONE : view.cell ? spokenCell(view, view.cell) : "");
    fillCaptions(captions, view);
    fillNumbers(parts.body, view);
    fillAnswer(parts, view.scene, model.get("labels")[image], model.get("classes"));
    return undefined;
  };

  const soon = () => (asked ||= requestAnimationFrame(paint));
  const atOnce = whenDone(() => {
    cancelAnimationFrame(asked);
    paint();
  });

  // The slider's range follows the layer; a channel that the layer lacks becomes its last one.
  const follow = () => {
    const last = store.stages[model.get("layer")].count - 1;
    if (model.get("channel") > last) model.set("channel", last);
    change("last_channel", last);
    atOnce();
  };

  const handlers = {
    image: atOnce, layer: follow, channel: atOnce, scale: atOnce, beside: atOnce, pixel: atOnce,
  };
  for (const [name, handler] of Object.entries(handlers)) model.on(`change:${name}`, handler);
  store.arrived.add(soon);
  const under = (event) => {
    const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
    return hit((event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio);
  };
  canvas.tabIndex = 0;
  canvas.onclick = (event) => {
    const { channel = null, cell } = under(event);
    if (channel !== null) change("channel", channel);
    if (cell) change("pixel", cell);
  };
  canvas.onpointermove = (event) => {
    const cell = under(event).cell ?? now?.cell;
    if (now) put(parts.status, cell ? spokenCell(now, cell) : "");
  };
  canvas.onpointerleave = soon;
  canvas.onkeydown = (event) => {
    if (!(event.key in ARROWS) || !now || now.stage.vector) return;
    const [down, right] = ARROWS[event.key], [row, column] = now.cell ?? [-down, -right];
    change("pixel", inside([Math.max(row + down, 0), Math.max(column + right, 0)], now.stage));
    event.preventDefault();
    event.stopPropagation();
  };
  const resized = new ResizeObserver(([entry]) => {
    width = entry.contentRect.width;
    unmend ??= mendEndKey(el.closest(".vizlib"), (name) => name === "channel" && change(name, model.get("last_channel")));
    soon();
  });
  resized.observe(el);
  const themed = new MutationObserver(soon);
  themed.observe(document.body, { attributes: true });
  follow();
  return () => {
    resized.disconnect();
    themed.disconnect();
    unmend?.();
    store.arrived.delete(soon);
    for (const [name, handler] of Object.entries(handlers)) model.off(`change:${name}`, handler);
  };
}

const widget = () => {
  let store;
  return {
    initialize: ({ model }) => void (store = new Store(model)),
    render: (view) => render(store, view),
  };
};
export default widget;
