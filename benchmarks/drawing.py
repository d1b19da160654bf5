"""From a tap on the drawing pad to the painted answer, in JupyterLab.

python benchmarks/drawing.py       # about a minute; needs Chromium

Each tap adds a dot. It is timed in the page, from the pointer's way down to the animation frame
after the scores have changed. The browser computes LeNet and NewNet; `fed` is LeNet with a step
that no page can compute, so that the kernel answers.

The echo is the least that a pad which asks the kernel could take on the machine: it paints a dot,
sends 784 bytes, and paints the 784 bytes that the kernel sends back.
"""

import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


TAPS = 24
IMPORTS = """import torch
from vizlib import explore, weights
class Rolling(torch.nn.Sequential):
    def forward(self, x):
        return super().forward(torch.roll(x, 28, 2))"""
NETWORKS = {
    "lenet": 'weights.load("lenet")',
    "newnet": 'weights.load("newnet")',
    "fed": 'Rolling(weights.load("lenet"))',
}
ECHO = """
import anywidget, traitlets
class Echo(anywidget.AnyWidget):
    asked = traitlets.CBytes().tag(sync=True)
    answer = traitlets.Bytes().tag(sync=True)
    _esm = '''
    export default { render({ model, el }) {
      const pad = document.createElement("canvas"), back = document.createElement("canvas");
      pad.className = "pad";
      pad.width = pad.height = 280;
      back.width = back.height = 28;
      const box = document.createElement("div");
      box.className = "scores";
      box.append(back);
      el.append(pad, box);
      pad.onpointerdown = (event) => {
        const { left, top } = pad.getBoundingClientRect();
        pad.getContext("2d").fillRect(event.clientX - left, event.clientY - top, 24, 24);
        model.set("asked", new DataView(new Uint8Array(784).fill(Math.random() * 256).buffer));
        model.save_changes();
      };
      model.on("change:answer", () => {
        const image = new ImageData(28, 28), { buffer } = model.get("answer");
        new Uint8Array(buffer).forEach((value, i) => (image.data[4 * i + 3] = value));
        back.getContext("2d").putImageData(image, 0, 0);
        back.setAttribute("data-answers", 1 + Number(back.getAttribute("data-answers")));
      });
    } };
    '''
echo = Echo()
echo.observe(lambda change: echo.set_trait("answer", change["new"]), "asked")
"""
WATCH = """() => {
  let start = null;
  window.times = [];
  const [pad, scores] = [".pad", ".scores"].map((name) => document.querySelector(name));
  pad.addEventListener("pointerdown", () => { start = performance.now(); }, true);
  const told = () => {
    if (start === null) return;
    const since = start;
    start = null;
    requestAnimationFrame(() => setTimeout(() => window.times.push(performance.now() - since)));
  };
  new MutationObserver(told).observe(scores, { subtree: true, childList: true, attributes: true });
}"""


def in_browser(run_cells: Any, *cells: str) -> list[float]:
    """Return the milliseconds from each tap to its answer."""
    opened = run_cells(*cells)
    page = opened.page
    page.locator(".pad").scroll_into_view_if_needed()
    page.evaluate(WATCH)
    box = page.locator(".pad").bounding_box()
    for tap in range(TAPS):
        row, column = divmod(tap, 6)
        page.mouse.click(box["x"] + 30 + 32 * column, box["y"] + 30 + 50 * row)
        page.wait_for_timeout(500)
    return page.evaluate("window.times")


@pytest.mark.parametrize("network", NETWORKS)
def test_tap_to_answer(network: str, run_cells: Any, capsys: Any) -> None:
    """Time one network, with no other notebook open."""
    seen = in_browser(run_cells, IMPORTS, f"explore.draw({NETWORKS[network]})")
    with capsys.disabled():
        print(said(network, seen))


def test_tap_to_echo(run_cells: Any, capsys: Any) -> None:
    """Time the least that it could be."""
    seen = in_browser(run_cells, ECHO, "echo")
    with capsys.disabled():
        print(said("echo", seen))


def said(name: str, times: list[float]) -> str:
    """Return the figures of one pad in words."""
    return (
        f"\n{name:7} {len(times)} taps, milliseconds from tap to painted answer: "
        f"median {median(times):.1f}, fastest {min(times):.1f}, worst {max(times):.1f}"
    )


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", "-p", "conftest", "-p", "no:cacheprovider"]))
