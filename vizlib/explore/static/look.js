// How large and in which colours panels are painted.

const DESCRIBED = 860, FULLY_GROWN = 1.9; // CSS pixels of a view as it is described, and how far it grows

// Everything is measured once a frame: pictures grow with the room, letters with their own style.
export function lookOf(root, panels, colours) {
  const style = getComputedStyle(root), ratio = window.devicePixelRatio || 1, room = panels.clientWidth;
  const grown = Math.min(Math.max(room / DESCRIBED, 1), FULLY_GROWN);
  const letter = Number.parseFloat(style.fontSize);
  const named = (name) => style.getPropertyValue(`--${name}`);
  const colour = { ink: named("ink"), line: named("line"), font: style.fontFamily };
  colour.isDark = root.classList.contains("dark");
  return {
    colour, colours, ratio,
    room: Math.floor(room * ratio),
    pixel: (size) => Math.round(size * grown * ratio),
    type: (size) => size * letter * ratio,
  };
}
