// What ipywidgets' sliders lack, and the buttons of a slider that is stepped through.

import { disable, element, put } from "./elements.js";
import { within } from "./numbers.js";

const INTERVAL = 800; // ms between two steps of Play

// They have no name that a screen reader could say, and numbers for words.
export function nameSliders(box) {
  for (const handle of box?.querySelectorAll(".noUi-handle") ?? []) {
    const slider = handle.closest(".widget-inline-hbox");
    const name = slider?.querySelector("label")?.textContent ?? "";
    const shown = slider?.querySelector(".widget-readout");
    const say = (to, what, text) => to.getAttribute(what) === text || to.setAttribute(what, text);
    say(handle, "aria-label", name);
    say(handle, "aria-valuetext", shown?.textContent ?? "");
    if (!shown?.isContentEditable) continue;
    say(shown, "role", "textbox");
    say(shown, "aria-label", `${name}, as a number`);
  }
}

// Their End key goes to the last value of the range that they began with.
export function mendEndKey(box, toEnd) {
  const atEnd = (event) => {
    if (event.key !== "End" || !event.target.classList.contains("noUi-handle")) return;
    if (toEnd(event.target.getAttribute("aria-label")) === false) return;
    event.preventDefault();
    event.stopPropagation();
  };
  box?.addEventListener("keydown", atEnd, true);
  return () => box?.removeEventListener("keydown", atEnd, true);
}

// Back, Next and Play for one slider.
export function stepper(name, { model, change, lastOf }) {
  const button = (text) => element("button", { type: "button" }, text);
  const [back, next, play] = ["Back", "Next", "Play"].map(button);
  let timer;
  const go = (by) => change(name, within(model.get(name) + by, 0, lastOf(name)));
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
    disable(back, model.get(name) === 0);
    disable(next, model.get(name) === lastOf(name));
  };
  return { root: element("div", { class: "vizlib-stepper" }, back, next, play), say, stop };
}
