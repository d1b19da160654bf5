// Words and numbers around the canvas: the strip of layers, the answer, the table, names for ears.

const SCALES = ["per map", "per layer", "whole network"];

function element(tag, name, ...children) {
  const made = document.createElement(tag);
  made.className = name;
  made.append(...children);
  return made;
}

function put(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function build(el) {
  const row = (texts) => element("tr", "", element("th", "", texts[0]),
    ...texts.slice(1).map((text) => element("td", "", text)));
  const parts = {
    strip: element("ol", "vizlib-strip"),
    captions: element("div", "vizlib-captions", ...[0, 1, 2, 3].map(() => element("span", ""))),
    canvas: element("canvas", ""),
    verdict: element("p", "vizlib-verdict"),
    answer: element("ol", "vizlib-answer"),
    body: element("tbody", "", row(Array(6).fill("")), row(Array(6).fill(""))),
  };
  parts.canvas.setAttribute("role", "img");
  parts.strip.setAttribute("aria-label", "layers of the network");
  parts.answer.setAttribute("aria-label", "probabilities");
  const head = element("thead", "", row(["", "shape", "min", "max", "mean", "zeros"]));
  parts.root = element("div", "vizlib-canvas", parts.strip, parts.captions, parts.canvas,
    element("div", "vizlib-left", parts.verdict, parts.answer),
    element("table", "vizlib-numbers", head, parts.body));
  el.append(parts.root);
  return parts;
}

const shapeOf = (stage) => stage.shape.join("×");

// Where a network has too many layers for their names, those around the current one show.
export function shownLayers(count, current, room) {
  const shown = Math.max(1, Math.min(count, room));
  const first = Math.max(0, Math.min(count - shown, current - Math.floor(shown / 2)));
  return [first, first + shown];
}

function fillStrip(strip, stages, current, width, choose) {
  const letters = Math.max(...stages.map((stage) => Math.max(stage.name.length, shapeOf(stage).length)));
  const room = Math.floor((width - 40) / (letters * 7.8 + 12));
  const [first, last] = shownLayers(stages.length, current, room);
  if (strip.dataset.shown !== `${first}-${last}`) {
    strip.dataset.shown = `${first}-${last}`;
    strip.replaceChildren(...stages.slice(first, last).map((stage, i) => {
      const item = element("li", "", element("b", "", stage.name), element("span", "", shapeOf(stage)));
      item.title = `${stage.name}: ${stage.kind}`;
      item.onclick = () => choose(first + i);
      return item;
    }));
    strip.dataset.before = first ? `${first} …` : "";
    strip.dataset.after = last < stages.length ? `… ${stages.length - last}` : "";
  }
  [...strip.children].forEach((item, i) => item.setAttribute("aria-current", first + i === current));
}

function fillBars(list, names, values, label) {
  while (list.children.length > names.length) list.lastChild.remove();
  while (list.children.length < names.length) {
    list.append(element("li", "", element("b", ""), element("i", ""), element("span", "")));
  }
  const winner = values.indexOf(Math.max(...values));
  names.forEach((name, i) => {
    const row = list.children[i], [head, bar, number] = row.children;
    put(head, name);
    bar.style.setProperty("--part", values[i] || 0);
    put(number, share(values[i]));
    row.classList.toggle("winner", i === winner);
    row.classList.toggle("label", i === label);
  });
  return winner;
}

function fillAnswer({ verdict, answer }, { classes, probabilities }, label) {
  const names = classes.map((name) => `P${name}`);
  const winner = fillBars(answer, names, probabilities, classes.indexOf(label));
  const words = classes.length ? [`answer ${classes[winner]}`] : [];
  if (label !== undefined) words.push(`label ${label}`);
  put(verdict, words.join(", "));
}

function fillNumbers(body, { stage, channel, unit, values, layer }) {
  const one = stage.vector ? "1" : `${stage.height}×${stage.width}`;
  const rows = [[stage.name, shapeOf(stage), layer], [`${unit} ${channel}`, one, statistics(values)]];
  rows.forEach(([name, shape, { min, max, mean, zeros }], i) => {
    const numbers = [min, max, mean].map((value) => written(value, layer.peak));
    const texts = [name, shape, ...numbers, `${(100 * zeros).toFixed(1)} %`];
    texts.forEach((text, j) => put(body.rows[i].cells[j], text));
  });
}

function fillCaptions(captions, { image, stage, channel, values, scale, peak }) {
  const name = stage.name.includes(stage.kind) ? stage.name : `${stage.name} (${stage.kind})`;
  const things = (stage.vector ? "value" : "map") + (stage.count === 1 ? "" : "s");
  const chosen = stage.vector ? `unit ${channel}: ${written(values[0], peak)}` : `channel ${channel}`;
  const texts = [`image ${image}`, `${name}: ${stage.count} ${things}`, chosen, SCALES[scale]];
  texts.forEach((text, i) => put(captions.children[i], text));
}

function spoken({ image, stage, channel, unit, scale, limit }) {
  const end = written(limit, limit);
  return `image ${image}, layer ${stage.name}, ${unit} ${channel} of ${stage.count}, ` +
    `shape ${shapeOf(stage)}, colours from −${end} to ${end}, ${SCALES[scale]}`;
}

// ipywidgets gives its sliders no name that a screen reader could say, and numbers for words.
function nameSliders(box) {
  for (const handle of box?.querySelectorAll(".noUi-handle") ?? []) {
    const slider = handle.closest(".widget-inline-hbox"), part = (name) => slider?.querySelector(name);
    handle.setAttribute("aria-label", part("label")?.textContent ?? "");
    handle.setAttribute("aria-valuetext", part(".widget-readout")?.textContent ?? "");
  }
}

// Their End key goes to the last value of the range that they began with.
function mendEndKey(box, toEnd) {
  const atEnd = (event) => {
    if (event.key !== "End" || !event.target.classList.contains("noUi-handle")) return;
    if (toEnd(event.target.getAttribute("aria-label")) === false) return;
    event.preventDefault();
    event.stopPropagation();
  };
  box?.addEventListener("keydown", atEnd, true);
  return () => box?.removeEventListener("keydown", atEnd, true);
}
