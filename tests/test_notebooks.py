"""The shape of a lesson, and that it is committed as it ran.

nbval runs the notebooks; it passes one that was never run, so that is tested here. Each rule is
a function from a notebook to a list of complaints, held against every notebook and then against
one that breaks it.
"""

from __future__ import annotations

import ast
import copy
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from save_notebooks import KERNEL, NOTEBOOKS, WIDGET, canonical, chosen, execute

ABSOLUTE = re.compile(
    r"(?<![\w.:/])/(home|root|tmp|usr|opt|var|mnt|private|Users|work)/|\b[A-Z]:\\"
)


@dataclass(frozen=True)
class Shape:
    """What a notebook may measure, each a smallest and a largest number."""

    cells: tuple[int, int] = (30, 50)
    words: tuple[int, int] = (800, 1_400)
    lines: int = 20
    definitions: int = 4
    minutes: int = 45
    exercises: tuple[int, int] = (3, 5)


LESSON = Shape()
# The first notebook greets, checks the machine and shows one slide: short, nothing to solve.
WELCOME = Shape(cells=(12, 50), words=(250, 1_400), exercises=(0, 5))


def shape_of(path: Path) -> Shape:
    return WELCOME if path.name.startswith("00") else LESSON


# --- The rules -----------------------------------------------------------------------------


def wrong_size(notebook: NotebookNode, shape: Shape) -> list[str]:
    cells, words = len(notebook.cells), len(prose(notebook).split())
    text, code = len(of_kind(notebook, "markdown")), len(of_kind(notebook, "code"))
    return [
        *outside("cells", cells, *shape.cells),
        *outside("words", words, *shape.words),
        *outside("text cells for each code cell", text / max(code, 1), 0.5, 2),
    ]


def outside(what: str, number: float, low: float, high: float) -> list[str]:
    return [] if low <= number <= high else [f"{number} {what}, not {low} to {high}"]


def prose(notebook: NotebookNode) -> str:
    """The words a reader reads: no pictures, no addresses behind links, no formulas or rules."""
    text = "\n".join(cell.source for cell in of_kind(notebook, "markdown"))
    text = re.sub(r"```.*?```|\$\$.*?\$\$|<[^>]+>|!\[[^\]]*\]\([^)]*\)", " ", text, flags=re.DOTALL)
    text = re.sub(r"\]\([^)]*\)", "] ", text)
    return " ".join(word for word in text.split() if re.search(r"\w", word))


def of_kind(notebook: NotebookNode, kind: str) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def wrong_code(notebook: NotebookNode, shape: Shape) -> list[str]:
    sources = [cell.source for cell in of_kind(notebook, "code")]
    long = [source for source in sources if len(source.strip().splitlines()) > shape.lines]
    importing = [source for source in sources if holds(source, ast.Import | ast.ImportFrom)]
    definitions = sum(map(defined, sources))
    complaints = [f"a cell of more than {shape.lines} lines begins {text[:40]!r}" for text in long]
    if len(importing) != 1:
        complaints.append(f"{len(importing)} cells import, not one")
    return complaints + outside("definitions", definitions, 0, shape.definitions)


def parsed(source: str) -> ast.Module:
    lines = source.splitlines()
    return ast.parse("\n".join(line for line in lines if not line.lstrip().startswith(("%", "!"))))


def holds(source: str, kind: type) -> bool:
    return any(isinstance(node, kind) for node in ast.walk(parsed(source)))


def defined(source: str) -> int:
    return sum(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in parsed(source).body)


def wrong_story(notebook: NotebookNode, shape: Shape) -> list[str]:
    """A lesson says first what it is for and how long; it ends in exercises and a recap.

    The recap asks a question to which there is no one answer.
    """
    opening = "\n".join(cell.source for cell in notebook.cells[:2])
    titles = headings(notebook)
    complaints = [] if "By the end you can" in opening else ["opens without 'By the end you can'"]
    said = re.search(r"In class: about (\d+) minutes", opening)
    complaints += outside("minutes", int(said[1]) if said else 0, 1, shape.minutes)
    low, high = shape.exercises
    if "Exercises" in titles:
        complaints += outside("exercises", len(exercises(notebook)), max(low, 1), high)
    elif low:
        complaints.append("has no Exercises")
    if not titles or titles[-1] != "Recap":
        complaints.append("does not end with Recap")
    elif not linked(section(notebook, "Recap")):
        complaints.append("its Recap links to no lesson")
    elif "**What do you think?**" not in section(notebook, "Recap"):
        complaints.append("its Recap asks no open question")
    return complaints


def headings(notebook: NotebookNode) -> list[str]:
    """The titles of the second level, in order."""
    text = "\n".join(cell.source for cell in of_kind(notebook, "markdown"))
    return [title.strip() for title in re.findall(r"^## (.+)$", text, flags=re.MULTILINE)]


def section(notebook: NotebookNode, title: str) -> str:
    text = "\n".join(cell.source for cell in of_kind(notebook, "markdown"))
    return re.split(r"^## ", text.partition(f"## {title}\n")[2], flags=re.MULTILINE)[0]


def exercises(notebook: NotebookNode) -> list[str]:
    """Each exercise has a title of the third level, or begins with its number in bold."""
    return re.findall(r"^(?:###|\*\*\d)", section(notebook, "Exercises"), flags=re.MULTILINE)


def linked(text: str) -> list[str]:
    return re.findall(r"\]\(([^)#:]+\.ipynb)\)", text)


def dead_links(notebook: NotebookNode, folder: Path) -> list[str]:
    text = "\n".join(cell.source for cell in of_kind(notebook, "markdown"))
    return [f"links to {target}" for target in linked(text) if not (folder / target).is_file()]


def wrong_next(notebook: NotebookNode, path: Path, lessons: list[str]) -> list[str]:
    """The recap leads to the lesson that follows in the folder; the last one leads anywhere."""
    following = [name for name in sorted(lessons) if name > path.name][:1]
    missing = set(following) - set(linked(section(notebook, "Recap")))
    return [f"its Recap does not lead to {name}" for name in missing]


def not_as_run(notebook: NotebookNode) -> list[str]:
    code = of_kind(notebook, "code")
    counts = [cell.execution_count for cell in code]
    complaints = [] if counts == list(range(1, len(code) + 1)) else [f"cells ran as {counts}"]
    for cell in code:
        complaints += [f"{bad} under {cell.source[:40]!r}" for bad in map(blemish, cell.outputs)]
    return [complaint for complaint in complaints if not complaint.startswith("None ")]


def blemish(output: NotebookNode) -> str | None:
    if output.output_type == "error":
        return f"the error {output.ename}"
    if output.get("name") == "stderr":
        return "a warning"
    if WIDGET in output.get("data", {}):
        return "a widget that needs a kernel"
    found = ABSOLUTE.search(shown(output))
    return f"somebody's folder {found.group()}" if found else None


def shown(output: NotebookNode) -> str:
    texts = [text for kind, text in output.get("data", {}).items() if kind.startswith("text/")]
    return "\n".join([output.get("text", ""), *texts])


def wrong_metadata(notebook: NotebookNode) -> list[str]:
    expected = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    cells = {key for cell in notebook.cells for key in cell.metadata} - {"tags"}
    complaints = [f"a cell keeps {key}" for key in sorted(cells)]
    return complaints + ([] if notebook.metadata == expected else ["metadata of one machine"])


# --- Every notebook keeps them -------------------------------------------------------------

LESSONS = [path for path in chosen([]) if path.parent == NOTEBOOKS]
EVERY = pytest.mark.parametrize("path", chosen([]), ids=lambda path: path.stem)
EACH_LESSON = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def test_the_first_lesson_is_there():
    assert "00_start_here" in [path.stem for path in LESSONS]


@EACH_LESSON
@pytest.mark.parametrize("rule", [wrong_size, wrong_code, wrong_story])
def test_a_lesson_has_its_shape(rule, path):
    assert rule(read(path), shape_of(path)) == []


@EACH_LESSON
def test_a_lesson_leads_on(path):
    assert wrong_next(read(path), path, [lesson.name for lesson in LESSONS]) == []


@EVERY
def test_a_notebook_links_to_what_is_there(path):
    assert dead_links(read(path), path.parent) == []


@EVERY
@pytest.mark.parametrize("rule", [not_as_run, wrong_metadata])
def test_a_notebook_is_committed_as_it_ran(rule, path):
    assert rule(read(path)) == []


# --- Each rule can fail --------------------------------------------------------------------


def lesson(exercises: int = 3, pairs: int = 16, words: int = 60) -> NotebookNode:
    """A notebook that keeps every rule."""
    code = [new_code_cell("x = 1") for _ in range(pairs - 1)]
    code.insert(0, new_code_cell("import torch"))
    text = [new_markdown_cell("word " * words) for _ in range(pairs - 3)]
    opening = "# Title\n\nBy the end you can\n\n*In class: about 40 minutes.*"
    text.insert(0, new_markdown_cell(f"{opening} {'word ' * words}"))
    questions = "\n".join(f"### {number}" for number in range(exercises))
    text.append(new_markdown_cell(f"## Exercises\n\n{questions}"))
    text.append(new_markdown_cell("## Recap\n\n**What do you think?** [next](07_next.ipynb)"))
    cells = [cell for pair in zip(text, code, strict=True) for cell in pair]
    for count, cell in enumerate(code, start=1):
        cell.execution_count = count
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return new_notebook(cells=cells, metadata=metadata)


def with_output(output: NotebookNode) -> NotebookNode:
    notebook = lesson()
    notebook.cells[1].outputs = [output]
    return notebook


def with_source(index: int, source: str) -> NotebookNode:
    notebook = lesson()
    notebook.cells[index].source = source
    return notebook


def displayed(**data: str) -> NotebookNode:
    names = {"plain": "text/plain", "widget": WIDGET, "png": "image/png"}
    return new_output("display_data", {names[key]: value for key, value in data.items()})


def test_a_good_lesson_breaks_no_rule():
    good = lesson()
    assert [*wrong_size(good, LESSON), *wrong_code(good, LESSON), *wrong_story(good, LESSON)] == []
    assert [*not_as_run(good), *wrong_metadata(good)] == []


@pytest.mark.parametrize(
    "bad",
    [
        lesson(pairs=14, words=90),
        lesson(pairs=26, words=40),
        lesson(words=40),
        lesson(words=120),
        NotebookNode(cells=lesson().cells + [new_code_cell("x")] * 17),
    ],
    ids=["few cells", "many cells", "few words", "many words", "much code"],
)
def test_a_lesson_of_the_wrong_size_is_found(bad):
    assert len(wrong_size(bad, LESSON)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "x = 1\n" * 21,
        "import numpy",
        "def f():\n    from numpy import array",
        "\n".join(f"def f{number}(): ..." for number in range(5)),
        "%matplotlib inline\nimport numpy",
    ],
)
def test_wrong_code_is_found(source):
    assert len(wrong_code(with_source(3, source), LESSON)) == 1


def test_a_lesson_that_imports_nothing_is_found():
    assert wrong_code(with_source(1, "x = 1"), LESSON) == ["0 cells import, not one"]


@pytest.mark.parametrize(
    "bad",
    [
        with_source(0, "# Title. In class: about 40 minutes"),
        with_source(0, "By the end you can"),
        with_source(0, "By the end you can. In class: about 50 minutes"),
        with_source(-4, "## Questions"),
        with_source(-2, "## Goodbye [next](07_next.ipynb)"),
        with_source(-2, "## Recap\n\nThat was all."),
        with_source(-2, "## Recap\n\n[next](07_next.ipynb)"),
        lesson(exercises=2),
        lesson(exercises=6),
    ],
    ids=[
        "no aim",
        "no minutes",
        "too long",
        "no exercises",
        "no recap",
        "no way on",
        "no open question",
        "few exercises",
        "many exercises",
    ],
)
def test_a_broken_story_is_found(bad):
    assert len(wrong_story(bad, LESSON)) == 1


def test_the_welcome_may_have_no_exercises_but_not_an_empty_title():
    assert wrong_story(with_source(-4, "text"), WELCOME) == []
    assert wrong_story(with_source(-4, "## Exercises\n\nNone."), WELCOME) != []


def test_a_link_to_nowhere_is_found(tmp_path):
    assert dead_links(lesson(), tmp_path) == ["links to 07_next.ipynb"]
    (tmp_path / "07_next.ipynb").touch()
    assert dead_links(lesson(), tmp_path) == []


def test_a_recap_that_leads_elsewhere_is_found():
    here, names = Path("06_here.ipynb"), ["06_here.ipynb", "07_next.ipynb", "08_later.ipynb"]
    assert wrong_next(lesson(), here, names) == []
    assert wrong_next(lesson(), here, [names[0], names[2]]) != []
    assert wrong_next(lesson(), here, names[:1]) == []


def test_a_notebook_that_was_not_run_in_order_is_found():
    assert not_as_run(lesson()) == []
    for count in (None, 7):
        bad = lesson()
        bad.cells[3].execution_count = count
        assert len(not_as_run(bad)) == 1


@pytest.mark.parametrize(
    "output",
    [
        new_output("error", ename="ValueError", evalue="", traceback=[]),
        new_output("stream", name="stderr", text="a warning"),
        displayed(widget="{}", plain="Slider()"),
        displayed(plain="PosixPath('/home/ada/digit.png')"),
        new_output("stream", name="stdout", text="saved to C:\\digits"),
    ],
)
def test_a_blemished_output_is_found(output):
    assert len(not_as_run(with_output(output))) == 1


def test_a_picture_and_a_fraction_are_no_blemish():
    assert not_as_run(with_output(displayed(plain="24/tmp/1", png="/usr/x"))) == []


def test_metadata_of_a_machine_is_found():
    for change in ({"widgets": {}}, {"language_info": {"name": "python", "version": "3.11.7"}}):
        bad = lesson()
        bad.metadata.update(change)
        assert wrong_metadata(bad) == ["metadata of one machine"]
    bad = lesson()
    bad.cells[0].metadata["collapsed"] = True
    assert wrong_metadata(bad) == ["a cell keeps collapsed"]


# --- Saving --------------------------------------------------------------------------------

SLIDER = """
from ipywidgets import IntSlider
from IPython.display import display
print("before")
display({"image/png": "iVBORw0K", "text/plain": "a picture"}, raw=True)
IntSlider(description="layer")
"""


def test_saving_twice_gives_the_same_notebook(tmp_path):
    cells = [new_code_cell(SLIDER, id="a"), new_code_cell("1 + 1", id="b")]
    notebook = new_notebook(cells=cells)
    first, second = (canonical(execute(copy.deepcopy(notebook), tmp_path)) for _ in range(2))
    assert nbformat.writes(first) == nbformat.writes(second)
    assert [*not_as_run(first), *wrong_metadata(first)] == []
    kinds = [sorted(output.data) for output in first.cells[0].outputs[1:]]
    assert kinds == [["image/png", "text/plain"], ["text/plain"]]


def test_pieces_of_a_stream_are_joined():
    pieces = [new_output("stream", name="stdout", text=text) for text in ("a", "b")]
    notebook = lesson()
    notebook.cells[1].outputs = pieces
    assert [output.text for output in canonical(notebook).cells[1].outputs] == ["ab"]
