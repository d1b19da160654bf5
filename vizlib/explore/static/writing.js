// What all front ends write with.

// Writing costs the page a new layout, also where nothing is new.
function put(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function mark(target, name, value) {
  if (target.getAttribute(name) !== String(value)) target.setAttribute(name, value);
}

const GONE = "The kernel has restarted: run the cell again.";

// Tells the kernel something, and returns whether there is one to be told.
function tell(send) {
  try {
    send();
    return true;
  } catch {
    return false;
  }
}
