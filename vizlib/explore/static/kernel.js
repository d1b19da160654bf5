// The kernel behind a view, which may have gone.

export const GONE = "The kernel has restarted: run the cell again.";

// Tells the kernel something, and returns whether there is one to be told.
export function tell(send) {
  try {
    send();
    return true;
  } catch {
    return false;
  }
}

// Hears of changes, each by the name of its trait, until what is returned is called.
export function heed(model, handlers) {
  const all = Object.entries(handlers);
  for (const [name, handler] of all) model.on(`change:${name}`, handler);
  return () => {
    for (const [name, handler] of all) model.off(`change:${name}`, handler);
  };
}

// The kernel gets what was drawn last, in the place of what it gave.
export function setInk(model, { place, ink }) {
  if (place.image !== null || !ink) return;
  model.set("ink", new DataView(ink.buffer));
  model.set("given", new DataView(new ArrayBuffer(0)));
}
