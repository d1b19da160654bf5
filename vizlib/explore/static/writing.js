// What all front ends write with.

// Writing costs the page a new layout, also where nothing is new.
function put(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function mark(target, name, value) {
  if (target.getAttribute(name) !== String(value)) target.setAttribute(name, value);
}
