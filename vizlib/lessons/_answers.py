"""Answers: what is asked, and whether what somebody wrote says the same as the right answer."""

from __future__ import annotations

import ast
import math
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

# "epoch 4", "4 pixels", "ln 4": one number among words.
ONE_NUMBER = re.compile(r"[a-z\s]*?(?P<log>\b(?:ln|log)\s*\(?\s*)?(?P<number>-?\d+\.?\d*)[)a-z\s]*")
LONGEST = 100  # letters; what is longer says no number
LETTER = re.compile(r"\(?\s*([a-z])\s*\)?")


@dataclass(frozen=True)
class Exercise:
    """A right answer, a hint, and answers often given with what each of them overlooks.

    An answer is a number, a text, or a list of numbers; `also` are other words for a text.
    """

    answer: Any
    hint: str
    mistakes: list[tuple[Any, str]]
    also: list[str] = field(default_factory=list)


def _read_all() -> dict[str, Exercise]:
    """Every exercise and prediction of every lesson, by its name: `06.2`, `06.a`."""
    found: dict[str, Exercise] = {}
    for lesson in sorted(Path(__file__).parent.glob("*.toml")):
        table = tomllib.loads(lesson.read_text(encoding="utf-8"))
        found |= {f"{lesson.stem}.{key}": Exercise(**entry) for key, entry in table.items()}
    return found


_ALL = _read_all()
EXERCISES = {name: entry for name, entry in _ALL.items() if name[-1].isdigit()}
PREDICTIONS = {name: entry for name, entry in _ALL.items() if name not in EXERCISES}


def is_right(answer: Any, exercise: Exercise) -> bool:
    """Whether the answer is the right one, in any form that says the same."""
    return any(means(answer, right) for right in (exercise.answer, *exercise.also))


def overlooked(answer: Any, exercise: Exercise) -> str | None:
    """What somebody has overlooked who gives this answer; None if it is not a known mistake."""
    exact = (text for wrong, text in exercise.mistakes if equal(answer, wrong))
    close = (text for wrong, text in exercise.mistakes if means(answer, wrong))
    return next(exact, None) or next(close, None)


def choices(exercise: Exercise) -> list[str]:
    """The letters that one can choose from; none where a number is asked for."""
    given = [exercise.answer, *(wrong for wrong, _ in exercise.mistakes)]
    return sorted(given) if all(isinstance(one, str) and len(one) == 1 for one in given) else []


def means(answer: Any, right: Any) -> bool:
    """Equal as it stands, or as somebody would say it: `(3, 3)` for 3, "epoch 4" for 4."""
    return equal(answer, right) or equal(_plain(answer, right), right)


def equal(answer: Any, right: Any) -> bool:
    """Whole numbers must be met exactly, others up to one part in two hundred."""
    if isinstance(answer, str) and isinstance(right, str):
        return answer.strip().casefold() == right.casefold()
    numbers, wanted = _numbers(answer), _numbers(right)
    if numbers is None or wanted is None or numbers.shape != wanted.shape:
        return False
    is_whole = np.asarray(right).dtype.kind in "iub"
    return np.allclose(numbers, wanted, rtol=1e-9 if is_whole else 5e-3, atol=1e-6)


def is_rounded(answer: Any, exercise: Exercise) -> bool:
    """Whether a number is the right one with too few decimals, but with two digits at least."""
    if not isinstance(answer, float) or not isinstance(exercise.answer, float):
        return False
    decimals = len(str(answer).partition(".")[2])
    has_two_digits = abs(answer) * 10**decimals >= 10  # noqa: PLR2004
    return has_two_digits and answer == round(exercise.answer, decimals)


def _plain(answer: Any, right: Any) -> Any:
    """Take the words, the brackets, or the second of two equal sides away."""
    if isinstance(answer, str):
        letter = LETTER.fullmatch(answer.strip().casefold())
        return letter[1] if letter and isinstance(right, str) else _number_in(answer)
    both = _numbers(answer)
    if both is None or not isinstance(right, int) or both.shape != (2,):
        return answer
    return both[0] if both[0] == both[1] else answer


def _number_in(text: str) -> Any:
    if len(text) > LONGEST:
        return text
    found = ONE_NUMBER.fullmatch(text.strip().casefold())
    if found:
        number = float(found["number"])
        return math.log(number) if found["log"] and number > 0 else number
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text


def _numbers(answer: Any) -> np.ndarray | None:
    try:
        return np.asarray(answer).astype(float, casting="same_kind")
    except (TypeError, ValueError, RuntimeError):
        return None
