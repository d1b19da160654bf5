"""The teacher's table: who has answered what, from a folder of files that students handed in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument

from vizlib.cli import _console
from vizlib.words import table

if TYPE_CHECKING:
    from vizlib.lessons import HandIn


def grade(
    folder: Annotated[Path, Argument(help="Where the files of lessons.summary() are.")],
    *,
    as_json: _console.Json = False,
) -> None:
    """Make a table of who has answered what.

    It is made from the files that students handed in. Every answer is judged again. Functions are
    not run: what the student's own notebook found stands, and their text is in the file. A file
    that is something else is named on stderr and left out.

    \b
      python -m vizlib grade handed_in
    """  # noqa: D301
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder: name the one with the students' answers*.json")
    found = dict(_read(folder))
    if not found:
        raise ValueError(f"there is no file of lessons.summary() in {folder}: answers*.json")
    points = {name: _points(handed) for name, handed in found.items()}
    _console.show(points, as_table(points), as_json=as_json)


def _read(folder: Path) -> Iterator[tuple[str, HandIn]]:
    from vizlib import lessons

    for path in sorted(folder.rglob("*.json")):
        try:
            handed = lessons.read_hand_in(path)
        except ValueError as error:
            _console.say(f"vizlib: {error}: left out", err=True)
        else:
            # Whatever is not seen is spelled: two files stay two.
            place = str(path.relative_to(folder).with_suffix(""))
            place = place if place.isprintable() else ascii(place)
            yield f"{handed.who} ({place})" if handed.who else place, handed


def _points(handed: HandIn) -> dict[str, dict[str, int]]:
    """Lesson → how many exercises are right, of how many, and predictions likewise."""
    from vizlib import lessons

    return {
        lesson: {
            "right": len(handed.right(lesson)),
            "exercises": len(lessons.exercises_of(lesson)),
            "foreseen": len(handed.foreseen(lesson)),
            "predictions": len(lessons.predictions_of(lesson)),
        }
        for lesson in sorted({name.partition(".")[0] for name in lessons.EXERCISES})
    }


def as_table(points: dict[str, dict[str, dict[str, int]]]) -> str:
    """One line for each student, one column for each lesson: right answers of all exercises."""
    rows = [["who", *next(iter(points.values())), "all"]]
    for who, lessons in points.items():
        counts = [(each["right"], each["exercises"]) for each in lessons.values()]
        cells = [f"{right}/{exercises}" if right else "–" for right, exercises in counts]
        right, exercises = map(sum, zip(*counts, strict=True))
        rows.append([who, *cells, f"{right}/{exercises}"])
    return table(rows)
