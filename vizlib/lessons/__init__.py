"""The exercises of the lessons: is an answer right, and if not, what was probably thought?

>>> check("06.2", 25)
Not yet. 25 weights read one map, but a kernel of conv2 is as deep as its input: six maps.
>>> check("06.2", 6 * 5 * 5)
Right.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Exercise:
    """A right answer, a hint, and answers often given with what each of them overlooks.

    An answer is a number, a text, or a list of numbers.
    """

    answer: Any
    hint: str
    mistakes: list[tuple[Any, str]]


@dataclass(frozen=True)
class Verdict:
    """What `check` says: whether the answer was right, and a sentence."""

    right: bool
    sentence: str

    def __repr__(self) -> str:
        """Return the sentence, as the notebook shows it."""
        return self.sentence


def _read(lesson: Path) -> dict[str, Exercise]:
    table = tomllib.loads(lesson.read_text(encoding="utf-8"))
    return {f"{lesson.stem}.{number}": Exercise(**entry) for number, entry in table.items()}


EXERCISES: dict[str, Exercise] = {
    name: exercise
    for lesson in sorted(Path(__file__).parent.glob("*.toml"))
    for name, exercise in _read(lesson).items()
}


def check(name: str, answer: Any) -> Verdict:
    """Compare an answer to the exercise called `name`; `...` means that there is none yet.

    An answer is a text in any case, a number, or an array or tensor of numbers. Whole numbers must
    be met exactly; others may be rounded, by up to one part in two hundred. Raises ValueError for
    an unknown exercise.

    >>> check("06.1", ...)
    Not answered yet: put your answer in place of the dots.
    """
    if name not in EXERCISES:
        close = difflib.get_close_matches(str(name), EXERCISES, n=1) or sorted(EXERCISES)
        raise ValueError(f"there is no exercise {name!r}; did you mean {close[0]!r}?")
    if answer is ...:
        return Verdict(
            right=False, sentence="Not answered yet: put your answer in place of the dots."
        )
    exercise = EXERCISES[name]
    if _equal(answer, exercise.answer):
        return Verdict(right=True, sentence="Right.")
    thoughts = (text for wrong, text in exercise.mistakes if _equal(answer, wrong))
    return Verdict(right=False, sentence=f"Not yet. {next(thoughts, exercise.hint)}")


def _equal(answer: Any, right: Any) -> bool:
    if isinstance(answer, str) and isinstance(right, str):
        return answer.strip().casefold() == right.casefold()
    try:
        answer, right = np.asarray(answer), np.asarray(right)
        is_whole = right.dtype.kind in "iub"
        answer, right = answer.astype(float), right.astype(float)
    except (TypeError, ValueError):
        return False
    return answer.shape == right.shape and np.allclose(
        answer, right, rtol=1e-9 if is_whole else 5e-3, atol=1e-6
    )
