// The page: one network that computes, one place where you stand, and all views of both.

import { Actions } from "./actions.js";
import { wordsOf } from "./address.js";
import { Band } from "./band.js";
import { difference } from "./check.js";
import { CloseUp } from "./closeup.js";
import { Controls } from "./controls.js";
import { element, put } from "./elements.js";
import { explain } from "./equation.js";
import { Intake } from "./intake.js";
import { followKeys, keysInWords } from "./keyboard.js";
import { Reply } from "./reply.js";
import { State } from "./state.js";

export function live(page, data) {
  const find = (id) => page.getElementById(id),
    state = new State(data);
  const paintSoon = oncePerFrame(() => paint(state, views));
  const actions = new Actions(state, paintSoon);
  const views = {
    band: new Band(find("network").querySelector("canvas"), find("heads"), state, actions),
    closeUp: new CloseUp(find, state, actions, paintSoon),
    others: [
      new Controls(find("controls"), find("top").querySelector("button"), state, actions),
      new Intake(find("drawing"), find("samples"), state, actions),
      new Reply(find("scores"), find("answer"), state, actions),
    ],
  };
  const [controls, intake] = views.others;
  find("band").classList.toggle("unscored", !state.ends);
  put(find("about"), data.about);
  page.querySelector("footer").append(element("span", { id: "foot" }), keysInWords());
  followKeys(page, { state, actions, controls, closeUp: views.closeUp });
  followWindow(state, actions, paintSoon);
  window.onhashchange();
  if (intake.opensEmpty) {
    state.place.image = null;
    state.isEmpty = true;
  }
  actions.tells = true;
  actions.answers.ask();
  paint(state, views);
  setTimeout(() => put(find("foot"), difference(state)));
}

function paint(state, { band, closeUp, others }) {
  const { network, tensors, made, place, at } = state,
    explained = explain(network, tensors, made, place.layer, at);
  band.paint(at, explained);
  closeUp.paint(at, explained);
  for (const view of others) view.paint();
}

// What comes from outside: another address, another size or colours, and a program that asks.
function followWindow(state, actions, paintSoon) {
  window.onhashchange = () => actions.goTo(wordsOf(location.hash, state.data.place));
  new ResizeObserver(paintSoon).observe(document.body);
  matchMedia("(prefers-color-scheme: dark)").onchange = paintSoon;
  window.vizlib = {
    stages: (values) => {
      const image = { shape: state.input.shape, values: Float32Array.from(values) };
      const made = state.compute(image);
      return Object.fromEntries(state.names.map((name) => [name, made[name]]));
    },
  };
}

function oncePerFrame(act) {
  let isComing = false;
  return () => {
    if (isComing) return;
    isComing = true;
    requestAnimationFrame(() => {
      isComing = false;
      act();
    });
  };
}
