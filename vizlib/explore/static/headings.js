// The names above the columns of the picture, as long as there is room for.

import { element, put } from "./elements.js";

const ROOM_BESIDE = 72; // pixels, where the picture flows down and names stand at its side

export class Headings {
  constructor(root, onLayer) {
    Object.assign(this, { root, onLayer, heads: new Map() });
  }

  show(layout, { down, layer, made }) {
    for (const node of layout.nodes.values()) {
      const head = this.headOf(node.name),
        shape = made[node.shows].shape.slice(1).join("×"),
        isOne = node.stages.length === 1;
      const room = down ? ROOM_BESIDE : roomFor(node, layout);
      const sizes = isOne ? [shape, shape.split("×")[0]] : manyLayers(node.stages.length);
      put(head.firstChild, fitting(namesFor(node.name), room, head.firstChild));
      put(head.lastChild, fitting(sizes, room, head.lastChild));
      head.onclick = () => node.shows !== "input" && this.onLayer(node.shows);
      head.title = `${node.name}: ${isOne ? shape : node.stages.join(", ")}`;
      head.classList.toggle("here", node.shows === layer);
      head.style.cssText = down ? `top:${node.y}px` : above(node, layout);
    }
    this.forgetOthers(layout.nodes);
  }

  headOf(name) {
    if (!this.heads.has(name)) {
      this.heads.set(name, element("button", { type: "button" }, element("b"), element("small")));
      this.root.append(this.heads.get(name));
    }
    return this.heads.get(name);
  }

  forgetOthers(nodes) {
    for (const [name, head] of this.heads) {
      if (nodes.has(name)) continue;
      head.remove();
      this.heads.delete(name);
    }
  }
}

const manyLayers = (count) => [`${count} layers`, "…"];

// Those that stand side by side have their names between them.
function above(node, { nodes }) {
  const [start, size] = node.room,
    first = [...nodes.values()].find((other) => other.room[0] === start);
  const top = first === node ? "" : `;top:calc(0.05rem + ${node.y}px)`;
  return `left:${start + size / 2}px${top}`;
}

// From the middle of one column to that of the next, or to the end of the picture.
function roomFor({ room: [start, size] }, { nodes, length }) {
  const middle = start + size / 2;
  const far = [...nodes.values()].map(({ room: [at, wide] }) => Math.abs(at + wide / 2 - middle));
  return Math.min(...far.filter((each) => each > 1), 2 * (length - middle) + 12) - 6;
}

// The same name, shorter and shorter.
function namesFor(name) {
  const first = name.split(" … ")[0],
    path = first.split(".");
  return [name, ...(first === name ? [] : [`${first} …`]), path.slice(-2).join("."), path.at(-1)];
}

const ruler = new OffscreenCanvas(1, 1).getContext("2d");

function fitting(texts, room, head) {
  const { fontWeight, fontSize, fontFamily } = getComputedStyle(head);
  ruler.font = `${fontWeight} ${fontSize} ${fontFamily}`;
  const last = texts.at(-1),
    cut = [...last].map((_, i) => `${last.slice(0, last.length - 1 - i)}…`);
  return [...texts, ...cut].find((text) => ruler.measureText(text).width <= room) ?? "";
}
