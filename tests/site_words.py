"""What a notebook says, as HTML that needs no kernel: text, formulas, outputs, questions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import escape
from typing import Any

from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from vizlib import lessons
from vizlib.lessons._answers import choices
from vizlib.lessons._tasks import NOTHING

ASKS = re.compile(r"""\b(predict|check)\(["'](\d\d\.\w)["']""")
UNANSWERED = {lessons.NO_ANSWER.sentence, lessons.NO_GUESS.sentence, NOTHING}
TO_HAND_IN = "In the notebook, this says what is still open, and writes one file to hand in."


class Words(IPythonRenderer):
    """Markdown with its formulas as MathML, and links to pages instead of notebooks."""

    def inline_math(self, body: str) -> str:
        """Return a formula within a line."""
        return convert(body)

    def block_math(self, body: str) -> str:
        """Return a formula with a line of its own."""
        return convert(body, display="block")

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """Return a link; a notebook's neighbour is a page here."""
        return super().link(text, re.sub(r"\.ipynb(?=$|#)", ".html", url), title)

    def table(self, text: str) -> str:
        """Return a table that moves by itself where the page is too narrow for it."""
        return f'<div class="table" tabindex="0"><table>{text}</table></div>\n'


def in_html(notebook: NotebookNode) -> str:
    """Return all cells of a notebook, one after the other."""
    return "\n".join(
        code(cell) if cell.cell_type == "code" else f'<div class="text">{words(cell.source)}</div>'
        for cell in notebook.cells
    )


def words(markdown: str) -> str:
    """Return Markdown as HTML."""
    return MarkdownWithMath(renderer=Words(escape=False)).render(markdown)


def code(cell: NotebookNode) -> str:
    """Return a cell and what it shows."""
    source = highlight(cell.source, PythonLexer(), HtmlFormatter(wrapcode=True))
    return source + "".join(question(cell, each) or output(each) for each in cell.outputs)


def output(given: NotebookNode) -> str:
    """Return the best of what an output holds: a living view, a picture, a text."""
    held = given.get("data", {"text/plain": given.get("text", "")})
    text = escape(held["text/plain"])
    if "text/html" in held:
        return held["text/html"]
    if "image/png" in held:
        picture = held["image/png"].replace("\n", "")
        return f'<figure><img src="data:image/png;base64,{picture}" alt="{text}"></figure>'
    return f'<pre class="output" tabindex="0">{text}</pre>'


def question(cell: NotebookNode, given: NotebookNode) -> str:
    """Return what asks the reader, where the notebook waits for an answer; else nothing."""
    said = given.get("data", {}).get("text/plain")
    asked = ASKS.search(cell.source)
    if asked and said in UNANSWERED:
        kind, name = asked.groups()
        if name in lessons.TASKS:
            return note(f"You write this function in the notebook. {lessons.TASKS[name].hint}")
        return asking(name, getattr(lessons, kind), "guess" if kind == "predict" else "answer")
    return note(TO_HAND_IN) if re.match(r"summary\(", cell.source) else ""


def note(text: str) -> str:
    """Return a sentence that the page says in place of the notebook."""
    return f'<div class="question">{words(text)}</div>'


def asking(name: str, judge: Callable[[str, Any], lessons.Verdict], what: str) -> str:
    """Return a button for each choice, or a field, and what the notebook says to which answer."""
    exercise = (lessons.EXERCISES | lessons.PREDICTIONS)[name]
    known = [exercise.answer, *exercise.also, *(wrong for wrong, _ in exercise.mistakes)]
    said = json.dumps([[each, judge(name, each).sentence] for each in known])
    fields = "".join(f'<button value="{each}">{each}</button>' for each in choices(exercise))
    field = f'<input aria-label="your {what}" autocomplete="off" size="12"><button>try</button>'
    return (
        f'<form class="question" data-said="{escape(said)}" '
        f'data-otherwise="{escape(judge(name, "?").sentence)}">'
        f"<span>your {what}</span>{fields or field}<output></output></form>"
    )
