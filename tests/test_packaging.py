"""The wheel, built and installed elsewhere, is whole: modules, trained networks, JavaScript."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
QUIET = ["--quiet", "--no-deps", "--disable-pip-version-check"]

VISIT = """
from pathlib import Path
import vizlib
from vizlib import explore, models, weights

home = Path(vizlib.__file__).parent
print(home)
assert models.build("lenet", seed=0).name == "lenet"
assert not weights.load("lenet").training
"""


def pip(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", *map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # hatchling is here already: nothing is downloaded.
    pip("wheel", *QUIET, "--no-build-isolation", "--no-index", "--wheel-dir", folder, ROOT)
    return next(folder.glob("vizlib-*.whl"))


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    pip("install", *QUIET, "--no-index", "--target", folder, wheel)
    return folder


def test_the_wheel_carries_what_git_does(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    kinds = {".py", ".js", ".css", ".html", ".toml", ".typed", ".safetensors"}
    files = (path.relative_to(ROOT) for path in (ROOT / "vizlib").rglob("*.*"))
    ours = {path.as_posix() for path in files if path.suffix in kinds}
    trained = {f"vizlib/trained/{path.name}" for path in (ROOT / "weights").glob("*.safetensors")}
    assert "vizlib/explore/static/live.js" in ours
    assert "vizlib/trained/lenet.safetensors" in trained
    package = {name for name in held if ".dist-info/" not in name}
    assert package == ours | trained


def test_the_wheel_works_away_from_the_repository(site, tmp_path):
    # First on the path, before the editable install that these tests run from.
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-c", VISIT]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == site / "vizlib"
