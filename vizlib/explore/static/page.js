
// The same view without a notebook: a model that nobody answers, and sliders of the browser's own.

import { element, put } from "./elements.js";
import { heed } from "./kernel.js";

class Alone {
  constructor(state) {
    this.state = state;
    this.isPage = true;
    this.told = new Map(); // event → those who wait for it
  }

  get(name) {
    return this.state[name];
  }

  set(name, value) {
    if (this.state[name] === value) return;
    this.state[name] = value;
    for (const tell of this.told.get(`change:${name}`) ?? []) tell();
  }

  on(event, tell) {
    this.told.set(event, [...(this.told.get(event) ?? []), tell]);
  }

  off(event, tell) {
    this.told.set(event, (this.told.get(event) ?? []).filter((other) => other !== tell));
  }

  save_changes() {}

  // A question is answered as a kernel would that has nothing more to say.
  send() {
    queueMicrotask(() => (this.told.get("msg:custom") ?? []).forEach((tell) => tell({ over: true }, [])));
  }
}

function unpacked(value, buffers) {
  if (Array.isArray(value)) return value.map((each) => unpacked(each, buffers));
  if (value === null || typeof value !== "object") return value;
  if ("buffer" in value) return buffers[value.buffer];
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, unpacked(each, buffers)]));
}

function slide(model, { name, words, last }) {
  const input = element("input", { type: "range", min: 0 });
  const told = element("span", { "aria-hidden": "true" }); // the slider says it itself
  const say = () => {
    input.max = model.get(`last_${name}`) ?? last;
    input.value = model.get(name);
    const word = words ? words[model.get(name)] : String(model.get(name));
    input.setAttribute("aria-valuetext", word);
    input.style.setProperty("--at", `${(100 * input.value) / (Number(input.max) || 1)}%`);
    put(told, word);
  };
  input.oninput = () => model.set(name, Number(input.value));
  heed(model, { [name]: say, [`last_${name}`]: say });
  say();
  return element("label", {}, name, input, told);
}

// A loop, for weights are tens of megabytes: `Uint8Array.from` would take seconds for them.
function decoded(text) {
  const characters = atob(text), own = new Uint8Array(characters.length);
  for (let i = 0; i < own.length; i++) own[i] = characters.charCodeAt(i);
  return new DataView(own.buffer);
}

function page(state, sliders, encoded) {
  const buffers = encoded.map(decoded);
  const model = new Alone(unpacked(state, buffers)), view = widget();
  document.querySelector(".sliders").append(...sliders.map((slider) => slide(model, slider)));
  view.initialize?.({ model });
  view.render({ model, el: document.querySelector(".view") });
}
