"""What somebody has answered: remembered while the notebook runs, and kept in one small file."""

from __future__ import annotations

import contextlib
import inspect
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vizlib import files
from vizlib.lessons._answers import EXERCISES, PREDICTIONS, is_right, is_rounded
from vizlib.lessons._tasks import TASKS

LARGEST = 1_000_000  # bytes; a file with every answer has about 20,000
_LONGEST = 1_000  # letters of one answer, so that all of them together fit
MARK = "answers to the lessons of vizlib"


@dataclass
class Attempt:
    """The first and the last answer to one exercise, as JSON can hold them."""

    first: Any
    last: Any
    right: bool
    tries: int = 1


@dataclass(frozen=True)
class HandIn:
    """Everything that one student has answered, by the name of the exercise or prediction."""

    who: str
    answers: dict[str, Attempt]

    def right(self, lesson: str) -> list[str]:
        """The exercises of a lesson that are answered right, judged again where that is possible.

        The text of a function is kept for the teacher to read; it is never run.
        """
        return [name for name in exercises_of(lesson) if name in self.answers and self._holds(name)]

    def foreseen(self, lesson: str) -> list[str]:
        """The predictions of a lesson that were right at the first guess."""
        made = ((name, self.answers.get(name)) for name in predictions_of(lesson))
        return [name for name, one in made if one and is_right(one.first, PREDICTIONS[name])]

    def _holds(self, name: str) -> bool:
        given = self.answers[name]
        if name in TASKS:
            return given.right
        exercise = EXERCISES[name]
        return is_right(given.last, exercise) or is_rounded(given.last, exercise)


@dataclass(frozen=True)
class Summary:
    """What is right, what is still open, and the file to hand in (None while all is open)."""

    right: list[str]
    open: list[str]
    predictions: str
    path: Path | None

    def __repr__(self) -> str:
        """Return three lines, as the notebook shows them."""
        count = len(self.right) + len(self.open)
        still = f"Still open: {', '.join(self.open)}." if self.open else "Nothing is open."
        kept = f"Hand in the file {self.path.name}." if self.path else "No file yet: answer first."
        done = f"{len(self.right)} of {count} exercises are right. {still}"
        return f"{done}\n{self.predictions}\n{kept}"


_SEEN: set[str] = set()
_GIVEN: dict[str, Attempt] = {}


def exercises_of(lesson: str) -> list[str]:
    """The names of a lesson's exercises, in order."""
    return sorted(name for name in [*EXERCISES, *TASKS] if name.startswith(f"{lesson}."))


def predictions_of(lesson: str) -> list[str]:
    """The names of a lesson's predictions, in order."""
    return [name for name in PREDICTIONS if name.startswith(f"{lesson}.")]


def remember(name: str, *answer: Any, right: bool = False) -> None:
    """Note that an exercise was met, and what was answered, if anything was."""
    _SEEN.add(name)
    for one in map(_as_json, answer):
        before = _GIVEN.get(name)
        tries = before.tries + 1 if before else 1
        _GIVEN[name] = Attempt(before.first if before else one, one, right, tries)


def summary(who: str = "", *, folder: str | Path = ".") -> Summary:
    """Say what is open in the lessons met so far, and write what was answered into one small file.

    The file is `answers.json`, or `answers-NAME.json` for `summary("NAME")`, in `folder`. What
    another lesson has written there is kept. A teacher reads a folder of such files with
    `python -m vizlib grade FOLDER`.

    Raises ValueError where a file of this name is there and holds something else, and OSError
    where none can be written.
    """
    who = str(who)  # also the number of a student
    path = Path(folder) / f"answers{'-' * bool(who)}{_safe(who)}.json"
    before = read_hand_in(path).answers if path.is_file() else {}
    now = HandIn(who, before | _GIVEN)
    if _GIVEN:
        files.replace_whole(path, json.dumps({"what": MARK, **asdict(now)}, indent=1))
    return _summarize(now, path if now.answers else None)


def _summarize(now: HandIn, path: Path | None) -> Summary:
    lessons = sorted({name.partition(".")[0] for name in _SEEN | set(now.answers)})
    right = [name for lesson in lessons for name in now.right(lesson)]
    every = [name for lesson in lessons for name in exercises_of(lesson)]
    foreseen = sum(len(now.foreseen(lesson)) for lesson in lessons)
    guesses = sum(len(predictions_of(lesson)) for lesson in lessons)
    sentence = f"{foreseen} of {guesses} predictions were right at the first guess."
    return Summary(right, [name for name in every if name not in right], sentence, path)


def read_hand_in(path: str | Path) -> HandIn:
    """Read a file that `summary` has written; what it says of itself is not believed.

    Raises ValueError, with the name of the file, where it is something else.
    """
    path = Path(path)
    wrong = ValueError(f"{path.name} is no file that lessons.summary() has written")
    # A pipe would keep its reader waiting.
    if not path.is_file() or path.stat().st_size > LARGEST:
        raise wrong
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        answers = {name: Attempt(**given) for name, given in table["answers"].items()}
        who = table["who"]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise wrong from None
    if table.get("what") != MARK or not isinstance(who, str):
        raise wrong
    return HandIn("".join(filter(str.isprintable, who))[:80], answers)


def _safe(who: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in who)[:60]


def _as_json(answer: Any) -> Any:
    if callable(answer):
        return _source(answer)
    with contextlib.suppress(TypeError, ValueError, RuntimeError):
        numbers = np.asarray(answer)
        made = answer if isinstance(answer, str) else numbers.tolist()
        if numbers.size <= _LONGEST and len(json.dumps(made)) <= _LONGEST:
            return made
    return repr(answer)[:500]


def _source(function: Any) -> str:
    try:
        return inspect.getsource(function)[:5_000]
    except (OSError, TypeError):
        return repr(function)[:500]
