// The view: whatever slides, the frame of that place is painted in the next frame of the screen.

const MOST = 48; // CSS pixels of a cell
const INTERVAL = 800; // ms between two steps of Play

function paintMaps(context, panel, { pixel, colour, colours }, cursor) {
  const [count, height, width] = panel.shape, stage = { count, height, width };
  const gap = count === 1 ? 0 : pixel(4), { columns, scale, tile } = layout(panel, pixel);
  const corner = (i) => [1 + gap + (i % columns) * (tile[0] + gap), 1 + gap + Math.floor(i / columns) * (tile[1] + gap)];
  if (gap) {
    context.fillStyle = BETWEEN;
    context.fillRect(0, 0, ...sizeOf(panel, pixel));
  }
  panel.picture ??= atlas(panel.values, stage, () => panel.limit, colours);
  for (let i = 0; i < count; i++) context.drawImage(panel.picture, ...source(i, stage), ...corner(i), ...tile);
  if (panel.chosen !== null && gap) frame(context, corner(panel.chosen), tile, gap, DARK);
  const first = corner(panel.chosen ?? 0);
  if (count === 1) {
    const known = panel.known ?? height * width;
    blank(context, panel, first, scale, known);
    frame(context, first, tile, 1, colour.line);
    hatch(context, panel, first, scale, pixel);
    const view = { width, values: panel.values.subarray(0, known), limit: panel.limit, pixel, colour };
    writeCells(context, view, first, scale);
  }
  for (const box of panel.boxes) outline(context, box, first, scale, pixel(3), DARK);
  if (cursor) outline(context, [cursor.row, cursor.column, 1, 1], corner(cursor.channel), scale, pixel(2), "#d55e00");
}

function paintPicture(context, panel, { pixel, colour }, cursor) {
  const [height, width, depth] = panel.shape, { scale, tile } = layout(panel, pixel);
  const part = (at, which) => panel.values[at * depth + Math.min(which, depth - 1)];
  panel.picture ??= image(width, height, (pixels) => {
    for (let i = 0; i < pixels.length; i++) {
      pixels[i] = (255 << 24) | (part(i, 2) << 16) | (part(i, 1) << 8) | part(i, 0);
    }
  });
  context.drawImage(panel.picture, 1, 1, ...tile);
  frame(context, [1, 1], tile, 1, colour.line);
  for (const box of panel.boxes) outline(context, box, [1, 1], scale, pixel(3), "#e69f00");
  if (cursor) outline(context, [cursor.row, cursor.column, 1, 1], [1, 1], scale, pixel(2), "#e69f00");
}

function layout(panel, pixel) {
  const [count, height, width] = panel.kind === "maps" ? panel.shape : [1, ...panel.shape];
  const wide = pixel(panel.width), gap = count === 1 ? 0 : pixel(4);
  const found = grid(count, height, width, [wide - 2, wide - 2], gap);
  const scale = Math.min(found.scale, pixel(MOST));
  return { ...found, scale, gap, tile: scaled(width, height, scale) };
}

function sizeOf(panel, pixel) {
  if (panel.kind === "lines") return [pixel(panel.width), pixel(panel.height)];
  const { columns, rows, tile, gap } = layout(panel, pixel);
  return [columns * (tile[0] + gap) + gap + 2, rows * (tile[1] + gap) + gap + 2];
}

function outline(context, [row, column, height, width], [x, y], scale, line, colour) {
  frame(context, [x + column * scale + line / 2, y + row * scale + line / 2],
    [width * scale - line, height * scale - line], line, colour);
}

// As on a blackboard: whole numbers stay whole, and a zero before the point is left out.
function inCell(value, places) {
  if (Number.isNaN(value)) return "";
  const text = signed(value.toFixed(places));
  return Number(value.toFixed(places)) === 0 ? "0" : text.replace(/^(−?)0\./, "$1.");
}

// The values in cells that are large enough, all with as many decimals as there is room for.
function writeCells(context, { width, values, limit, pixel, colour }, [x, y], scale) {
  if (scale < pixel(24)) return;
  const most = values.every(Number.isInteger) ? 0 : 2 - Math.floor(Math.log10(statistics(values).peak || 1));
  const fits = ([places, size]) => {
    context.font = `${Math.min(pixel(15), scale * size)}px ${colour.font}`;
    return places < 9 && values.every((value) => context.measureText(inCell(value, places)).width < scale * 0.92);
  };
  const [places] = [0.37, 0.29].flatMap((size) => [[most, size], [most - 1, size]])
    .map(([n, size]) => [Math.max(0, n), size]).find(fits) ?? [];
  if (places === undefined) return;
  values.forEach((value, i) => {
    const ink = isDark(shade(value, limit)) ? "#fff" : DARK;
    const [column, row] = [i % width, Math.floor(i / width)];
    write(context, inCell(value, places), x + (column + 0.5) * scale, y + (row + 0.5) * scale, ink);
  });
}

// Cells whose values are not there yet.
function blank(context, { shape: [, height, width] }, [x, y], scale, known) {
  context.fillStyle = BETWEEN;
  for (let i = known; i < height * width; i++) {
    context.fillRect(x + (i % width) * scale, y + Math.floor(i / width) * scale, scale, scale);
  }
}

// Padding is no value of the map: its cells are hatched.
function hatch(context, { shape: [, height, width], padding }, [x, y], scale, pixel) {
  const [top, left, bottom, right] = padding;
  if (!(top + left + bottom + right)) return;
  context.save();
  const whole = new Path2D(), [wide, high] = [width * scale, height * scale];
  whole.rect(x, y, wide, high);
  whole.rect(x + left * scale, y + top * scale, wide - (left + right) * scale, high - (top + bottom) * scale);
  context.clip(whole, "evenodd");
  context.strokeStyle = "#9aa3b0";
  context.lineWidth = pixel(1);
  for (let at = -high; at < wide; at += pixel(7)) stroke(context, [[x + at, y + high], [x + at + high, y]]);
  context.restore();
}

// Which cell a point of the canvas shows.
function cellAt(panel, pixel, px, py) {
  const { columns, scale, tile, gap } = layout(panel, pixel);
  const [count, height, width] = panel.kind === "maps" ? panel.shape : [1, ...panel.shape];
  const [column, row] = [(px - 1 - gap) / (tile[0] + gap), (py - 1 - gap) / (tile[1] + gap)].map(Math.floor);
  const inner = [px - 1 - gap - column * (tile[0] + gap), py - 1 - gap - row * (tile[1] + gap)];
  const cell = { channel: row * columns + column, row: Math.floor(inner[1] / scale), column: Math.floor(inner[0] / scale) };
  const isIn = column >= 0 && column < columns && cell.channel >= 0 && cell.channel < count &&
    cell.row >= 0 && cell.row < height && cell.column >= 0 && cell.column < width;
  return isIn ? cell : null;
}

function spokenPlace(panel, { channel, row, column }) {
  const [count, height, width] = panel.kind === "maps" ? panel.shape : [1, ...panel.shape];
  const at = (channel * height + row) * width + column, depth = panel.shape[2];
  const value = at >= (panel.known ?? Infinity) ? "not there yet"
    : panel.kind === "maps" ? written(panel.values[at], panel.limit)
    : [...panel.values.subarray(at * depth, (at + 1) * depth)].join(", ");
  const which = count > 1 ? `channel ${channel}, ` : "", name = panel.title ? `${panel.title}: ` : "";
  return `${name}${which}row ${row}, column ${column}: ${value}`;
}

const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function nextCell(panel, cell, key) {
  const [, height, width] = panel.kind === "maps" ? panel.shape : [1, ...panel.shape];
  const [down, right] = ARROWS[key], clamp = (value, last) => Math.min(Math.max(value, 0), last);
  if (!cell) return { channel: panel.chosen ?? 0, row: 0, column: 0 };
  return { ...cell, row: clamp(cell.row + down, height - 1), column: clamp(cell.column + right, width - 1) };
}

const GRAPHIC = { maps: paintMaps, picture: paintPicture, lines: paintLines };

// One panel: its caption, what it draws on, and what a pointer or the arrow keys find there.
function part(panel, { pick, say }) {
  const caption = element("figcaption", ""), root = element("figure", `vizlib-panel ${panel.kind}`, caption);
  const made = { root, caption, kind: panel.kind, cursor: null };
  if (panel.kind === "bars") root.append(made.list = element("ol", "vizlib-answer"));
  if (panel.kind === "words") root.append(made.text = element("pre", ""));
  if (!(panel.kind in GRAPHIC)) return made;
  const canvas = made.canvas = element("canvas", "");
  canvas.setAttribute("role", "img");
  root.append(canvas);
  if (panel.kind === "lines") return made;
  canvas.tabIndex = 0;
  const read = (cell) => {
    made.cursor = cell;
    made.paint();
    say(cell ? spokenPlace(made.panel, cell) : "");
  };
  // Another frame has other values under a pointer that stays, or none at all.
  made.reread = () => {
    if (!made.cursor) return;
    const [count, height, width] = made.kind === "maps" ? made.panel.shape : [1, ...made.panel.shape];
    const { channel, row, column } = made.cursor;
    read(channel < count && row < height && column < width ? made.cursor : null);
  };
  const under = (event) => {
    const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
    return cellAt(made.panel, made.look.pixel, (event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio);
  };
  canvas.onpointermove = (event) => read(under(event));
  canvas.onpointerleave = () => read(null);
  canvas.onblur = () => read(null);
  canvas.onclick = (event) => under(event) && pick(made.panel, under(event));
  canvas.onkeydown = (event) => {
    if (event.key in ARROWS) read(nextCell(made.panel, made.cursor, event.key));
    else if (event.key === "Enter" && made.cursor) pick(made.panel, made.cursor);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return made;
}

function show(made, panel, look) {
  made.panel = panel;
  made.look = look;
  put(made.caption, panel.title);
  made.root.dataset.before = panel.before;
  if (panel.kind === "words") {
    made.root.style.flex = panel.width ? `1 1 ${panel.width}px` : "";
    return put(made.text, panel.lines.join("\n"));
  }
  if (panel.kind === "bars") made.root.style.width = `${panel.width}px`;
  if (panel.kind === "bars") return fillBars(made.list, panel.names, panel.values, panel.label[0]);
  const { canvas } = made, size = sizeOf(panel, look.pixel);
  made.paint = () => {
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    canvas.style.width = `${size[0] / look.ratio}px`;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, ...size);
    context.imageSmoothingEnabled = false;
    context.textBaseline = "middle";
    GRAPHIC[panel.kind](context, panel, look, panel.kind === "lines" ? size : made.cursor);
  };
  made.paint();
  const shape = panel.shape ? `, ${panel.shape.join("×")}` : `: ${panel.names.join(", ")}`;
  const keys = panel.kind === "lines" ? "" : "; the arrow keys read its values";
  canvas.setAttribute("aria-label", `${panel.title || panel.kind}${shape}${keys}`);
}

// Back, Next and Play for one slider, and how far it is.
function stepper(name, { model, change, lastOf }) {
  const button = (text) => Object.assign(element("button", "", text), { type: "button" });
  const [back, next, play] = ["Back", "Next", "Play"].map(button), where = element("span", "");
  let timer;
  const go = (by) => change(name, Math.min(Math.max(model.get(name) + by, 0), lastOf(name)));
  const stop = () => {
    clearInterval(timer);
    timer = undefined;
    put(play, "Play");
  };
  back.onclick = () => go(-1);
  next.onclick = () => go(1);
  play.onclick = () => {
    if (timer) return stop();
    if (model.get(name) === lastOf(name)) change(name, 0);
    put(play, "Pause");
    timer = setInterval(() => (model.get(name) < lastOf(name) ? go(1) : stop()), INTERVAL);
  };
  const say = () => {
    put(where, `step ${model.get(name) + 1} of ${lastOf(name) + 1}`);
    // A button that is truly disabled would lose the focus of whoever steps from the keyboard.
    back.setAttribute("aria-disabled", String(model.get(name) === 0));
    next.setAttribute("aria-disabled", String(model.get(name) === lastOf(name)));
  };
  return { root: element("div", "vizlib-stepper", back, next, play, where), say, stop };
}

function render(frames, { model, el }) {
  const panels = element("div", "vizlib-panels"), status = element("p", "vizlib-status", "");
  status.setAttribute("role", "status");
  const names = model.get("names"), colours = packedPalette(bytes(model.get("palette")));
  const start = names.map((name) => model.get(name));
  let parts = [], asked = 0, painted = start, unmend;

  const change = (name, value) => {
    model.set(name, value);
    tell(() => model.save_changes());
  };
  // Nobody answers any more: the sliders go back to what is painted.
  const stay = () => {
    names.forEach((name, i) => change(name, painted[i]));
    for (const one of steppers) one.stop();
    say(GONE);
  };
  const lastOf = (name) => model.get(`last_${name}`) ?? Infinity;
  const steppers = model.get("stepped").map((name) => stepper(name, { model, change, lastOf }));
  const root = element("div", "vizlib-canvas vizlib-view", ...steppers.map((one) => one.root), panels, status);
  el.append(root);

  const pick = ({ pick: sliders, shape, kind }, cell) => {
    const width = kind === "maps" ? shape[2] : shape[1];
    const found = { row: cell.row, col: cell.column, channel: cell.channel, cell: cell.row * width + cell.column };
    for (const [what, name] of Object.entries(sliders)) change(name, Math.min(found[what], lastOf(name)));
  };
  const say = (text) => put(status, text);

  // A slider whose range has become shorter goes to its end.
  const follow = ({ last }) => {
    for (const [name, end] of Object.entries(last)) {
      if (lastOf(name) !== end) change(`last_${name}`, end);
      if (model.get(name) > end) change(name, end);
    }
  };

  const paint = () => {
    asked = 0;
    nameSliders(el.closest(".vizlib"));
    const place = names.map((name) => model.get(name)), frame = frames.get(place);
    if (!frame && model.get("alone")) return alone(place);
    frames.fetch(place, names.map(lastOf));
    root.setAttribute("aria-busy", String(!frame && !frames.error && !frames.gone));
    for (const one of steppers) one.say();
    if (frames.error) return say(frames.error);
    if (!frame) return frames.gone ? stay() : undefined;
    painted = place;
    follow(frame);
    paintFrame(frame);
    return undefined;
  };

  const paintFrame = (frame) => {
    const kinds = frame.panels.map((panel) => `${panel.kind}${panel.below}`).join();
    if (panels.dataset.kinds !== kinds) {
      panels.dataset.kinds = kinds;
      parts = frame.panels.map((panel) => part(panel, { pick, say }));
      panels.replaceChildren(...frame.panels.flatMap((panel, i) =>
        panel.below ? [element("hr", ""), parts[i].root] : [parts[i].root]));
    }
    const style = getComputedStyle(root), ratio = window.devicePixelRatio || 1;
    const colour = { ink: style.color, line: style.getPropertyValue("--line"), font: style.fontFamily };
    const look = { colour, colours, ratio, pixel: (size) => Math.round(size * ratio) };
    parts.forEach((one, i) => show(one, frame.panels[i], look));
    for (const one of parts) one.reread?.();
    panels.setAttribute("aria-label", frame.says);
  };

  // A page without a kernel may hold only what one slider at a time can reach: the others go back.
  const alone = (place) => {
    const back = start.map((value, i) => (i === frames.moved ? place[i] : value));
    names.forEach((name, i) => change(name, (frames.get(back) ? back : start)[i]));
    say("This page holds one slider at a time: the others went back to where they stood.");
  };

  const soon = () => (asked ||= requestAnimationFrame(paint));
  const atOnce = whenDone(() => {
    cancelAnimationFrame(asked);
    paint();
  });
  const handlers = names.map((_, i) => () => {
    frames.moved = i;
    atOnce();
  });
  names.forEach((name, i) => model.on(`change:${name}`, handlers[i]));
  frames.arrived.add(soon);
  const themed = new MutationObserver(soon);
  themed.observe(document.body, { attributes: true });
  const resized = new ResizeObserver(() => {
    unmend ??= mendEndKey(el.closest(".vizlib"), (name) => names.includes(name) && change(name, lastOf(name)));
    soon();
  });
  resized.observe(el);
  panels.setAttribute("role", "group");
  return () => {
    resized.disconnect();
    themed.disconnect();
    unmend?.();
    for (const one of steppers) one.stop();
    frames.arrived.delete(soon);
    names.forEach((name, i) => model.off(`change:${name}`, handlers[i]));
  };
}

const widget = () => {
  let frames;
  return {
    initialize: ({ model }) => void (frames = new Frames(model)),
    render: (view) => render(frames, view),
  };
};
export default widget;
