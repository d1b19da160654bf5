// The arrow keys: they move the layer and the channel, and on the large map the value. Two more keys
// turn the pages of the strongest channels.

import { ARROWS, element } from "./elements.js";
import { within } from "./numbers.js";

const PAGES = { PageUp: -1, PageDown: 1 };

export function followKeys(root, { state, actions, controls, strongest, closeUp }) {
  closeUp.map.onkeydown = (event) => {
    const by = ARROWS[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    actions.go(neighbour(state.at, by, closeUp.lens));
  };
  root.onkeydown = (event) => {
    const by = ARROWS[event.key],
      pages = PAGES[event.key];
    const turns = pages && strongest.band.page && event.target.matches(".picture, .strongest *");
    if (!turns && (!by || event.target.matches("input, textarea, select"))) return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab would leave the cell
    if (turns) strongest.turn(pages);
    else if (by[1]) controls.layer.move(controls.number + by[1]);
    else controls.channel.move(state.place.channel + by[0]);
  };
}

const inside = (at, count) => within(at, 0, count - 1);

function neighbour([channel, row, column], [down, right], { maps, columns }) {
  if (maps.isVector) return { channel: inside(channel + down * columns + right, maps.count) };
  return { spot: [inside(row + down, maps.height), inside(column + right, maps.width)] };
}

export function keysInWords() {
  const [left, right, up, down] = [..."←→↑↓"].map((arrow) => element("kbd", {}, arrow));
  const words = " channel; on the large map they move the value";
  return element("span", { class: "keys" }, left, " ", right, " layer  ", up, " ", down, words);
}
