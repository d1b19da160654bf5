"""The exercises of the lessons: is an answer right, and if not, what was probably thought?

>>> check("06.2", 25)
Not yet. 25 weights read one map, but a kernel of conv2 is as deep as its input: six maps.
>>> check("06.2", 6 * 5 * 5)
Right.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Exercise:
    """A right answer, the wrong ones that are often given with what each overlooks, and a hint."""

    answer: Any
    hint: str
    mistakes: Mapping[Any, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What `check` says: whether the answer was right, and a sentence."""

    right: bool
    sentence: str

    def __repr__(self) -> str:
        """Return the sentence, as the notebook shows it."""
        return self.sentence


EXERCISES: dict[str, Exercise] = {
    "06.1": Exercise(
        answer=10,
        hint="Count the places where a kernel of width 3 fits into a row of 12: 12 − 3 + 1.",
        mistakes={
            12: "Without padding the kernel cannot be centred on the outermost pixels.",
            9: "12 − 3 is the last place where the kernel fits; the first place is 0.",
            4: "Kernels overlap: with stride 1 they move by one pixel, not by their own width.",
        },
    ),
    "06.2": Exercise(
        answer=150,
        hint="A kernel has height × width weights for every map that it reads.",
        mistakes={
            25: "25 weights read one map, but a kernel of conv2 is as deep as its input: six maps.",
            2400: "That is all sixteen kernels together; the question is about one.",
            151: "The bias was not to be counted.",
            400: "The depth of a kernel is the number of maps that it reads, not that it makes.",
        },
    ),
    "06.3": Exercise(
        answer=0.75,
        hint="Of the four values in a square, one goes on.",
        mistakes={
            0.25: "That is the share that it keeps.",
            0.5: "Height and width are both halved: what remains of the area?",
            75: "Give the share as a number between 0 and 1.",
        },
    ),
}


def check(name: str, answer: Any) -> Verdict:
    """Compare an answer to the exercise called `name`; `...` means that there is none yet.

    An answer is a number, or an array or tensor of numbers; it may differ from the right one by
    a rounding error (one part in a thousand). Raises ValueError for an unknown exercise.

    >>> check("06.1", ...)
    Not answered yet: put your answer in place of the dots.
    """
    if name not in EXERCISES:
        close = difflib.get_close_matches(name, EXERCISES, n=1) or sorted(EXERCISES)
        raise ValueError(f"there is no exercise {name!r}; did you mean {close[0]!r}?")
    if answer is ...:
        return Verdict(
            right=False, sentence="Not answered yet: put your answer in place of the dots."
        )
    exercise = EXERCISES[name]
    if _equal(answer, exercise.answer):
        return Verdict(right=True, sentence="Right.")
    thoughts = (text for wrong, text in exercise.mistakes.items() if _equal(answer, wrong))
    return Verdict(right=False, sentence=f"Not yet. {next(thoughts, exercise.hint)}")


def _equal(one: Any, other: Any) -> bool:
    try:
        one, other = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    except (TypeError, ValueError):
        return one == other
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-3, atol=1e-6)
