// The place where you stand, seen closely: one map large, how its value is made, who needs it.

import { put } from "./elements.js";
import { showEquation } from "./equation_view.js";
import { valueAt } from "./graph.js";
import { LEGEND, paintLens, placeIn } from "./lens.js";
import { showNeeds } from "./needs.js";
import { brief, statistics, winnerOf, written } from "./numbers.js";

export class CloseUp {
  constructor(find, state, actions, onPoint) {
    Object.assign(this, { state, actions, onPoint });
    this.map = find("map");
    this.second = find("beside");
    this.equation = find("made");
    this.needs = find("needs");
    [this.title, this.facts] = find("top").children;
    this.needs.hidden = !state.ends;
    this.follow();
  }

  follow() {
    this.map.onpointermove = (event) => {
      const at = event.pointerType === "mouse" ? this.pointed(event) : null;
      if (at && !this.lens.maps.isVector) this.hover(at.slice(1));
    };
    this.map.onpointerleave = () => this.hover(null);
    this.map.onclick = (event) => {
      const at = this.pointed(event);
      if (at) this.actions.go({ channel: at[0], spot: this.lens.maps.isVector ? null : at.slice(1) });
    };
  }

  pointed(event) {
    const box = this.map.getBoundingClientRect(),
      { channel } = this.state.place;
    return placeIn(this.lens, channel, event.clientX - box.left, event.clientY - box.top);
  }

  hover(spot) {
    this.state.place.hover = spot;
    this.onPoint();
  }

  paint(at, explained) {
    const { state } = this,
      { maps, tensor, place } = state,
      facts = statistics(state.values);
    const value = tensor.values.length ? valueAt(tensor, maps, at) : 0;
    const inMap = maps.height === 1 ? `Position ${at[2]}` : `Row ${at[1]}, column ${at[2]}`;
    const where = maps.isVector ? `Unit ${place.channel}` : inMap;
    this.paintTitle(facts);
    this.paintMap(at, `${where}: ${written(value, Math.max(facts.peak, 10))}`);
    if (tensor.values.length) this.paintEquation(where, explained, value, facts.peak);
    else this.equation.replaceChildren(); // nothing was made
    if (state.ends) this.paintNeeds();
  }

  get name() {
    const { place, unit } = this.state;
    return `${place.layer}, ${unit} ${place.channel}`;
  }

  paintTitle({ min, max, mean, zeros, peak }) {
    const { maps, network, place, refusals, tensor } = this.state;
    const number = (value) => brief(value, peak),
      shape = maps.isVector ? maps.count : `${maps.height}×${maps.width}`;
    const span = [`min ${number(min)}`, `max ${number(max)}`, `mean ${number(mean)}`];
    const { operation } = network.steps.get(place.layer);
    put(this.title, this.name);
    const known = [operation, shape, ...span, `zeros ${Math.round(100 * zeros)} %`, ...this.neighbour];
    const empty = `${place.layer} gave no values: its shape is (${tensor.shape.join(", ")})`;
    put(this.facts, refusals[place.layer] ?? (tensor.values.length ? known.join(" · ") : empty));
  }

  // Whose map stands beside this one, and what that image is read as.
  get neighbour() {
    const { beside, data, ends, other } = this.state,
      scores = other?.[ends?.scores]?.values;
    if (!other) return [];
    return [`beside it image ${beside}${scores ? `, read as ${data.classes[winnerOf(scores)]}` : ""}`];
  }

  paintMap(at, label) {
    const { state } = this,
      { place, tensor, colours, images } = state,
      side = this.map.clientHeight,
      other = state.other?.[place.layer],
      both = [tensor, other].filter(Boolean);
    const limit = Math.max(...both.map((each) => state.limitsOf(each)(at[0]))),
      view = { name: place.layer, place: at, colours, range: images.range, side, limit };
    const paint = (canvas, shown, words) => {
      canvas.style.width = `${side + LEGEND}px`;
      canvas.setAttribute("aria-label", words);
      return paintLens(canvas, { ...view, tensor: shown });
    };
    this.lens = paint(this.map, tensor, `${this.name}. ${label}`);
    this.second.hidden = !other;
    if (other) paint(this.second, other, `the same map of image ${state.beside}`);
  }

  paintEquation(where, explained, value, peak) {
    const { factor, colours, place } = this.state,
      sum = explained.sum ?? value,
      number = (each) => brief(each, peak);
    showEquation(this.equation, explained, {
      title: `${where} is ${number(sum)}: ${explained.words}`,
      colours,
      term: place.term,
      faded: factor < 1 ? `times ${factor}, its strength here: ${number(sum * factor)}` : "",
      onTerm: (term) => {
        place.term = term;
        this.onPoint();
      },
    });
  }

  paintNeeds() {
    const svg = this.needs.querySelector("svg"),
      [about, said] = this.needs.querySelectorAll("p");
    const { place, data, needs, unit } = this.state,
      isKnown = needs?.layer === place.layer;
    svg.style.visibility = isKnown ? "" : "hidden";
    if (!isKnown) return put(said, "");
    const winner = winnerOf(needs.score),
      { classes } = data;
    const onChannel = (channel) => this.actions.go({ channel }),
      score = needs.score[winner];
    put(this.needs.firstChild, `Without each ${unit}`);
    put(about, `score of ${classes[winner]}; orange: lost`);
    put(said, showNeeds(svg, { ...needs, score, winner, chosen: place.channel, classes, onChannel }));
  }
}
