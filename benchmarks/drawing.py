"""From a tap on the drawing pad to the painted answer, in JupyterLab.

python benchmarks/drawing.py       # about a minute; needs Chromium

Each tap adds a dot. It is timed in the page, from the pointer's way down to the animation frame
after steps, probabilities and maps have changed. Beside it stands what the kernel itself takes for
an answer, in processor time, which other work on the machine does not lengthen.
"""

import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from vizlib import explore, weights

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


TAPS = 24
NETWORKS = ("lenet", "newnet")
# The front end hears of the steps last: maps and probabilities are there by then.
WATCH = """() => {
  let start = null;
  window.times = [];
  const [pad, steps] = [".vizlib-pad", ".vizlib-steps"].map((name) => document.querySelector(name));
  pad.addEventListener("pointerdown", () => { start = performance.now(); }, true);
  const told = () => {
    if (start === null) return;
    const since = start;
    start = null;
    requestAnimationFrame(() => setTimeout(() => window.times.push(performance.now() - since)));
  };
  new MutationObserver(told).observe(steps, { subtree: true, childList: true, attributes: true });
}"""


def in_browser(run_cells: Any, network: str) -> list[float]:
    """Return the milliseconds from each tap to its answer."""
    draw = f'explore.draw(weights.load("{network}"))'
    opened = run_cells("from vizlib import explore, weights", draw)
    page = opened.page
    page.locator(".vizlib-pad").scroll_into_view_if_needed()
    page.evaluate(WATCH)
    box = page.locator(".vizlib-pad").bounding_box()
    for tap in range(TAPS):
        row, column = divmod(tap, 6)
        page.mouse.click(box["x"] + 30 + 32 * column, box["y"] + 30 + 50 * row)
        page.wait_for_timeout(500)
    return page.evaluate("window.times")


def in_kernel(network: str) -> list[float]:
    """Return the milliseconds of processor time that each answer takes the kernel."""
    pad, ink = explore.draw(weights.load(network)), np.zeros((280, 280), np.uint8)
    times = []
    for tap in range(TAPS):
        ink[20 + 10 * tap : 30 + 10 * tap, 100:160] = 255
        start = time.process_time()
        asked = {"ink": memoryview(ink.tobytes()), "asked": tap + 1}
        pad._front.set_state(asked)  # noqa: SLF001 - as the browser does
        times.append((time.process_time() - start) * 1000)
    return times


def test_tap_to_answer(run_cells: Any, capsys: Any) -> None:
    """Time both networks."""
    for network in NETWORKS:
        seen, computed = in_browser(run_cells, network), in_kernel(network)
        with capsys.disabled():
            print(
                f"\n{network:7} {len(seen)} taps, milliseconds from tap to painted answer: "
                f"median {median(seen):.1f}, fastest {min(seen):.1f}, worst {max(seen):.1f}; "
                f"of it the kernel's own: median {median(computed):.1f}"
            )


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", "-p", "conftest", "-p", "no:cacheprovider"]))
