"""Write the course as a site: pages that need no kernel, no server and no network.

    python tests/make_site.py          into site/
    python tests/make_site.py 00 06    the same, with views only in lessons whose names begin so

A lesson that shows views is run, and each view becomes a page in which its network computes; the
other notebooks are shown as they are saved. The documentation comes from the docstrings.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import sys
import warnings
from base64 import b64decode
from html import escape
from pathlib import Path
from string import Template

import nbformat
import pdoc
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from save_notebooks import NOTEBOOKS, canonical, execute
from site_words import in_html, note, words

import vizlib
from vizlib import explore

ROOT = Path(__file__).parents[1]
LOOKS = Path(__file__).parent / "site"
# A line of the table in README.md: number, title, file, and what you learn.
LESSON = re.compile(r"^\| (\d\d) \| \[(.+?)\]\(notebooks/(\w+)\.ipynb\) \| (.+?) \|$", re.MULTILINE)
Lesson = tuple[str, str, str, str]
HERE = "Views and questions work in this page. To run the code, open the lesson as a notebook."


def main() -> None:
    """Write the site; views live in the lessons named on the command line, or in all."""
    build(ROOT / "site", tuple(sys.argv[1:]) or ("",))


def build(site: Path, beginnings: tuple[str, ...]) -> None:
    """Write the site anew."""
    shutil.rmtree(site, ignore_errors=True)
    for folder in ("views", "pictures"):
        (site / folder).mkdir(parents=True)
    for name in ("style.css", "page.js"):
        shutil.copyfile(LOOKS / name, site / name)
    table = LESSON.findall((ROOT / "README.md").read_text("utf-8"))
    for before, lesson, after in zip([None, *table], table, [*table[1:], None], strict=False):
        notebook = nbformat.read(NOTEBOOKS / f"{lesson[2]}.ipynb", as_version=4)
        if lesson[0].startswith(beginnings) and has_views(notebook):
            notebook = run(notebook, site / "views", lesson[0])
        write_lesson(site, lesson, notebook, way(before, "← {}"), way(after, "{} →"))
    glossary = nbformat.read(NOTEBOOKS / "glossary.ipynb", as_version=4)
    write(site / "glossary.html", site, "Glossary", in_html(glossary))
    write(site / "index.html", site, "vizlib", index(site, table))
    document(site / "docs")


def write(page: Path, site: Path, title: str, body: str, way: str = "") -> None:
    """Write one page; `way` are the links to its neighbours."""
    page.parent.mkdir(parents=True, exist_ok=True)
    home = "../" * (len(page.relative_to(site).parts) - 1)
    looks = Template((LOOKS / "page.html").read_text("utf-8"))
    page.write_text(looks.substitute(title=escape(title), body=body, way=way, home=home), "utf-8")


# --- Lessons -------------------------------------------------------------------------------


def write_lesson(site: Path, lesson: Lesson, notebook: NotebookNode, *ways: str) -> None:
    """Write the page of a lesson, that of its solutions, and its picture for the index."""
    number, title, name, _ = lesson
    (site / "pictures" / f"{number}.png").write_bytes(picture(notebook))
    links = list(ways)
    if (solved := NOTEBOOKS / "solutions" / f"{name}.ipynb").exists():
        links.insert(1, f'<a href="solutions/{name}.html">Solutions</a>')
        body = in_html(nbformat.read(solved, as_version=4))
        write(site / "solutions" / f"{name}.html", site, f"Solutions to {number} · {title}", body)
    body = note(HERE) + in_html(notebook)
    write(site / f"{name}.html", site, f"{number} · {title}", body, "".join(links))


def way(lesson: Lesson | None, arrow: str) -> str:
    """Return a link to a lesson; an empty place where there is none."""
    if lesson is None:
        return "<span></span>"
    return f'<a href="{lesson[2]}.html">{arrow.format(f"{lesson[0]} {escape(lesson[1])}")}</a>'


def has_views(notebook: NotebookNode) -> bool:
    """Whether a cell calls an explorer."""
    return any("explore." in cell.source for cell in notebook.cells if cell.cell_type == "code")


def run(notebook: NotebookNode, views: Path, lesson: str) -> NotebookNode:
    """Run a notebook whose views become pages, and return it."""
    first = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import living_views; "
        f"living_views.keep({str(views.resolve())!r}, {lesson!r})"
    )
    notebook.cells.insert(0, new_code_cell(first))
    notebook = execute(notebook, NOTEBOOKS)
    del notebook.cells[0]
    return canonical(notebook)


def picture(notebook: NotebookNode) -> bytes:
    """Return the picture of a lesson: its first view, or else the largest of its pictures."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    held = [output.get("data", {}) for cell in cells for output in cell.outputs]
    drawn = [data for data in held if "image/png" in data]
    best = max(drawn, key=lambda data: ("text/html" in data, len(data["image/png"])))
    return b64decode(best["image/png"])


# --- The index and the documentation -------------------------------------------------------


def index(site: Path, table: list[Lesson]) -> str:
    """Return the first page: the lessons with a picture each, the explorers, and more."""
    cards = "".join(card(site, *lesson) for lesson in table)
    rows = "".join(explorer(site, name) for name in explore.__all__ if name.islower())
    return Template((LOOKS / "index.html").read_text("utf-8")).substitute(
        about=escape(vizlib.__doc__), cards=cards, explorers=rows
    )


def card(site: Path, number: str, title: str, name: str, learn: str) -> str:
    """Return the way to a lesson, with its picture; of a tall one the upper part is shown."""
    drawn = site / "pictures" / f"{number}.png"
    width, height = struct.unpack(">II", drawn.read_bytes()[16:24])
    tall = "tall" if height > width / 1.6 else ""
    return (
        f'<a class="card" href="{name}.html">'
        f'<img class="{tall}" src="pictures/{drawn.name}" alt="" loading="lazy">'
        f"<b>{number} · {escape(title)}</b><span>{escape(learn)}</span></a>"
    )


def explorer(site: Path, name: str) -> str:
    """Return what an explorer is, with its pages; nothing where no lesson here shows it."""
    pages = sorted(site.glob(f"views/[0-9][0-9]_{name}.html"))
    about = getattr(explore, name).__doc__.partition("\n")[0]
    links = ", ".join(f"[lesson {page.name[:2]}](views/{page.name})" for page in pages)
    line = f"[`{name}`](docs/vizlib/explore.html#{name}) {about} As a page: {links}."
    return f"<li>{words(line)}</li>" if pages else ""


def document(folder: Path) -> None:
    """Write what the docstrings of the public names say."""
    # While it imports, pdoc would stop what a library starts to look around.
    os.environ["PDOC_ALLOW_EXEC"] = "1"
    pdoc.render.configure(docformat="google", show_source=False, template_directory=LOOKS / "docs")
    with warnings.catch_warnings(action="ignore"):  # types that are named for mypy alone
        pdoc.pdoc("vizlib", r"!vizlib\.\w+\._", output_directory=folder)
    (folder / "index.html").unlink()  # it only leads to vizlib.html


if __name__ == "__main__":
    main()
