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
