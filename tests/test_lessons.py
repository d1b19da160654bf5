import pytest
import torch
from torch import nn

from vizlib import lessons, weights
from vizlib.lessons import EXERCISES, check

EACH = pytest.mark.parametrize("name", EXERCISES)

# The answers once more, each found by doing what the exercise asks about.
FOUND = {
    "06.1": lambda: nn.Conv2d(1, 1, 3)(torch.zeros(1, 1, 12, 12)).shape[-1],
    "06.2": weights.load("lenet").conv2.weight[0].numel,
    "06.3": lambda: 1 - nn.MaxPool2d(2)(torch.zeros(1, 1, 8, 8)).numel() / 64,
}


@EACH
def test_the_right_answer_is_what_torch_finds(name):
    assert check(name, FOUND[name]()).right


@EACH
def test_typical_mistakes_are_rejected_with_what_they_overlook(name):
    mistakes = EXERCISES[name].mistakes
    assert mistakes
    for wrong, thought in mistakes:
        verdict = check(name, wrong)
        assert not verdict.right
        assert thought in repr(verdict)


@EACH
@pytest.mark.parametrize("answer", [-123456.0, "no idea", None, [1, 2, 3]])
def test_any_other_answer_gets_the_hint(name, answer):
    verdict = check(name, answer)
    assert not verdict.right
    assert EXERCISES[name].hint in repr(verdict)


@EACH
def test_dots_are_no_answer(name):
    assert not check(name, ...).right
    assert "Not answered yet" in repr(check(name, ...))


def test_numbers_may_be_rounded_and_be_of_any_kind():
    for answer in (0.75, 3 / 4, torch.tensor(0.75), 0.7501):
        assert check("06.3", answer).right
    assert not check("06.3", 0.76).right


def test_words_may_be_written_in_any_case(monkeypatch):
    monkeypatch.setitem(EXERCISES, "x", lessons.Exercise("ReLU", "Look again.", []))
    assert check("x", " relu").right
    assert not check("x", "sigmoid").right


def test_an_exercise_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match=r"there is no exercise '06.11'; did you mean '06.1'\?"):
        lessons.check("06.11", 1)
