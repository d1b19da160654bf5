// The view: whatever changes, the picture is painted anew in the next frame.

const ANSWER = 160, LEGEND = 78, GUTTER = 20, INPUT = 112, FOOT = 22; // CSS pixels
const SMALLEST = 140; // the chosen map; the mosaic is a quarter wider
const AROUND = 454; // what a window's height holds besides: the page's bars, sliders, names, numbers

function describe(store, { image, layer, channel, scale: wanted }) {
  const stage = store.stages[layer], held = store.get(image, layer), scene = store.scenes.get(image);
  const size = stage.height * stage.width, scale = stage.vector ? Math.max(1, wanted) : wanted;
  const part = (i) => held.values.subarray(i * size, (i + 1) * size);
  const shared = (scale === 2 ? scene.peak : held.all.peak) || 1;
  const limitOf = (i) => (scale === 0 ? statistics(part(i)).peak || 1 : shared);
  return {
    image, stage, channel, scale, scene, limitOf, limit: limitOf(channel),
    unit: stage.vector ? "unit" : "channel", all: held.values, values: part(channel),
    layer: held.all, peak: held.all.peak, colours: store.palette,
  };
}

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

function paintAll(context, view, { side, broad }) {
  const { pixel, stage } = view, height = pixel(side);
  const first = pixel(ANSWER + GUTTER), second = pixel(ANSWER + 2 * GUTTER + broad);
  const legend = second + pixel(side + GUTTER / 2);
  paintInput(context, view, pixel(INPUT));
  if (stage.vector) {
    paintLegend(context, view, legend, height - pixel(FOOT));
    return paintBars(context, view, first, [second + height - first, height - pixel(FOOT)]);
  }
  paintLegend(context, view, legend, height);
  paintLarge(context, view, second, height);
  return paintMosaic(context, view, first, [pixel(broad), height]);
}

function render(store, { model, el }) {
  const parts = build(el), { canvas, root, captions } = parts;
  let width = 0, asked = 0, hit = () => null, painted = {}, unmend;

  const change = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };

  // Coloured anew for another layer, image or scale, not for another channel.
  const pictureOf = (view) => {
    if (painted.all !== view.all || painted.scale !== view.scale) {
      const picture = view.stage.vector ? null : atlas(view.all, view.stage, view.limitOf, view.colours);
      painted = { all: view.all, scale: view.scale, picture };
    }
    return painted.picture;
  };

  const paint = () => {
    asked = 0;
    nameSliders(el.closest(".vizlib"));
    store.fetch();
    const place = Object.fromEntries(Object.keys(handlers).map((name) => [name, model.get(name)]));
    const { image, layer } = place;
    fillStrip(parts.strip, store.stages, layer, width, (chosen) => change("layer", chosen));
    const isHere = store.layers.has(`${image}/${layer}`);
    root.setAttribute("aria-busy", String(!isHere));
    if (!isHere) return put(captions.children[1], store.error ?? "on its way …");
    const sizes = measure(width), style = getComputedStyle(root);
    const colour = { ink: style.color, line: style.getPropertyValue("--line"), font: style.fontFamily };
    const view = { ...describe(store, place), pixel: sizes.pixel, colour };
    view.picture = pictureOf(view);
    hit = paintAll(fit(parts, sizes), view, sizes);
    canvas.setAttribute("aria-label", spoken(view));
    fillCaptions(captions, view);
    fillNumbers(parts.body, view);
    fillAnswer(parts, view.scene, model.get("labels")[image]);
  };

  const soon = () => (asked ||= requestAnimationFrame(paint));

  // The slider's range follows the layer; a channel that the layer lacks becomes its last one.
  const follow = () => {
    const last = store.stages[model.get("layer")].count - 1;
    if (model.get("channel") > last) model.set("channel", last);
    change("last_channel", last);
    soon();
  };

  const handlers = { image: soon, layer: follow, channel: soon, scale: soon };
  for (const [name, handler] of Object.entries(handlers)) model.on(`change:${name}`, handler);
  store.arrived.add(soon);
  canvas.onclick = (event) => {
    const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
    const channel = hit((event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio);
    if (channel !== null) change("channel", channel);
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
