// The picture of the network on its canvas: which layers have a column, and what is pointed at there.

import { arranged, under } from "./arrangement.js";
import { folded, partsOf } from "./fold.js";
import { mapsOf, reachBack, valueAt } from "./graph.js";
import { Headings } from "./headings.js";
import { written } from "./numbers.js";
import { paintNetwork } from "./picture.js";
import { isMany, pageOf } from "./strongest.js";
import { sized } from "./tiles.js";

const NARROW = 560; // pixels of a view (live.css has them too) in which the picture flows down
const MOST_TERMS_DRAWN = 16;

export class Band {
  constructor(root, canvas, heads, state, actions) {
    Object.assign(this, { root, canvas, state, actions });
    this.headings = new Headings(heads, (layer) => actions.go({ layer }));
    const { ends, network } = state;
    const isScore = (name) => ends && (name === ends.scores || name === ends.last);
    this.parts = partsOf(network.stages.filter(({ name }) => !isScore(name)));
    this.key = null;
    this.follow();
  }

  follow() {
    this.canvas.onclick = (event) => {
      const { node, channel, row, column } = this.pointed(event) ?? {};
      if (!node) return;
      this.actions.go({ layer: node.shows, channel, spot: node.maps.isVector ? null : [row, column] });
    };
    this.canvas.onpointermove = (event) => {
      const found = this.pointed(event);
      this.canvas.style.cursor = found ? "pointer" : "";
      if (!found) return;
      const { node, channel, row, column } = found,
        tensor = this.state.made[node.shows];
      const value = valueAt(tensor, mapsOf(tensor), [channel, row, column]);
      this.canvas.title = `${node.shows}, ${channel}: ${written(value, 1)}`;
    };
  }

  pointed(event) {
    const box = this.canvas.getBoundingClientRect(),
      found = this.layout && under(this.layout, event.clientX - box.left, event.clientY - box.top);
    return found?.node.shows === "input" ? null : found;
  }

  // Where the layers stand changes with the place and the window, not with what they hold.
  arrange() {
    const { canvas, state } = this,
      { layer } = state.place;
    const down = this.root.clientWidth <= NARROW,
      unit = parseFloat(getComputedStyle(this.root).fontSize);
    const width = canvas.clientWidth,
      height = down ? 0 : canvas.clientHeight;
    const key = [layer, width, height, unit, down, state.isStrongest].join();
    if (this.key === key) return;
    Object.assign(this, { key, down });
    this.nodes = this.columns(down ? 12 : Math.max(4, Math.floor(width / (unit * 4.3))));
    const room = { along: down ? 30 * unit : width, across: down ? width : height };
    this.layout = arranged(this.nodes, state.made, { ...room, unit, down, chosen: layer });
    this.size = [width, down ? this.layout.length + 8 : height];
    canvas.style.height = down ? `${this.size[1]}px` : "";
    this.headings.show(this.layout, { down, layer, made: state.made });
  }

  // The parts that have a column, at most so many, each with those that it reads.
  columns(most) {
    const { network, place, isStrongest } = this.state;
    const input = { name: "input", stages: ["input"], parts: [] };
    const shown = [input, ...folded(this.parts, place.layer, most - 1)];
    const holder = new Map(shown.flatMap((part) => part.stages.map((stage) => [stage, part.name])));
    return shown.map((part) => {
      const shows = part.stages.includes(place.layer) ? place.layer : part.stages.at(-1);
      const sources = part.stages.flatMap((name) => (name === "input" ? [] : network.readsStages(name)));
      const reads = new Set(sources.map((name) => holder.get(name)));
      reads.delete(part.name);
      reads.delete(undefined);
      const isPaged = isStrongest && shows === place.layer && isMany(this.state.maps),
        operation = network.steps.get(shows)?.operation ?? "";
      return { ...part, shows, isPaged, reads: [...reads], operation };
    });
  }

  // Of the strongest channels, those on the page of the chosen one are seen.
  turnPage({ place, tensor, maps }) {
    const node = [...this.layout.nodes.values()].find(({ isPaged }) => isPaged);
    this.page = node && pageOf(tensor, maps, place.channel, node.grid.columns * node.grid.rows);
    if (node) node.channels = this.page.channels;
  }

  paint([channel, top, left], explained) {
    if (!this.canvas.clientWidth || !this.canvas.clientHeight) return; // not on the screen yet
    this.arrange();
    this.turnPage(this.state);
    const { canvas, state } = this,
      { network, tensors, made, changes, colours, images, place } = state,
      limitsOf = (tensor) => state.limitsOf(tensor);
    const part = { channel, top, left, bottom: top + 1, right: left + 1 };
    const strongest = [...explained.terms].sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
    paintNetwork(sized(canvas, ...this.size), this.layout, {
      ...{ made, changes, colours, limitsOf, channel, range: images.range, down: this.down },
      windows: reachBack(network, tensors, made, place.layer, part),
      terms: strongest.slice(0, MOST_TERMS_DRAWN),
      layer: this.nodes.find((node) => node.shows === place.layer)?.name,
    });
    const label = `${this.nodes.length} layers; you are at ${place.layer}, channel ${channel}`,
      page = this.page ? `; seen there, the strongest first: ${this.page.channels.join(", ")}` : "";
    canvas.setAttribute("aria-label", label + page);
  }
}
