"""CONTRIBUTING.md and README.md: the files that they name are there, and their code works."""

import re
from pathlib import Path

import torch

from vizlib import data, models

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def test_every_file_that_it_names_is_there():
    named = set(re.findall(r"[\w./]+/[\w.]+\.(?:py|toml|md)", TEXT)) - {"vizlib/explore/_ink.py"}
    assert len(named) >= 8
    assert [name for name in named if not (ROOT / name.replace("NN", "04")).is_file()] == []


def test_every_name_that_it_tells_to_edit_stands_in_its_file():
    for name, file in (
        ("_NETWORKS", "models/__init__.py"),
        ("_FORMULAS", "arithmetic/_activations.py"),
        ("_TABLE", "capture/_kinds.py"),
        ("READERS", "arithmetic/_chain.py"),
    ):
        assert f"`{name}`" in TEXT
        source = (ROOT / "vizlib" / file).read_text("utf-8")
        assert re.search(rf"^{name}\b.* = ", source, re.MULTILINE)


def test_its_order_is_the_one_that_is_held():
    from test_house import ORDER

    line = TEXT.split("`vizlib.plots._maps`):")[1].split("|")[0]
    assert re.findall(r"`(\w+)`", line) == ORDER


def test_its_explorer_slides_prints_and_writes_a_page(tmp_path):
    names = {}
    exec(re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1], names)  # noqa: S102 - our own text
    view = names["ink"](torch.full((3, 28, 28), 51, dtype=torch.uint8))
    assert repr(view) == "ink(3 images)"
    assert view.figure().to_png().startswith(b"\x89PNG")
    page = view.to_html(tmp_path / "ink.html").read_text("utf-8")
    assert "image 2: 20.00 % of it is ink" in page


def test_what_the_readme_does_with_a_network_of_ones_own_runs():
    text = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    images = torch.arange(2 * 28 * 28).reshape(2, 28, 28).to(torch.uint8)
    names = {"model": models.build("lenet", seed=0), "images": images}
    for block in blocks[:2]:
        exec(block, names)  # noqa: S102 - our own text
    given = names["From01"]()(data.normalize(images))
    torch.testing.assert_close(given, images[:, None] / 255)
