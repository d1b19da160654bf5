// A place for photographs: chosen or dropped, sent in parts, as a message has its limit.

import { followColours } from "./colours.js";
import { element, put } from "./elements.js";
import { GONE, heed, tell } from "./kernel.js";
import { follow } from "./steps.js";

const PART = 1 << 20, MOST = 64 << 20; // bytes

function build(el) {
  const file = element("input", { type: "file", accept: "image/*" });
  const label = element("label", {}, file, element("span", {}, "Photograph of one digit"));
  const zone = element("div", { class: "vizlib-drop" }, label, element("p", {}, "or drop it here"));
  const root = element("div", { class: "vizlib-reader" }, zone);
  el.classList.add("vizlib-room");
  el.append(root);
  return { file, zone, root };
}

function render({ model, el }) {
  const { file, zone, root } = build(el);
  const { answer, error, unfollow } = follow(model, root);

  const hand = async (photo) => {
    if (photo.size > MOST) {
      const size = Math.ceil(photo.size / 1e6);
      put(error, `${photo.name} has ${size} MB, and what is read has 67 at most: crop it to the digit`);
      return;
    }
    root.setAttribute("aria-busy", "true");
    answer.textContent = `Reading ${photo.name} …`;
    const content = await photo.arrayBuffer(), ticket = `${Date.now()} ${Math.random()}`;
    const parts = Math.max(1, Math.ceil(content.byteLength / PART));
    for (let part = 0; part < parts; part++) {
      const buffer = content.slice(part * PART, (part + 1) * PART);
      const about = { ticket, parts, name: photo.name };
      if (!tell(() => model.send(about, undefined, [buffer]))) return restore(GONE);
    }
  };

  file.onchange = () => {
    if (file.files.length) hand(file.files[0]);
    file.value = ""; // or the same file could not be chosen again
  };
  // Without this the browser leaves the lesson and opens the photograph instead.
  const over = (event) => {
    event.preventDefault();
    event.stopPropagation();
    zone.classList.toggle("over", event.type === "dragover");
    if (event.type === "drop" && event.dataTransfer.files.length) hand(event.dataTransfer.files[0]);
  };
  root.ondragover = root.ondragleave = root.ondrop = over;

  const restore = (failed = model.get("error")) => {
    root.removeAttribute("aria-busy");
    put(answer, model.get("answer"));
    put(error, failed);
  };
  const ends = [unfollow, heed(model, { answered: () => restore() }), followColours(root, () => {})];
  return () => {
    for (const end of ends) end();
  };
}

export default { render };
