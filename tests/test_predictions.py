"""Predictions are committed before the next cell shows what happens, and judged as answers are."""

import re

import nbformat
import pytest
from save_notebooks import NOTEBOOKS, chosen

from vizlib import lessons
from vizlib.lessons import PREDICTIONS, predict
from vizlib.lessons._answers import choices

EACH = pytest.mark.parametrize("name", PREDICTIONS)
CHOICE = re.compile(r"\(([a-e])\)")
CALL = re.compile(r'^predict\("(\d\d\.[a-z])", \.\.\.\)$')


@EACH
def test_without_a_guess_it_asks_for_one(name):
    assert not predict(name, ...).right
    assert "Make a guess first" in repr(predict(name, ...))


@EACH
def test_the_right_guess_is_right_and_each_wrong_one_is_told_what_it_overlooks(name):
    prediction = PREDICTIONS[name]
    assert predict(name, prediction.answer).right
    assert prediction.mistakes
    for wrong, thought in prediction.mistakes:
        verdict = predict(name, wrong)
        assert not verdict.right
        assert thought in repr(verdict)


@EACH
def test_a_guess_that_is_no_choice_is_told_the_choices(name):
    prediction = PREDICTIONS[name]
    said = predict(name, "q")
    letters = choices(prediction)
    assert not said.right
    expected = ", ".join(map(repr, letters)) if letters else prediction.hint
    assert expected in repr(said)


def test_a_letter_may_have_its_brackets():
    assert predict("00.a", "(A)").right
    assert predict("00.a", " a) ").right


def test_a_prediction_that_does_not_exist_is_named():
    with pytest.raises(
        ValueError, match=r"no prediction is called '00\.aa'; did you mean '00\.a'\?"
    ):
        predict("00.aa", "a")


# --- In the lessons ------------------------------------------------------------------------


def asked():
    """Each `predict` of the lessons: its name, the text before it, and the cell after it."""
    for path in chosen([]):
        if path.parent == NOTEBOOKS:
            cells = nbformat.read(path, as_version=4).cells
            for before, cell, after in zip(cells, cells[1:], cells[2:], strict=False):
                if found := CALL.match(cell.source):
                    yield path, found[1], before, cell, after


ASKED = list(asked())
EACH_ASKED = pytest.mark.parametrize("asked", ASKED, ids=[name for _, name, *_ in ASKED])


def test_every_prediction_is_asked_once_in_its_own_lesson():
    assert sorted(name for _, name, *_ in ASKED) == sorted(PREDICTIONS)
    assert all(path.name.startswith(name[:2]) for path, name, *_ in ASKED)


def test_every_predict_of_the_text_is_a_cell():
    for path in chosen([]):
        if path.parent == NOTEBOOKS:
            cells = nbformat.read(path, as_version=4).cells
            prompts = sum(cell.source.count("**Predict") for cell in cells)
            assert prompts == sum(one == path for one, *_ in ASKED) > 0, path.name


@EACH_ASKED
def test_the_question_is_above_and_its_choices_are_those_that_are_judged(asked):
    _, name, before, *_ = asked
    question = before.source.rpartition("**Predict")[2]
    assert question
    assert CHOICE.findall(question) == choices(PREDICTIONS[name])


@EACH_ASKED
def test_what_happens_comes_in_the_next_cell(asked):
    *_, cell, after = asked
    assert "Make a guess first" in cell.outputs[0].data["text/plain"]
    assert after.cell_type == "code"
    assert "predict(" not in after.source


def test_the_first_guess_counts(tmp_path, monkeypatch):
    monkeypatch.setattr("vizlib.lessons._progress._GIVEN", {})
    monkeypatch.setattr("vizlib.lessons._progress._SEEN", set())
    predict("00.a", "b")
    predict("00.a", "a")
    assert "0 of 1 predictions" in repr(lessons.summary(folder=tmp_path))
