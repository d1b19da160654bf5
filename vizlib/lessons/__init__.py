"""Exercises and predictions of the lessons: is an answer right, and if not, what was thought?

>>> check("06.2", 25)
Not yet. 25 weights read one map, but a kernel of conv2 is as deep as its input: six maps.
>>> check("06.2", 6 * 5 * 5)
Right.
>>> predict("05.a", ...)
Make a guess first: put it in place of the dots. Then run the next cell and see.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vizlib import words
from vizlib.lessons._answers import (
    EXERCISES,
    PREDICTIONS,
    Exercise,
    choices,
    is_right,
    is_rounded,
    overlooked,
)
from vizlib.lessons._progress import (
    HandIn,
    Summary,
    exercises_of,
    predictions_of,
    read_hand_in,
    remember,
    summary,
)
from vizlib.lessons._tasks import NOTHING, TASKS, judge

__all__ = [
    "EXERCISES",
    "PREDICTIONS",
    "TASKS",
    "Exercise",
    "HandIn",
    "Summary",
    "Verdict",
    "check",
    "exercises_of",
    "predict",
    "predictions_of",
    "read_hand_in",
    "summary",
]


@dataclass(frozen=True)
class Verdict:
    """What `check` and `predict` say: whether the answer was right, and a sentence."""

    right: bool
    sentence: str

    def __repr__(self) -> str:
        """Return the sentence, as the notebook shows it."""
        return self.sentence


def check(name: str, answer: Any) -> Verdict:
    """Judge an answer to the exercise called `name`; `...` means that there is none yet.

    - A number, an array or a tensor: whole numbers must be met exactly; others may be rounded, by
      up to one part in two hundred.
    - A text, in any case. `"epoch 4"` is 4, and `(3, 3)` is 3 for what is as high as it is wide.
    - A function, where the exercise asks for one: it is called with new inputs, and torch's own
      result is compared.

    Raises ValueError for an unknown exercise.

    >>> check("06.1", ...)
    Not answered yet: put your answer in place of the dots.
    >>> check("03.6", lambda scores: scores.exp())
    Not yet. Now divide by their sum.
    """
    _known(name, "exercise", [*EXERCISES, *TASKS])
    if answer is ...:
        remember(name)
        return NO_ANSWER
    if name in TASKS:
        return _check_function(name, answer)
    verdict = _judge(answer, EXERCISES[name], "Not yet.")
    remember(name, answer, right=verdict.right)
    return verdict


def predict(name: str, guess: Any) -> Verdict:
    """Judge a guess that is made before the next cell shows what happens.

    The guess is a number, or the letter of a choice: `predict("05.a", "b")`. `...` means that there
    is none yet. The first guess is the one that counts in `summary`. Raises ValueError for an
    unknown prediction.

    >>> predict("00.a", "b")
    Not quite. Blue is positive, and ReLU keeps what is positive.
    """
    _known(name, "prediction", PREDICTIONS)
    if guess is ...:
        remember(name)
        return NO_GUESS
    exercise = PREDICTIONS[name]
    verdict = _judge(guess, exercise, "Not quite.")
    letters = choices(exercise)
    if letters and not verdict.right and overlooked(guess, exercise) is None:
        return _no(f"Choose one of {', '.join(map(repr, letters))}, with its quotes.")
    remember(name, guess, right=verdict.right)
    return verdict


def _judge(answer: Any, exercise: Exercise, no: str) -> Verdict:
    if is_right(answer, exercise):
        return Verdict(right=True, sentence="Right.")
    if is_rounded(answer, exercise):
        return Verdict(right=True, sentence="Right, but give more decimals.")
    return _no(f"{no} {overlooked(answer, exercise) or exercise.hint}")


def _check_function(name: str, function: Any) -> Verdict:
    if not callable(function):
        return _no("Not yet. Give the function itself: its name, without brackets.")
    right, sentence = judge(function, TASKS[name])
    if sentence == NOTHING:
        remember(name)
        return _no(NOTHING)
    remember(name, function, right=right)
    return (
        Verdict(right=True, sentence=f"Right: {sentence}") if right else _no(f"Not yet. {sentence}")
    )


def _no(sentence: str) -> Verdict:
    return Verdict(right=False, sentence=sentence)


NO_ANSWER = _no("Not answered yet: put your answer in place of the dots.")
NO_GUESS = _no("Make a guess first: put it in place of the dots. Then run the next cell and see.")


def _known(name: Any, kind: str, names: Iterable[str]) -> None:
    if name not in names:
        raise ValueError(words.unknown(kind, name, sorted(names)))
