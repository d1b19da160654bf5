"""Judge a function that a student wrote: torch gets the same inputs, new ones each time."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., Any]
NOTHING = "Not written yet: put your lines in place of the dots, and end with `return`."


class Task:
    """What a function gets, what torch makes of it, and functions often written in its place."""

    def __init__(
        self,
        inputs: Callable[[], tuple],
        right: Function,
        hint: str,
        *mistakes: tuple[Function, str],
    ) -> None:
        self.inputs, self.right, self.hint, self.mistakes = inputs, right, hint, mistakes


def judge(function: Function, task: Task) -> tuple[bool, str]:
    """Call the function three times; say whether it agrees with torch, and what is wrong if not."""
    for _ in range(3):
        given = task.inputs()
        try:
            made = function(*copy.deepcopy(given))
        except Exception as error:  # noqa: BLE001 - whatever a student's lines raise is said
            return False, f"It stopped with {type(error).__name__}: {error}. {task.hint}"
        if made is None or made is ...:
            return False, NOTHING
        if not _agree(made, task.right(*copy.deepcopy(given))):
            return False, _explain(made, given, task)
    return True, "torch makes the same of three new inputs."


def _explain(made: Any, given: tuple, task: Task) -> str:
    for wrong, thought in task.mistakes:
        if _agree(made, wrong(*copy.deepcopy(given))):
            return thought
    expected = task.right(*copy.deepcopy(given))
    if _shape(made) != _shape(expected):
        return f"It returns {_shape(made)}, and should return {_shape(expected)}. {task.hint}"
    return f"Its shape is right, its numbers are not. {task.hint}"


def _agree(made: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        same = isinstance(made, dict) and list(made) == list(expected)
        return same and all(_agree(made[name], expected[name]) for name in expected)
    made, expected = _tensor(made), _tensor(expected)
    if made is None or made.shape != expected.shape:
        return False
    return torch.allclose(made, expected, rtol=1e-3, atol=1e-4)


def _tensor(made: Any) -> Tensor | None:
    if isinstance(made, list | tuple) and any(isinstance(one, Tensor) for one in made):
        made = [one.tolist() if isinstance(one, Tensor) else one for one in made]
    try:
        return torch.as_tensor(made).detach().double()
    except (TypeError, ValueError, RuntimeError):
        return None


def _shape(made: Any) -> str:
    if isinstance(made, dict):
        return f"a dict with the keys {', '.join(map(str, made)) or '(none)'}"
    tensor = _tensor(made)
    if tensor is None:
        return f"a {type(made).__name__}"
    return f"the shape {tuple(tensor.shape)}" if tensor.dim() else "one number"
