"""How the command line speaks: options that several commands share, results, and complaints."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from vizlib import files

if TYPE_CHECKING:
    from torch import nn

    from vizlib.plots import Figure


class OneSentence(TyperGroup):
    """Says what was wrong in one sentence, where others print a traceback."""

    def main(self, *args: Any, **options: Any) -> None:
        """Run the command that the arguments name, and leave with its exit code."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")  # some consoles have no minus sign
        try:
            code = super().main(*args, **options | {"standalone_mode": False})
        except Exception as error:
            sentence = _sentence(error)
            if sentence is None:
                raise
            typer.echo(f"vizlib: {sentence}", err=True)
            sys.exit(2)
        sys.exit(code)


def _sentence(error: Exception) -> str | None:
    """Return what to tell the user; None for a mistake of ours, which needs its traceback."""
    if hasattr(error, "format_message"):
        return " ".join(error.format_message().split())
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}"
    # A bare KeyError is a mistake of ours; a kind of it that has a sentence is not.
    told = isinstance(error, ValueError | OSError | FloatingPointError)
    return str(error) if told or KeyError in type(error).__bases__ else None


Model = Annotated[str, typer.Option("--model", "-m", help="The network; vizlib info lists them.")]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", "-w", help="Weights from a file, not those that come with vizlib."),
]
DataSet = Annotated[
    str,
    typer.Option(
        "--data",
        help="mnist; digits, 1,797 small ones that are here already; auto: mnist if it can be had.",
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps, …")]
NoGpu = Annotated[bool, typer.Option("--no-gpu", help="Compute on the CPU, whatever there is.")]
TestBatch = Annotated[int, typer.Option(min=1, help="Images at once while testing.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def trained(name: str, path: Path | None) -> nn.Module:
    """Return the network with its trained weights, or with those in a file, in eval mode."""
    from vizlib import models, weights

    return weights.load_into(models.build(name), path).eval() if path else weights.load(name)


def show(facts: object, text: str, *, as_json: bool) -> None:
    """Print the facts as JSON and nothing else, or the text."""
    typer.echo(json.dumps(facts, indent=1) if as_json else text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows of texts in aligned columns.

    >>> print(table(["network", "test"], [["lenet", "99.50 %"], ["mlp", "–"]]))
    network  test
    lenet    99.50 %
    mlp      –
    """
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines
    ]
    return "\n".join("  ".join(line).rstrip() for line in padded)


def percent(share: float | None) -> str:
    """Return a share in 0…1 in percent, and a dash for what is not known.

    >>> percent(0.995), percent(None)
    ('99.50 %', '–')
    """
    return "–" if share is None else f"{share:.2%}".replace("%", " %")


def times(shape: Sequence[int]) -> str:
    """Return a shape as it is said: 6×24×24."""
    return "×".join(map(str, shape))


def save_picture(figure: Figure, path: Path) -> str:
    """Write a figure as PNG, into folders that need not exist, and return its path as text."""
    if path.suffix.lower() != ".png":
        raise ValueError(f"pictures are written as PNG, so {path} must end in .png")
    files.replace_whole(path, figure.to_png())
    return str(path)
