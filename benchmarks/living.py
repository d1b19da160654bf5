"""The network in a page beside torch, and the time from a stroke to its picture, in Chromium.

python benchmarks/living.py       # about a minute; needs Chromium

A forward pass of the page and one of torch take turns, pass by pass, for LeNet and NewNet on one
image. Then the mouse draws: from each move on the pad until two animation frames later, which is
when the picture that follows from it has been shown. Medians of 40.
"""

import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch

from vizlib import data, explore, models, weights

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

ROUNDS, WARM = 40, 10
NETWORKS = ("lenet", "newnet")
FORWARD = """(values) => {
  const start = performance.now();
  window.vizlib.stages(values);
  return performance.now() - start;
}"""
# The clock starts when the page hears of the move.
WATCH = """() => {
  window.times = [];
  document.querySelector(".pad").addEventListener("pointermove", () => {
    const start = performance.now();
    requestAnimationFrame(() => requestAnimationFrame(() =>
      window.times.push(performance.now() - start)));
  }, true);
}"""


def forward(page: Any, model: Any, x: torch.Tensor) -> tuple[list[float], list[float]]:
    """Return the milliseconds of each pass, in the page and by torch."""
    page.evaluate("(values) => { window.values = new Float32Array(values); }", x.flatten().tolist())
    ours, torchs = [], []
    with models.eval_mode(model), torch.inference_mode():
        for _ in range(WARM + ROUNDS):
            ours.append(page.evaluate(f"() => ({FORWARD})(window.values)"))
            start = time.perf_counter()
            model(x)
            torchs.append((time.perf_counter() - start) * 1000)
    return ours[WARM:], torchs[WARM:]


def strokes(page: Any) -> list[float]:
    """Return the milliseconds from each move of the mouse on the pad to the second frame after."""
    page.evaluate(WATCH)
    box = page.locator(".pad").bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 20)
    page.mouse.down()
    for move in range(WARM + ROUNDS):
        row, column = divmod(move, 10)
        page.mouse.move(box["x"] + 40 + 9 * column, box["y"] + 20 + 25 * row)
        page.wait_for_timeout(100)
    page.mouse.up()
    return page.evaluate("window.times")[WARM:]


def test_living(browser: Any, tmp_path: Path, capsys: Any) -> None:
    """Print one row for each network."""
    x = data.normalize(data.load("digits").test.images[:1])
    lines = ["", "| medians of 40, ms | page | torch | page / torch | stroke, two frames |"]
    lines.append("|---|--:|--:|--:|--:|")
    for name in NETWORKS:
        model = weights.load(name)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.goto(explore.layers(model, x).to_html(tmp_path / "page.html").as_uri())
        page.wait_for_function("() => document.querySelector('.foot')?.textContent")
        ours, torchs = forward(page, model, x)
        ratio = median(one / other for one, other in zip(ours, torchs, strict=True))
        drawn = median(strokes(page))
        lines.append(
            f"| {name} | {median(ours):.2f} | {median(torchs):.2f} | {ratio:.1f} | {drawn:.1f} |"
        )
        page.close()
    with capsys.disabled():
        print("\n".join(lines))


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", "-p", "conftest", "-p", "no:cacheprovider"]))
