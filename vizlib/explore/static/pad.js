// The pad: strokes become ink, and the kernel is asked about it, one question at a time.

const SIDE = 280; // pixels of the pad, whatever the screen's
const PAUSE = 100; // milliseconds between two questions while a stroke is drawn
const KEPT = 50; // drawings to go back to
const WIDER = 4; // pixels by which the eraser is wider, so that no faint edge stays
const NAME = "drawing pad, for a mouse, a finger or a pen; the controls below work from the keyboard";

function build(el) {
  const canvas = element("canvas", { class: "vizlib-pad", role: "img", width: SIDE, height: SIDE });
  const brush = element("input", { type: "range", min: 6, max: 60, step: 2, value: 24 });
  const width = element("span", { "aria-hidden": "true" }, brush.value);
  const button = (text, more) => element("button", { type: "button", ...more }, text);
  const parts = {
    canvas, brush, width,
    eraser: button("Eraser", { "aria-pressed": "false" }),
    undo: button("Undo"),
    clear: button("Clear"),
  };
  const label = element("label", {}, element("span", {}, "Brush"), brush, width);
  const controls = element("div", { class: "vizlib-tools" }, parts.eraser, parts.undo, parts.clear);
  parts.root = element("div", { class: "vizlib-reader" }, canvas, controls, label);
  el.append(parts.root);
  return parts;
}

function inkOf(context) {
  const { data } = context.getImageData(0, 0, SIDE, SIDE);
  // Of a pixel's four bytes the lowest stays, its red.
  return new Uint8Array(new Uint32Array(data.buffer));
}

function line(context, from, to, width, colour) {
  Object.assign(context, { strokeStyle: colour, fillStyle: colour, lineWidth: width });
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  context.stroke();
  // A line that goes nowhere is not drawn at all, and a tap is a dot.
  context.beginPath();
  context.arc(...to, width / 2, 0, 2 * Math.PI);
  context.fill();
}

function render({ model, el }) {
  const { canvas, brush, width, eraser, undo, clear, root } = build(el), before = [];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const { unfollow } = follow(model, root);
  let pointer = null, last, own, isNew = false, asked = -PAUSE, timer = 0;
  context.lineCap = "round";

  const isErasing = () => eraser.getAttribute("aria-pressed") === "true";
  const isWaiting = () => model.get("asked") !== model.get("answered");

  const ask = () => {
    if (!isNew || isWaiting()) return;
    isNew = false;
    asked = performance.now();
    own = new DataView(inkOf(context).buffer);
    model.set("ink", own);
    model.set("asked", model.get("asked") + 1);
    model.save_changes();
  };

  // A stroke that goes on is asked about now and then, one that has ended at once.
  const askSoon = () => {
    isNew = true;
    const wait = asked + PAUSE - performance.now();
    if (pointer === null || wait <= 0) return ask();
    timer ||= setTimeout(() => {
      timer = 0;
      ask();
    }, wait);
  };

  const name = () => {
    undo.setAttribute("aria-disabled", String(!before.length));
    canvas.setAttribute("aria-label", `${NAME}. ${model.get("answer") || "It is empty."}`);
  };

  const lay = (ink) => context.putImageData(
    grey(ink, [SIDE, SIDE]).getContext("2d").getImageData(0, 0, SIDE, SIDE), 0, 0);

  const remember = () => {
    before.push(inkOf(context));
    if (before.length > KEPT) before.shift();
  };

  const change = (paint) => {
    paint();
    name();
    askSoon();
  };

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const inner = (value, edge, size) => ((value - edge) / size) * SIDE;
    return [inner(event.clientX, box.left, box.width), inner(event.clientY, box.top, box.height)];
  };

  const drawTo = (event) => {
    const to = place(event), size = Number(brush.value);
    line(context, last, to, isErasing() ? size + WIDER : size, isErasing() ? "#000" : "#fff");
    last = to;
  };

  canvas.onpointerdown = (event) => {
    if (event.button || pointer !== null) return;
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    last = place(event);
    remember();
    change(() => drawTo(event));
  };
  canvas.onpointermove = (event) => {
    if (event.pointerId !== pointer) return;
    const all = event.getCoalescedEvents?.() ?? [];
    change(() => (all.length ? all : [event]).forEach(drawTo));
  };
  canvas.onpointerup = canvas.onpointercancel = (event) => {
    if (event.pointerId !== pointer) return;
    pointer = null;
    ask();
  };
  // A long press with a pen is a stroke, not a wish for a menu.
  canvas.oncontextmenu = (event) => {
    event.preventDefault();
    event.stopPropagation();
  };

  brush.oninput = () => (width.textContent = brush.value);
  eraser.onclick = () => eraser.setAttribute("aria-pressed", String(!isErasing()));
  undo.onclick = () => before.length && change(() => lay(before.pop()));
  clear.onclick = () => {
    remember();
    change(() => lay(new Uint8Array(SIDE * SIDE)));
  };

  const handlers = {
    answered: ask,
    answer: name,
    ink: () => model.get("ink") !== own && lay(octets(model.get("ink"))),
  };
  for (const [trait, handler] of Object.entries(handlers)) model.on(`change:${trait}`, handler);
  handlers.ink();
  name();
  return () => {
    clearTimeout(timer);
    unfollow();
    for (const [trait, handler] of Object.entries(handlers)) model.off(`change:${trait}`, handler);
  };
}

export default { render };
