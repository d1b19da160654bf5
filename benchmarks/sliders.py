"""From a key on a slider to the painted picture, in JupyterLab, beside `interact` and matplotlib.

python benchmarks/sliders.py       # about two minutes; needs Chromium

One notebook holds our view of LeNet's first layer and a plain `interact` that draws maps of the
same size with `plt.subplots(4, 4)`. The two take turns, key by key, in one page; both are timed in
the page, from the key to the picture that the next frame of the screen shows.
"""

import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


TURNS = 40
OURS = """from vizlib import data, explore, models
digits, model = data.load("digits").test, models.build("lenet", seed=0)
explore.layers(model, digits.images[:12], state="layer=conv2")"""
THEIRS = """import torch
import matplotlib.pyplot as plt
from ipywidgets import interact, IntSlider
@interact(image=IntSlider(0, 0, 11, description="theirs"))
def show(image):
    with torch.no_grad():
        maps = model.pool1(model.relu1(model.conv1(digits.images[image, None, None] / 255)))
        maps = model.conv2(maps)[0]
    figure, axes = plt.subplots(4, 4)
    for axis, values in zip(axes.flat, maps):
        axis.imshow(values)
        axis.axis("off")
    plt.show()"""
# Presses a key on one of the sliders and waits for its picture to change: ours when the canvas,
# painted, has its new name, theirs when the new image is there and decoded.
PRESS = """async ([which, key]) => {
  const handles = [...document.querySelectorAll(".noUi-handle")], isOurs = which === "ours";
  const labelled = (text) => handles.find((handle) =>
    handle.closest(".widget-inline-hbox").querySelector("label").textContent === text);
  const handle = labelled(isOurs ? "image" : "theirs");
  const picture = () => isOurs ? document.querySelector(".vizlib-live .map")
    : [...document.querySelectorAll(".jp-OutputArea-output img")].at(-1);
  const seen = () => isOurs ? picture().ariaLabel : picture()?.src;
  const before = seen(), start = performance.now();
  handle.focus();
  handle.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  await new Promise((done) => {
    const look = () => seen() !== undefined && seen() !== before && (watch.disconnect(), done());
    const watch = new MutationObserver(look);
    watch.observe(document.body, { subtree: true, childList: true, attributes: true });
    look();
  });
  if (!isOurs) await picture().decode();
  return performance.now() - start;
}"""


def test_slider_to_picture(run_cells: Any, capsys: Any) -> None:
    """Time both sliders, one key each in turn."""
    notebook = run_cells(OURS, THEIRS)
    notebook.page.wait_for_timeout(3000)
    times = {"ours": [], "theirs": []}
    for turn in range(TURNS):
        key = "ArrowRight" if turn % 20 < 10 else "ArrowLeft"  # noqa: PLR2004 - ten there, ten back
        for which, found in times.items():
            found.append(notebook.page.evaluate(PRESS, [which, key]))
            notebook.page.wait_for_timeout(100)  # neither pays for what the other left to do
    with capsys.disabled():
        print(f"\n{TURNS} keys each, milliseconds from key to painted picture")
        for which, found in times.items():
            print(f"{which:7} median {median(found):6.1f}  worst {max(found):6.1f}")
        ratios = [theirs / ours for ours, theirs in zip(*times.values(), strict=True)]
        print(f"interact + plt.subplots takes {median(ratios):.1f} times as long")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", "-p", "conftest", "-p", "no:cacheprovider"]))
