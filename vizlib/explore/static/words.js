// Words and numbers around the canvas: the strip of layers, the answer, the table, names for ears.

const SCALES = ["per map", "per layer", "whole network"];

function element(tag, name, ...children) {
  const made = document.createElement(tag);
  made.className = name;
  made.append(...children);
  return made;
}

// What a slider moves is painted when the event is over, not a frame later: once, whatever it moved.
function whenDone(work) {
  let isComing = false;
  return () => {
    if (isComing) return;
    isComing = true;
    queueMicrotask(() => {
      isComing = false;
      work();
    });
  };
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
    body: element("tbody", "", ...[0, 1, 2].map(() => row(Array(6).fill("")))),
    status: element("p", "vizlib-status"),
  };
  parts.status.setAttribute("role", "status");
  parts.canvas.setAttribute("role", "img");
  parts.strip.setAttribute("aria-label", "layers of the network");
  parts.answer.setAttribute("aria-label", "probabilities");
  const head = element("thead", "", row(["", "shape", "min", "max", "mean", "zeros"]));
  parts.root = element("div", "vizlib-canvas", parts.strip, parts.captions, parts.canvas,
    element("div", "vizlib-left", parts.verdict, parts.answer),
    element("table", "vizlib-numbers", head, parts.body), parts.status);
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
      const item = element("li", "", element("canvas", "vizlib-thumb"), element("b", "", stage.name), element("span", "", shapeOf(stage)));
      item.title = `${stage.name}: ${stage.kind}`;
      item.onclick = () => choose(first + i);
      return item;
    }));
    strip.dataset.before = first ? `${first} …` : "";
    strip.dataset.after = last < stages.length ? `… ${stages.length - last}` : "";
  }
  [...strip.children].forEach((item, i) => mark(item, "aria-current", first + i === current));
  return [...strip.children].map((item, i) => [first + i, item.firstChild]);
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
    head.title = name;
    bar.style.setProperty("--part", values[i] || 0);
    put(number, share(values[i]));
    row.classList.toggle("winner", i === winner);
    row.classList.toggle("label", i === label);
  });
  return winner;
}

// `names` are those of the classes, where they have any.
function fillAnswer({ verdict, answer }, { classes, probabilities }, label, names) {
  const bars = classes.map((which) => names[which] ?? `P${which}`), nameOf = (which) => names[which] ?? which;
  const winner = fillBars(answer, bars, probabilities, classes.indexOf(label));
  const words = classes.length ? [`answer ${nameOf(classes[winner])}`] : [];
  if (label !== undefined) words.push(`label ${nameOf(label)}`);
  put(verdict, words.join(", "));
}

function fillNumbers(body, { stage, channel, values, layer, other }) {
  const one = stage.vector ? "1" : `${stage.height}×${stage.width}`;
  const rows = [[stage.name, shapeOf(stage), layer], [`channel ${channel}`, one, statistics(values)]];
  if (other) rows.push([`of image ${other.image}`, one, statistics(other.values)]);
  body.rows[2].hidden = !other;
  rows.forEach(([name, shape, { min, max, mean, zeros }], i) => {
    const numbers = [min, max, mean].map((value) => written(value, layer.peak));
    const texts = [name, shape, ...numbers, `${(100 * zeros).toFixed(1)} %`];
    texts.forEach((text, j) => put(body.rows[i].cells[j], text));
  });
}

function fillCaptions(captions, { image, stage, channel, values, scale, peak, dead, other }) {
  const name = stage.name.includes(stage.kind) ? stage.name : `${stage.name} (${stage.kind})`;
  const things = (stage.vector ? "value" : "map") + (stage.count === 1 ? "" : "s");
  const chosen = `channel ${channel}` + (stage.vector ? `: ${written(values[0], peak)}` : "");
  const zero = dead.size ? `, ${dead.size} all zero` : "";
  const texts = other && !stage.vector
    ? [`images ${image}, ${other.image}`, `image ${image}, ${chosen}`, `image ${other.image}, ${chosen}`, SCALES[scale]]
    : [other ? `images ${image}, ${other.image}` : `image ${image}`, `${name}: ${stage.count} ${things}${zero}`, chosen, SCALES[scale]];
  texts.forEach((text, i) => put(captions.children[i], text));
}

// What a pointer or the arrow keys find.
function spokenCell({ stage, channel, values, peak, other }, [row, column]) {
  const at = row * stage.width + column, value = (from) => written(from[at], peak);
  const beside = other ? `; of image ${other.image}: ${value(other.values)}` : "";
  return `${stage.name}, channel ${channel}, row ${row}, column ${column}: ${value(values)}${beside}`;
}

function spoken({ image, stage, channel, scale, limit, other }) {
  const end = written(limit, limit), beside = other ? ` beside image ${other.image}` : "";
  return `image ${image}${beside}, layer ${stage.name}, channel ${channel} of ${stage.count}, ` +
    `shape ${shapeOf(stage)}, colours from −${end} to ${end}, ${SCALES[scale]}`;
}

// ipywidgets gives its sliders no name that a screen reader could say, and numbers for words.
function nameSliders(box) {
  for (const handle of box?.querySelectorAll(".noUi-handle") ?? []) {
    const slider = handle.closest(".widget-inline-hbox"), part = (name) => slider?.querySelector(name);
    mark(handle, "aria-label", part("label")?.textContent ?? "");
    mark(handle, "aria-valuetext", part(".widget-readout")?.textContent ?? "");
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
