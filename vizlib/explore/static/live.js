// The page: one network that computes, one place where you stand, and all views of both.

import { Jobs, allStages, withoutEach } from "./answering.js";
import { Slider } from "./controls.js";
import { element, put } from "./elements.js";
import { run } from "./engine.js";
import { explain } from "./equation.js";
import { folded, partsOf } from "./fold.js";
import { graph, mapsOf, reachBack, valueAt } from "./graph.js";
import { fromInk } from "./ink.js";
import { LEGEND, paintLens, placeIn } from "./lens.js";
import { showMade } from "./made.js";
import { showNeeds } from "./needs.js";
import { brief, packedPalette, statistics, written } from "./numbers.js";
import { arranged, paintNetwork, under } from "./picture.js";
import { Scores, endsIn, winnerOf } from "./scores.js";
import { Sketch } from "./sketch.js";
import { sized } from "./tiles.js";
import { held, imagesOf } from "./held.js";

const MOST_NEEDED = 512; // channels for which it is computed what they are needed for
const PLAY = 1400; // milliseconds a layer

export function live(page, data) {
  const network = graph(data.program),
    tensors = held(data),
    images = imagesOf(data);
  const names = network.stages.map(({ name }) => name),
    jobs = new Jobs(),
    find = (id) => page.getElementById(id);
  const colours = packedPalette(Uint8Array.from(atob(data.palette), (c) => c.charCodeAt(0)));
  const place = { image: 0, layer: names[0], channel: 0, spot: null, hover: null, term: null };
  const seen = {
    made: null,
    whole: null,
    changes: Object.fromEntries(Object.entries(data.changes).filter(([, own]) => Object.keys(own).length)),
    input: images.inputs[0],
    layout: null,
    needs: null,
    isEmpty: false,
  };
  const compute = (image, changes = {}) => {
    const made = { input: image };
    for (const [name, tensor] of run(data.program, tensors, image, changes)) made[name] = tensor;
    return made;
  };
  seen.whole = compute(images.inputs[0]);
  seen.made = compute(images.inputs[0], seen.changes);
  const ends = endsIn(network, seen.made),
    canvas = find("network").querySelector("canvas");
  const parts = partsOf(
    network.stages.filter(({ name }) => !ends || (name !== ends.scores && name !== ends.last)),
  );

  // --- What is computed ----------------------------------------------------------------------

  const answer = () => {
    const isWhole = !Object.keys(seen.changes).length;
    jobs.start("answer", allStages(data.program, tensors, seen.input, seen.changes), (made) => {
      seen.made = made;
      if (isWhole) seen.whole = made;
      paintSoon();
      ask();
    });
    if (!isWhole)
      jobs.start("whole", allStages(data.program, tensors, seen.input, {}), (made) => {
        seen.whole = made;
        paintSoon();
      });
  };

  // What the channels are needed for takes as many passes as there are channels: it comes later.
  const ask = () => {
    const { layer } = place,
      count = mapsOf(seen.made[layer]).count;
    if (!ends || layer === ends.last || layer === ends.scores) return jobs.stop("needs");
    const about = { scores: ends.scores, count: Math.min(count, MOST_NEEDED) };
    const found = { layer, count: about.count, without: [], score: seen.made[ends.scores].values };
    const job = withoutEach(network, tensors, seen.made, seen.changes, layer, about, (channel) => {
      found.without.push(channel);
      // The bars of the last image stand until those of this one are there, unless that takes long.
      if (found.without.length % 16 === 0 && seen.needs?.layer !== layer) showThem();
    });
    const showThem = () => {
      seen.needs = found;
      paintSoon();
    };
    jobs.start("needs", job, showThem);
  };

  // --- Where you stand -----------------------------------------------------------------------

  const channelOf = (layer) => Math.min(place.channel, mapsOf(seen.made[layer]).count - 1);
  const go = (to) => {
    const layer = to.layer ?? place.layer,
      isOther = layer !== place.layer;
    Object.assign(place, { spot: isOther ? null : place.spot, term: null, hover: null }, to);
    place.channel = Math.max(0, channelOf(layer));
    if (isOther) {
      seen.needs = null;
      ask();
    }
    tellAddress();
    paintSoon();
  };

  // The place pointed at; or the one that was clicked; or the strongest one of the map.
  const here = () => {
    const { layer, channel } = place,
      tensor = seen.made[layer],
      maps = mapsOf(tensor);
    if (maps.isVector) return [channel, 0, 0];
    const spot = place.hover ?? place.spot;
    if (spot && spot[0] < maps.height && spot[1] < maps.width) return [channel, ...spot];
    const size = maps.height * maps.width,
      values = tensor.values.subarray(channel * size, (channel + 1) * size);
    let best = 0;
    for (let i = 1; i < size; i++) if (Math.abs(values[i]) > Math.abs(values[best])) best = i;
    return [channel, Math.floor(best / maps.width), best % maps.width];
  };

  let isOpen = false; // an address that was not asked for stays as it is until somebody moves
  const tellAddress = () => {
    if (!isOpen) return;
    const words = {
      layer: place.layer,
      channel: place.channel,
      ...(place.image === null ? {} : { image: place.image }),
    };
    if (place.spot) words.pixel = place.spot.join(",");
    const text = `#${new URLSearchParams(words)}`;
    if (location.hash !== text) history.replaceState(null, "", text);
  };

  const readAddress = (text) => {
    const words = text ? new URLSearchParams(text.slice(1)) : new Map(Object.entries(data.place)),
      to = {};
    if (names.includes(words.get("layer"))) to.layer = words.get("layer");
    for (const name of ["channel", "image"])
      if (/^\d+$/.test(words.get(name) ?? "")) to[name] = Number(words.get(name));
    if (/^\d+,\d+$/.test(words.get("pixel") ?? "")) to.spot = words.get("pixel").split(",").map(Number);
    if (to.image !== undefined && to.image < images.inputs.length && to.image !== place.image)
      showImage(to.image);
    delete to.image;
    go(to);
  };

  const showImage = (number) => {
    place.image = number;
    seen.input = images.inputs[number];
    seen.isEmpty = false;
    sketch?.layImage(images.bytes[number], ...images.size);
    tellAddress();
    answer();
  };

  const fade = (factor) => {
    const { layer, channel } = place,
      own = { ...seen.changes[layer], [channel]: factor };
    if (factor === 1) delete own[channel];
    seen.changes = { ...seen.changes, [layer]: own };
    if (!Object.keys(own).length) delete seen.changes[layer];
    answer();
  };

  // --- The parts of the page -------------------------------------------------------------------

  let sketch = null;
  if (images.takesInk) {
    sketch = new Sketch(find("drawing"), 280, (ink) => {
      const made = fromInk(ink, 280);
      place.image = null;
      seen.isEmpty = !made;
      seen.input = images.prepared(made ?? new Uint8Array(28 * 28));
      tellAddress();
      answer();
    });
  }
  const samples = images.bytes.map((_, i) => {
    const picture = images.picture(i),
      button = element(
        "button",
        { type: "button", "aria-label": `image ${i}`, onclick: () => showImage(i) },
        picture,
      );
    find("samples").append(button);
    return button;
  });
  find("drawing").classList.toggle("many", samples.length > 10);
  find("drawing").classList.toggle("looking", !images.takesInk);
  const scores =
    ends &&
    new Scores(find("scores"), data.classes, (number) => go({ layer: ends.scores, channel: number }));
  find("scores").hidden = find("needs").hidden = !ends;
  find("band").classList.toggle("unscored", !ends);
  let timer = 0;
  const play = element(
    "button",
    {
      type: "button",
      id: "play",
      onclick: () => {
        clearInterval(timer);
        timer = timer
          ? 0
          : setInterval(() => go({ layer: names[(names.indexOf(place.layer) + 1) % names.length] }), PLAY);
        put(play, timer ? "❚❚ Pause" : "▶ Play layers");
      },
    },
    "▶ Play layers",
  );
  const sliders = {
    layer: new Slider("layer", (at) => go({ layer: names[at] })),
    channel: new Slider("channel", (at) => go({ channel: at })),
    strength: new Slider("strength", (at) => fade(at), { max: 1, step: 0.1 }),
  };
  const toggle = element("button", {
    type: "button",
    role: "switch",
    class: "switch",
    onclick: () => fade(factorHere() < 1 ? 1 : 0),
  });
  sliders.strength.output.replaceWith(toggle);
  find("controls").append(play, ...Object.values(sliders).map(({ root }) => root));
  const factorHere = () => seen.changes[place.layer]?.[place.channel] ?? 1;
  const restore = find("top").querySelector("button");
  restore.onclick = () => {
    seen.changes = {};
    answer();
  };
  put(find("about"), data.about);

  // --- Pointing --------------------------------------------------------------------------------

  const pointed = (event) => {
    const box = canvas.getBoundingClientRect(),
      found = seen.layout && under(seen.layout, event.clientX - box.left, event.clientY - box.top);
    return found?.node.shows === "input" ? null : found;
  };
  canvas.onclick = (event) => {
    const found = pointed(event);
    if (!found) return;
    const { node, channel, row, column } = found;
    go({ layer: node.shows, channel, spot: node.maps.isVector ? null : [row, column] });
  };
  canvas.onpointermove = (event) => {
    const found = pointed(event);
    canvas.style.cursor = found ? "pointer" : "";
    if (!found) return;
    const { node, channel, row, column } = found, tensor = seen.made[node.shows];
    const value = valueAt(tensor, mapsOf(tensor), [channel, row, column]);
    canvas.title = `${node.shows}, ${channel}: ${written(value, 1)}`;
  };
  const map = find("map");
  const pointedValue = (event) => {
    const box = map.getBoundingClientRect();
    return placeIn(seen.lens, place.channel, event.clientX - box.left, event.clientY - box.top);
  };
  map.onpointermove = (event) => {
    const at = event.pointerType === "mouse" ? pointedValue(event) : null;
    if (!at || seen.lens.maps.isVector) return;
    place.hover = at.slice(1);
    paintSoon();
  };
  map.onpointerleave = () => {
    place.hover = null;
    paintSoon();
  };
  map.onclick = (event) => {
    const at = pointedValue(event);
    if (at) go({ channel: at[0], spot: seen.lens.maps.isVector ? null : at.slice(1) });
  };
  const arrows = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  map.onkeydown = (event) => {
    const by = arrows[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const { maps, columns } = seen.lens,
      [channel, row, column] = here();
    if (maps.isVector)
      return go({ channel: Math.min(Math.max(channel + by[0] * columns + by[1], 0), maps.count - 1) });
    go({
      spot: [
        Math.min(Math.max(row + by[0], 0), maps.height - 1),
        Math.min(Math.max(column + by[1], 0), maps.width - 1),
      ],
    });
  };
  page.onkeydown = (event) => {
    const by = arrows[event.key];
    if (!by || event.target.matches("input, textarea, select")) return;
    event.preventDefault();
    if (by[1]) sliders.layer.move(names.indexOf(place.layer) + by[1]);
    else sliders.channel.move(place.channel + by[0]);
  };

  // --- Painting --------------------------------------------------------------------------------

  let isComing = false;
  const paintSoon = () => {
    if (isComing) return;
    isComing = true;
    requestAnimationFrame(() => {
      isComing = false;
      paint();
    });
  };

  const paint = () => {
    const at = here(),
      { layer } = place,
      tensor = seen.made[layer],
      maps = mapsOf(tensor);
    const explained = explain(network, tensors, seen.made, layer, at);
    paintBand(at, explained);
    paintControls(maps);
    paintPlace(at, explained, tensor, maps);
    paintScores();
  };

  // Where the layers stand changes with the place and the window, not with what they hold.
  const arrange = () => {
    const down = window.innerWidth <= 700,
      unit = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const width = canvas.clientWidth,
      height = down ? 0 : canvas.clientHeight;
    const key = [place.layer, width, height, unit, down].join();
    if (seen.key === key) return;
    seen.key = key;
    const most = down ? 12 : Math.max(4, Math.floor(width / (unit * 4.3)));
    const shown = [
      { name: "input", stages: ["input"], parts: [] },
      ...folded(parts, place.layer, most - 1),
    ];
    const holder = new Map(shown.flatMap((part) => part.stages.map((stage) => [stage, part.name])));
    seen.nodes = shown.map((part) => {
      const shows = part.stages.includes(place.layer) ? place.layer : part.stages.at(-1);
      const sources = part.stages.flatMap((stage) => (stage === "input" ? [] : network.readsStages(stage)));
      const reads = [...new Set(sources.map((name) => holder.get(name)))].filter(
        (name) => name && name !== part.name,
      );
      return { ...part, shows, reads, operation: network.steps.get(shows)?.operation ?? "" };
    });
    const room = {
      along: down ? 30 * unit : width,
      across: down ? width : height,
      unit,
      down,
      chosen: place.layer,
    };
    seen.layout = arranged(seen.nodes, seen.made, room);
    seen.size = [width, down ? seen.layout.length + 8 : height];
    canvas.style.height = down ? `${seen.size[1]}px` : "";
    seen.down = down;
    paintHeads(down);
  };

  const paintBand = ([channel, row, column], explained) => {
    arrange();
    const part = { channel, top: row, left: column, bottom: row + 1, right: column + 1 };
    const windows = reachBack(network, tensors, seen.made, place.layer, part);
    const terms = [...explained.terms].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, 16);
    paintNetwork(sized(canvas, ...seen.size), seen.layout, {
      element: canvas,
      made: seen.made,
      changes: seen.changes,
      colours,
      range: images.range,
      windows,
      terms,
      channel,
      down: seen.down,
      layer: seen.nodes.find((node) => node.shows === place.layer)?.name,
    });
    canvas.setAttribute(
      "aria-label",
      `${seen.nodes.length} layers; you are at ${place.layer}, channel ${channel}`,
    );
  };

  const heads = new Map();
  const paintHeads = (down) => {
    const kept = new Set(),
      root = find("heads");
    for (const node of seen.layout.nodes.values()) {
      kept.add(node.name);
      const head =
        heads.get(node.name) ?? element("button", { type: "button" }, element("b"), element("small"));
      if (!heads.has(node.name)) root.append(head);
      heads.set(node.name, head);
      head.onclick = () => node.shows !== "input" && go({ layer: node.shows });
      const [start, size] = node.room,
        isOne = node.stages.length === 1,
        shape = seen.made[node.shows].shape.slice(1).join("×");
      const room = down ? 72 : roomFor(node);
      put(head.firstChild, fitting(namesOf(node.name), room, head.firstChild));
      put(
        head.lastChild,
        fitting(
          isOne ? [shape, shape.split("×")[0]] : [`${node.stages.length} layers`, `${node.stages.length}`],
          room,
          head.lastChild,
        ),
      );
      head.title = `${node.name}: ${isOne ? shape : node.stages.join(", ")}`;
      head.classList.toggle("here", node.shows === place.layer);
      head.style.cssText = down ? `top:${node.y}px` : `left:${start + size / 2}px`;
      const shared = [...seen.layout.nodes.values()].filter((other) => other.room[0] === start);
      if (!down && shared.length > 1 && shared[0] !== node)
        head.style.cssText += `;top:calc(2.6rem + ${node.y}px - 2.55rem)`;
    }
    for (const [name, head] of heads)
      if (!kept.has(name)) {
        head.remove();
        heads.delete(name);
      }
  };

  // From the middle of one column to that of the next, or to the end of the picture.
  const roomFor = ({ room: [start, size] }) => {
    const middle = start + size / 2,
      others = [...seen.layout.nodes.values()].map(({ room: [at, wide] }) =>
        Math.abs(at + wide / 2 - middle),
      );
    return Math.min(...others.filter((far) => far > 1), 2 * (seen.layout.length - middle) + 12) - 6;
  };

  const namesOf = (name) => {
    const first = name.split(" … ")[0],
      path = first.split(".");
    return [name, ...(first === name ? [] : [`${first} …`]), path.slice(-2).join("."), path.at(-1)];
  };

  const ruler = new OffscreenCanvas(1, 1).getContext("2d");
  const fitting = (texts, room, head) => {
    const { fontWeight, fontSize, fontFamily } = getComputedStyle(head);
    ruler.font = `${fontWeight} ${fontSize} ${fontFamily}`;
    const fits = (text) => ruler.measureText(text).width <= room,
      last = texts.at(-1);
    const ends = [...last].map((_, i) => `${last.slice(0, last.length - 1 - i)}…`);
    return [...texts, ...ends].find(fits) ?? "";
  };

  const paintControls = (maps) => {
    const factor = factorHere(),
      unit = maps.isVector ? "unit" : "channel";
    const short = place.layer.split(".").slice(-2).join(".");
    sliders.layer.show(names.indexOf(place.layer), names.length - 1, short);
    sliders.channel.show(place.channel, maps.count - 1, `${place.channel} of ${maps.count}`, unit);
    sliders.strength.show(factor, 1, String(factor));
    toggle.setAttribute("aria-checked", String(factor > 0));
    put(toggle, factor === 1 ? "on" : factor === 0 ? "off" : factor.toFixed(1));
    const count = Object.values(seen.changes).reduce((sum, own) => sum + Object.keys(own).length, 0);
    restore.hidden = !count;
    put(restore, `Switch all on again (${count})`);
    samples.forEach((button, i) => button.setAttribute("aria-pressed", String(i === place.image)));
  };

  const paintPlace = (at, explained, tensor, maps) => {
    const { layer, channel } = place,
      size = maps.height * maps.width,
      unit = maps.isVector ? "unit" : "channel";
    const values = maps.isVector
      ? tensor.values
      : tensor.values.subarray(channel * size, (channel + 1) * size);
    const { min, max, mean, zeros, peak } = statistics(values),
      [title, facts] = find("top").children;
    put(title, `${layer}, ${unit} ${channel}`);
    const step = network.steps.get(layer),
      number = (value) => brief(value, peak);
    const shape = maps.isVector ? maps.count : `${maps.height}×${maps.width}`;
    const span = [`min ${number(min)}`, `max ${number(max)}`, `mean ${number(mean)}`];
    put(facts, [step.operation, shape, ...span, `zeros ${Math.round(100 * zeros)} %`].join(" · "));
    const side = map.clientHeight;
    map.style.width = `${side + LEGEND}px`;
    seen.lens = paintLens(map, { name: layer, tensor, place: at, colours, range: images.range, side });
    const where = maps.isVector ? `Unit ${channel}` : `Row ${at[1]}, column ${at[2]}`;
    const value = seen.made[layer].values.length ? valueAt(tensor, maps, at) : 0;
    map.setAttribute(
      "aria-label",
      `${layer}, ${unit} ${channel}. ${where}: ${written(value, Math.max(peak, 10))}`,
    );
    const factor = factorHere(),
      sum = explained.sum ?? value;
    showMade(find("made"), explained, {
      title: `${where} is ${number(sum)}: ${explained.words}`,
      colours,
      term: place.term,
      faded: factor < 1 ? `times ${factor}, its strength here: ${number(sum * factor)}` : "",
      onTerm: (term) => {
        place.term = term;
        paintSoon();
      },
    });
    paintNeeds(channel);
  };

  const paintNeeds = (channel) => {
    const root = find("needs"),
      svg = root.querySelector("svg"),
      [about, said] = root.querySelectorAll("p");
    const needs = seen.needs?.layer === place.layer ? seen.needs : null;
    svg.style.visibility = needs ? "" : "hidden";
    if (!ends || !needs) return put(said, "");
    const values = needs.score,
      winner = winnerOf(values),
      { without, count } = needs;
    put(about, `score of ${data.classes[winner]}; orange: lost`);
    put(
      said,
      showNeeds(svg, {
        without,
        count,
        score: values[winner],
        winner,
        chosen: channel,
        classes: data.classes,
        onChannel: (at) => go({ channel: at }),
      }),
    );
  };

  const paintScores = () => {
    const said = find("answer");
    if (!ends) return put(said, `gives ${seen.made[network.output].shape.slice(1).join("×")} numbers`);
    const { values } = seen.made[ends.scores],
      isWhole = !Object.keys(seen.changes).length,
      before = isWhole ? null : seen.whole[ends.scores].values;
    const label = place.image === null ? null : data.labels[place.image];
    scores.show(values, before, place.layer === ends.scores ? place.channel : null, label);
    const winner = winnerOf(values),
      rest = values.filter((_, i) => i !== winner),
      second = winnerOf(rest);
    const ahead = values[winner] - rest[second],
      runner = second >= winner ? second + 1 : second;
    const was = before && winnerOf(before) !== winner ? `, not ${data.classes[winnerOf(before)]}` : "";
    const truth = label === null || label === undefined ? "" : `; label ${data.classes[label]}`;
    said.classList.toggle("empty", seen.isEmpty);
    find("scores").classList.toggle("empty", seen.isEmpty);
    const one = (value) => value.toFixed(1).replace("-", "−");
    const answered = [
      "It reads ",
      element("b", {}, data.classes[winner]),
      ` with a score of ${one(values[winner])}, ${one(ahead)} ahead of ${data.classes[runner]}${was}${truth}`,
    ];
    if (said.dataset.text === answered.map((each) => each.textContent ?? each).join("") && !seen.isEmpty)
      return;
    said.dataset.text = seen.isEmpty ? "" : answered.map((each) => each.textContent ?? each).join("");
    said.replaceChildren(...(seen.isEmpty ? ["An empty pad: draw a digit"] : answered));
  };

  // --- The beginning ---------------------------------------------------------------------------

  const differences = () => {
    let largest = 0;
    images.inputs.forEach((image, i) => {
      compute(image)[network.output].values.forEach((value, k) => {
        largest = Math.max(largest, Math.abs(value - images.expected[i][k]));
      });
    });
    const [digits, power] = largest.toExponential(1).split("e");
    const count = images.inputs.length;
    put(
      find("foot"),
      `Computed in this page; largest difference from PyTorch over ${count} image${count > 1 ? "s" : ""}: ` +
        (largest ? `${digits} · 10${raised(power)}` : "0") +
        (data.half ? "; its weights are rounded to half precision, so that the page is small" : ""),
    );
  };
  const raise = (character) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(character)];
  const raised = (power) => [...String(Number(power))].map(raise).join("");
  page
    .querySelector("footer")
    .append(
      element("span", { id: "foot" }),
      element(
        "span",
        { class: "keys" },
        element("kbd", {}, "←"),
        " ",
        element("kbd", {}, "→"),
        " layer  ",
        element("kbd", {}, "↑"),
        " ",
        element("kbd", {}, "↓"),
        " channel; on the large map they move the value",
      ),
    );

  window.vizlib = {
    stages: (values) => {
      const made = compute({ shape: images.inputs[0].shape, values: Float32Array.from(values) });
      return Object.fromEntries(names.map((name) => [name, made[name]]));
    },
  };
  window.onhashchange = () => readAddress(location.hash);
  new ResizeObserver(paintSoon).observe(document.body);
  matchMedia("(prefers-color-scheme: dark)").onchange = paintSoon;
  sketch?.layImage(images.bytes[0], ...images.size);
  readAddress(location.hash);
  // A pad that opens empty has no image beside it.
  if (sketch && images.inputs.length === 1 && !images.bytes[0].some(Boolean)) {
    sketch.isImage = false;
    place.image = null;
    seen.isEmpty = true;
    find("samples").hidden = true;
  }
  isOpen = true;
  ask();
  paint();
  setTimeout(differences);
}
