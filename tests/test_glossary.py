"""The glossary: sorted, in two languages, and each term is to be found where its link leads."""

from __future__ import annotations

import re
from dataclasses import dataclass

import nbformat
import pytest
from save_notebooks import KERNEL, NOTEBOOKS

ROW = re.compile(r"^\| \*\*(.+?)\*\* \| (.+?) \| (.+?) \| \[(\d\d)\]\((.+?)\) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """One line of the glossary, and the name of the file that it links to."""

    term: str
    chinese: str
    meaning: str
    lesson: str
    file: str

    def words(self) -> list[str]:
        """The term, and what its explanation puts in italics or code: a lesson has one of them."""
        others = re.findall(r"[*`]([^*`]+)[*`]", self.meaning)
        return [word.casefold().replace("_", " ") for word in (self.term, *others)]


def text(name: str) -> str:
    """The source of a notebook's cells."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    return "\n".join(cell.source for cell in notebook.cells)


GLOSSARY = text("glossary.ipynb")
ENTRIES = [Entry(*found) for found in ROW.findall(GLOSSARY)]
EACH = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.term)


def test_every_line_of_the_tables_is_an_entry():
    lines = [line for line in GLOSSARY.splitlines() if line.startswith("|")]
    headings = [line for line in lines if line.startswith(("| term", "|:--"))]
    assert len(ENTRIES) == len(lines) - len(headings) >= 60


def test_terms_are_in_alphabetical_order_and_none_comes_twice():
    terms = [entry.term.casefold() for entry in ENTRIES]
    assert terms == sorted(set(terms))


@EACH
def test_a_term_has_a_chinese_one_and_an_explanation(entry):
    assert re.search(r"[\u4e00-\u9fff]", entry.chinese)
    assert entry.meaning.endswith(".")
    assert not re.search(r"[\u4e00-\u9fff]", entry.term + entry.meaning)


@EACH
def test_a_term_is_shown_where_its_link_leads(entry):
    assert entry.file.startswith(entry.lesson)
    shown = text(entry.file).casefold().replace("_", " ")
    assert any(word in shown for word in entry.words())


def test_the_notebook_is_of_no_machine():
    notebook = nbformat.read(NOTEBOOKS / "glossary.ipynb", as_version=4)
    assert notebook.metadata == {"kernelspec": KERNEL, "language_info": {"name": "python"}}
