// The view: one network, one place where you stand, and all views of both.

import { Actions } from "./actions.js";
import { Address } from "./address.js";
import { Band } from "./band.js";
import { difference } from "./check.js";
import { CloseUp } from "./closeup.js";
import { followColours } from "./colours.js";
import { Controls } from "./controls.js";
import { once, put } from "./elements.js";
import { explain } from "./equation.js";
import { frame } from "./frame.js";
import { Intake } from "./intake.js";
import { followKeys } from "./keyboard.js";
import { Learn } from "./learn.js";
import { Linked } from "./linked.js";
import { Reply } from "./reply.js";
import { mendEndKey, nameSliders } from "./sliders.js";
import { State } from "./state.js";
import { Strongest } from "./strongest.js";

const CHANNEL = new Set(["channel", "unit"]); // of maps, or of a layer of single numbers

function live(model, el, state, furnish) {
  const root = frame(el),
    find = (name) => root.querySelector(`.${name}`);
  const paintSoon = once(requestAnimationFrame, () => root.isConnected && paint(state, views));
  const actions = new Actions(state, paintSoon);
  const band = new Band(root, find("network").querySelector("canvas"), find("titles"), state, actions),
    strongest = new Strongest(find("strongest"), state, actions, band);
  const views = {
    band,
    closeUp: new CloseUp(find, state, actions, paintSoon),
    others: [
      new Controls(find("controls"), find("restore"), state, actions, !model.isPage),
      new Intake(find("drawing"), find("samples"), state, actions),
      new Reply(find("scores"), find("answer"), state, actions),
      new Learn(find("learn"), state, actions),
      strongest,
      ...(model.isPage ? [] : [mendedSliders(root, model, state)]),
      ...furnish(root, state, actions),
    ],
  };
  const fedBy = model.isPage ? "recorded" : "computed by the kernel",
    [controls, intake] = views.others;
  root.classList.toggle("linked", !model.isPage);
  find("band").classList.toggle("unscored", !state.ends);
  put(find("name"), state.data.title);
  put(find("about"), `${state.data.about}, ${state.fed ? fedBy : "computed in this page"}`);
  followKeys(root, { state, actions, controls, strongest, closeUp: views.closeUp });
  intake.open(model); // before the image of the place is told
  const unfollow = [
    followRoom(root, paintSoon),
    model.isPage ? new Address(state, actions).follow() : new Linked(model, state, actions).follow(),
  ];
  actions.answers.ask();
  if (state.beside >= 0) actions.answers.answerBeside();
  setTimeout(async () => put(find("foot"), await difference(state)));
  if (model.isPage) window.vizlib = forPrograms(state);
  return () => {
    for (const end of unfollow) end();
    for (const view of views.others) view.end?.();
    state.thread.end();
  };
}

// For who looks into a page by a program: what each layer makes of an image's numbers.
const forPrograms = (state) => ({
  stages: (values) => {
    const made = state.compute({ shape: state.input.shape, values: Float32Array.from(values) });
    return Object.fromEntries(state.names.map((name) => [name, made[name]]));
  },
});

function paint(state, { band, closeUp, others }) {
  const { network, tensors, made, place, at } = state,
    explained = explain(network, tensors, made, place.layer, at);
  band.paint(at, explained);
  closeUp.paint(at, explained);
  for (const view of others) view.paint(explained);
}

// The sliders of a notebook are found once the view is there.
function mendedSliders(root, model, state) {
  let isMended = false;
  const paint = () => {
    const box = root.closest(".vizlib"),
      names = [...(box?.querySelectorAll(".widget-label") ?? [])];
    const channel = names.find((each) => CHANNEL.has(each.textContent));
    if (channel) put(channel, state.unit);
    nameSliders(box);
    if (isMended || !box) return;
    mendEndKey(box, (name) => CHANNEL.has(name) && model.set("channel", model.get("last_channel")));
    isMended = true;
  };
  return { paint };
}

// Another size, or other colours.
function followRoom(root, paintSoon) {
  const resized = new ResizeObserver(paintSoon),
    unfollow = followColours(root, paintSoon);
  resized.observe(root);
  return () => {
    resized.disconnect();
    unfollow();
  };
}

// A large network's weights come when they are asked for; without a kernel nobody sends them.
function weightsOf(model, el) {
  const { weights, isComputed } = model.get("held");
  if (weights.byteLength || !isComputed) return weights;
  el.textContent = "The weights are with the kernel: run the cell again.";
  return new Promise((resolve) => {
    model.on("msg:custom", (_content, [sent]) => {
      el.textContent = "";
      resolve(sent);
    });
    model.send({ weights: true });
  });
}

// What else stands in the view is put there by furnish(root, state, actions), which returns its parts.
export const liveView = (furnish = () => []) => () => ({
  render: async ({ model, el }) => {
    const state = new State(model, await weightsOf(model, el));
    return live(model, el, await state.open(), furnish);
  },
});
