"""The lessons as a student opens them: no output, and nobody's work is lost."""

import sys

import nbformat
import student_notebooks
from save_notebooks import NOTEBOOKS


def write_all(folder, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["student_notebooks.py", str(folder)])
    student_notebooks.main()


def test_every_notebook_is_there_without_outputs(tmp_path, monkeypatch):
    write_all(tmp_path, monkeypatch)
    for path in NOTEBOOKS.glob("**/*.ipynb"):
        if ".ipynb_checkpoints" in path.parts:
            continue
        original = nbformat.read(path, as_version=4)
        written = nbformat.read(tmp_path / path.relative_to(NOTEBOOKS), as_version=4)
        assert [cell.source for cell in written.cells] == [cell.source for cell in original.cells]
        code = [cell for cell in written.cells if cell.cell_type == "code"]
        assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_what_is_there_already_stays(tmp_path, monkeypatch):
    mine = tmp_path / "05_lenet.ipynb"
    mine.write_text("my work")
    write_all(tmp_path, monkeypatch)
    assert mine.read_text() == "my work"
    assert (tmp_path / "06_feature_maps.ipynb").is_file()
