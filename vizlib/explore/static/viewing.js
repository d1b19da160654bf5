// A view: whatever slides, the frame of that place is painted in the next frame of the screen.
//
// Where frames come from is told by `source`: get(place) returns one, or nothing yet; fetch(place)
// asks for it; `arrived` holds who is told of news; `gone` says that nobody answers any more. What
// else stands in the view is put there by furnish(root, change), which returns what takes it away.

import { followColours } from "./colours.js";
import { element, once, put } from "./elements.js";
import { GONE, heed, tell } from "./kernel.js";
import { lookOf } from "./look.js";
import { bytes, packedPalette } from "./numbers.js";
import { part, show } from "./panels.js";
import { mendEndKey, nameSliders, stepper } from "./sliders.js";

export const viewOf = (sourceOf) => () => {
  let source;
  return {
    initialize: ({ model }) => void (source = sourceOf(model)),
    render: (view) => render(source, view),
  };
};

function render(source, { model, el }) {
  const panels = element("div", { class: "vizlib-panels", role: "group" });
  const status = element("p", { class: "status", role: "status" });
  const names = model.get("names"), colours = packedPalette(bytes(model.get("palette")));
  const start = names.map((name) => model.get(name));
  let parts = [], asked = 0, painted = start, unmend;

  const change = (name, value) => {
    model.set(name, value);
    tell(() => model.save_changes());
  };
  // Nobody answers any more: the sliders go back to what is painted.
  const stay = () => {
    names.forEach((name, i) => change(name, painted[i]));
    for (const one of steppers) one.stop();
    say(GONE);
  };
  const lastOf = (name) => model.get(`last_${name}`) ?? Infinity;
  const steppers = model.get("stepped").map((name) => stepper(name, { model, change, lastOf }));
  const headline = element("p", { class: "headline", role: "status" });
  const above = steppers.map((one) => one.root);
  const body = element("div", { class: "body" }, ...above, headline, panels, status);
  const root = element("div", { class: "vizlib-view" }, body), unfurnish = source.furnish?.(root, change);
  el.classList.add("vizlib-room");
  el.append(root);

  const pick = (sliders, place) => {
    for (const [what, name] of Object.entries(sliders)) change(name, Math.min(place[what], lastOf(name)));
  };
  const say = (text) => put(status, text);

  // A slider whose range has become shorter goes to its end.
  const follow = ({ last }) => {
    for (const [name, end] of Object.entries(last)) {
      if (lastOf(name) !== end) change(`last_${name}`, end);
      if (model.get(name) > end) change(name, end);
    }
  };

  const paint = () => {
    asked = 0;
    nameSliders(el.closest(".vizlib"));
    const place = names.map((name) => model.get(name)), frame = source.get(place);
    if (!frame && model.get("alone")) return alone(place);
    source.fetch(place, names.map(lastOf));
    root.setAttribute("aria-busy", String(!frame && !source.error && !source.gone));
    for (const one of steppers) one.say();
    if (source.error) return say(source.error);
    if (!frame) return source.gone ? stay() : undefined;
    painted = place;
    follow(frame);
    paintFrame(frame);
    return undefined;
  };

  const paintFrame = (frame) => {
    const kinds = frame.panels.map((panel) => `${panel.kind}${panel.below}`).join();
    if (panels.dataset.kinds !== kinds) {
      panels.dataset.kinds = kinds;
      parts = frame.panels.map((panel) => part(panel, { pick, say }));
      panels.replaceChildren(...frame.panels.flatMap((panel, i) =>
        panel.below ? [element("hr"), parts[i].root] : [parts[i].root]));
    }
    const look = lookOf(root, panels, colours);
    parts.forEach((one, i) => show(one, frame.panels[i], look));
    for (const one of parts) one.reread?.();
    panels.setAttribute("aria-label", frame.says);
    put(headline, frame.headline ?? "");
    headline.classList.toggle("differs", frame.differ === true);
  };

  // A page without a kernel may hold only what one slider at a time can reach: the others go back.
  const alone = (place) => {
    const back = start.map((value, i) => (i === source.moved ? place[i] : value));
    names.forEach((name, i) => change(name, (source.get(back) ? back : start)[i]));
    say("This page holds one slider at a time: the others went back to where they stood.");
  };

  const soon = () => (asked ||= requestAnimationFrame(paint));
  // What a slider moves is painted when the event is over, not a frame later: once, whatever it moved.
  const atOnce = once(queueMicrotask, () => {
    cancelAnimationFrame(asked);
    paint();
  });
  const slid = (i) => {
    source.moved = i;
    atOnce();
  };
  const unheed = heed(model, Object.fromEntries(names.map((name, i) => [name, () => slid(i)])));
  source.arrived.add(soon);
  const unfollow = followColours(root, soon);
  const resized = new ResizeObserver(() => {
    const toEnd = (name) => names.includes(name) && change(name, lastOf(name));
    unmend ??= mendEndKey(el.closest(".vizlib"), toEnd);
    soon();
  });
  resized.observe(el);
  return () => {
    resized.disconnect();
    unfollow();
    unfurnish?.();
    unmend?.();
    for (const one of steppers) one.stop();
    source.arrived.delete(soon);
    unheed();
  };
}
