"""How the command line speaks: options that several commands share, results, and complaints."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer import Option
from typer.core import TyperGroup

from vizlib import files

if TYPE_CHECKING:
    from torch import nn

    from vizlib.plots import Figure


STOPPED = 130  # the exit code of a program that Ctrl-C ended
_MOST = 1_000_000  # images at once


class OneSentence(TyperGroup):
    """Says what was wrong in one sentence, where others print a traceback."""

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Run the command that the arguments name, and leave with its exit code."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")  # some consoles have no minus sign
        try:
            code = super().main(*args, **options | {"standalone_mode": False})
        except Exception as error:
            told = sentence(error)
            if told is None:
                raise
            say_line(f"vizlib: {told}", err=True)
            _let_go_of_stdout()
            sys.exit(2)
        sys.exit(code)


def _let_go_of_stdout() -> None:
    """Drop what a full disk did not take, or Python would complain of it once more at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def sentence(error: Exception) -> str | None:
    """Return what to tell the user; None for a mistake of ours, which needs its traceback."""
    if hasattr(error, "format_message"):
        told = " ".join(error.format_message().split()).rstrip(".")
        context = getattr(error, "ctx", None)
        return f"{told}; {context.command_path} --help lists what there is" if context else told
    if isinstance(error, OSError) and error.strerror:
        what = error.filename or "what was to be printed or written"
        return f"{error.strerror}: {what}"
    # A bare KeyError is a mistake of ours; a kind of it that has a sentence is not.
    is_told = isinstance(error, ValueError | OSError | FloatingPointError)
    return str(error) if is_told or KeyError in type(error).__bases__ else None


def _must_be_png(path: Path | None) -> Path | None:
    if path and path.suffix.lower() != ".png":
        raise typer.BadParameter(f"pictures are written as PNG, so {path} must end in .png")
    return path


Model = Annotated[str, Option("--model", "-m", help="The network; vizlib info lists them.")]
Weights = Annotated[Path | None, Option("--weights", "-w", help="A file of weights of your own.")]
DataSet = Annotated[str, Option(help="mnist; digits, 1,797 small ones; auto: mnist, or digits.")]
Device = Annotated[str, Option(help="auto, cpu, cuda, cuda:1, mps, …")]
NoGpu = Annotated[bool, Option("--no-gpu", help="Compute on the CPU, whatever there is.")]
TestBatch = Annotated[int, Option(min=1, max=_MOST, help="Images at once while testing.")]
Folder = Annotated[Path | None, Option("--out", "-o", help="The folder; else one in runs.")]
_OUT = Option("--out", "-o", callback=_must_be_png, help="Draw it, as PNG, to this file.")
Picture = Annotated[Path, _OUT]
OptionalPicture = Annotated[Path | None, _OUT]
Json = Annotated[bool, Option("--json", help="Print JSON, for machines.")]


def trained(name: str, path: Path | None) -> nn.Module:
    """Return the network with its trained weights, or with those in a file, in eval mode."""
    from vizlib import models, weights

    return weights.load_into(models.build(name), path).eval() if path else weights.load(name)


def show(facts: object, text: str, *, as_json: bool) -> None:
    """Print the facts as JSON and nothing else, or the text."""
    if as_json or text:
        say(to_json(facts) if as_json else text)


def say(text: str, *, err: bool = False) -> None:
    """Print a text without what would steer the terminal: names of files come from outside."""
    typer.echo("".join("\N{REPLACEMENT CHARACTER}" if _steers(c) else c for c in text), err=err)


def say_line(text: str, *, err: bool = False) -> None:
    """Print a text on one line: the name of a file may have several."""
    say(" ".join(text.splitlines()), err=err)


def _steers(letter: str) -> bool:
    return letter not in "\n\t" and unicodedata.category(letter)[0] == "C"


def to_json(facts: object) -> str:
    """Return the facts as JSON, which has no NaN and no infinity: such a number is null.

    >>> print(to_json([1.5, float("nan")]))
    [
     1.5,
     null
    ]
    """
    # What Python writes as NaN or Infinity is read again as None.
    plain = json.loads(json.dumps(facts), parse_constant=lambda _: None)
    return json.dumps(plain, indent=1, allow_nan=False)


def save_picture(figure: Figure, path: Path) -> str:
    """Write a figure as PNG, into folders that need not exist, and return its path as text."""
    files.replace_whole(path, figure.to_png())
    return str(path)
