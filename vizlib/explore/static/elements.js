// Elements of the page: all text goes in as text, so that no name can be markup.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
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
