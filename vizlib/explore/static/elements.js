// Elements of the page: all text goes in as text, so that no name can be markup.

export const element = (tag, attributes, ...children) =>
  furnished(document.createElement(tag), attributes, children);

// The same for a drawing: "svg" and what lies in it.
export const drawn = (tag, attributes, ...children) =>
  furnished(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function furnished(made, attributes = {}, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made[name] = value;
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

// Writing costs the page a new layout, also where nothing is new.
export function put(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

export const press = (button, is) => button.setAttribute("aria-pressed", String(is));

// A button that is truly disabled would lose the focus of whoever steps from the keyboard.
export function disable(button, is) {
  if (button.getAttribute("aria-disabled") !== String(is)) button.setAttribute("aria-disabled", is);
}

// Rows and columns that an arrow key moves.
export const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

// Does its work once when `later` comes, however often it is asked for meanwhile.
export function once(later, work) {
  let isComing = false;
  return () => {
    if (isComing) return;
    isComing = true;
    later(() => {
      isComing = false;
      work();
    });
  };
}
