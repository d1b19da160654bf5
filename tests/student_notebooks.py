"""Write the lessons without their outputs, so that nobody sees an answer before guessing it.

    python tests/student_notebooks.py [FOLDER]      into student/ if no folder is named

What is in the folder already stays: it may hold somebody's work.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]


def write(lesson: Path, target: Path) -> None:
    """Write one notebook as it looks before anybody has run it."""
    notebook = nbformat.read(lesson, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


def main() -> None:
    """Write every notebook that the folder does not have yet, and copy what they show."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "student"
    lessons = ROOT / "notebooks"
    for source in sorted([*lessons.glob("**/[0-9g]*.ipynb"), *lessons.glob("*.png")]):
        target = folder / source.relative_to(lessons)
        if ".ipynb_checkpoints" in source.parts or target.exists():
            continue
        if source.suffix == ".ipynb":
            write(source, target)
        else:
            shutil.copyfile(source, target)


if __name__ == "__main__":
    main()
