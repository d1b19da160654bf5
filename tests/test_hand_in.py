"""What a student hands in, and the table that a teacher makes of it."""

import json
import os

import pytest
import torch
from typer.testing import CliRunner

from vizlib import cli, lessons
from vizlib.lessons import check, predict, read_hand_in, summary


@pytest.fixture(autouse=True)
def _afresh(monkeypatch):
    monkeypatch.setattr("vizlib.lessons._progress._GIVEN", {})
    monkeypatch.setattr("vizlib.lessons._progress._SEEN", set())


def softmax(scores):
    return scores.exp() / scores.exp().sum()


def grade(folder, *options):
    return CliRunner().invoke(cli.app, ["grade", str(folder), *options])


def test_untouched_exercises_are_open_and_nothing_is_written(tmp_path):
    check("06.1", ...)
    predict("05.a", ...)
    done = summary(folder=tmp_path)
    assert done.right == []
    assert done.open == lessons.exercises_of("05") + lessons.exercises_of("06")
    assert "No file yet" in repr(done)
    assert list(tmp_path.iterdir()) == []


def test_what_was_answered_is_kept(tmp_path):
    check("06.1", 9)
    check("06.1", torch.tensor(10))
    check("06.2", 25)
    done = summary(folder=tmp_path)
    assert done.right == ["06.1"]
    assert "06.2" in done.open
    kept = read_hand_in(done.path)
    assert (kept.answers["06.1"].first, kept.answers["06.1"].last) == (9, 10)
    assert kept.answers["06.1"].tries == 2


def test_another_lesson_adds_to_the_file(tmp_path, monkeypatch):
    check("06.1", 10)
    summary(folder=tmp_path)
    monkeypatch.setattr("vizlib.lessons._progress._GIVEN", {})
    check("07.1", 7)
    assert summary(folder=tmp_path).right == ["06.1", "07.1"]


def test_a_name_is_part_of_the_file_name_and_leads_nowhere_else(tmp_path):
    check("06.1", 10)
    done = summary("../Ada L.", folder=tmp_path)
    assert done.path.parent == tmp_path
    assert done.path.name == "answers-___Ada_L_.json"
    assert read_hand_in(done.path).who == "../Ada L."


def test_any_answer_can_be_kept(tmp_path):
    for answer in (object(), float("nan"), {1: 2}, [torch.ones(2), 3], 1j, None, b"x"):
        check("06.1", answer)
    check("03.6", softmax)
    kept = read_hand_in(summary(folder=tmp_path).path)
    assert kept.answers["06.1"].tries == 7
    assert "def softmax(scores):" in kept.answers["03.6"].last


@pytest.mark.parametrize("answer", [torch.zeros(2000, 2000), "x" * 2_000_000, list(range(9999))])
def test_a_huge_answer_does_not_make_the_file_unreadable(answer, tmp_path):
    check("06.1", answer)
    check("06.2", 6 * 5 * 5)
    summary(folder=tmp_path)
    assert summary(folder=tmp_path).right == ["06.2"]


@pytest.mark.parametrize("answer", ["{[]: 1}", "{{}}", "[" * 99, "-" * 99])
def test_a_text_that_python_cannot_read_is_a_wrong_answer(answer):
    assert not check("06.1", answer).right


def test_a_student_may_be_a_number(tmp_path):
    check("06.1", 10)
    assert read_hand_in(summary(2026001, folder=tmp_path).path).who == "2026001"


def test_a_file_that_cannot_be_written_is_told_and_nobody_waits(tmp_path):
    check("06.1", 10)
    os.mkfifo(tmp_path / "answers-pipe.json")
    with pytest.raises(ValueError, match="answers-pipe.json is a pipe"):
        summary("pipe", folder=tmp_path)
    (tmp_path / "answers-folder.json").mkdir()
    with pytest.raises(IsADirectoryError, match="answers-folder.json is a folder"):
        summary("folder", folder=tmp_path)
    assert summary(folder=tmp_path / "new").path.is_file()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"answers": {}}',
        '{"answers": [], "who": "x"}',
        '{"what": "?", "who": "x", "answers": {}}',
        '{"who": 3, "answers": {"06.1": 10}}',
        "[" * 100_000,
        " " * 1_000_001,
        "\udcff",
    ],
)
def test_a_file_that_is_something_else_is_named_and_left_alone(text, tmp_path):
    (tmp_path / "answers.json").write_bytes(text.encode(errors="surrogateescape"))
    check("06.1", 10)
    with pytest.raises(ValueError, match=r"answers\.json is no file that lessons\.summary\(\)"):
        summary(folder=tmp_path)
    assert (tmp_path / "answers.json").read_bytes() == text.encode(errors="surrogateescape")


def test_the_table_has_a_line_for_each_student(tmp_path):
    check("06.1", 10)
    check("03.6", softmax)
    summary("Ada", folder=tmp_path)
    check("06.1", 11)
    summary("Bob", folder=tmp_path / ".")
    result = grade(tmp_path)
    assert result.exit_code == 0
    head, ada, bob = result.stdout.splitlines()
    assert head.split()[:2] == ["who", "01"]
    assert ada.startswith("Ada (answers-Ada)")
    assert ada.split()[-1].startswith("2/")
    assert bob.split()[-1].startswith("1/")
    points = json.loads(grade(tmp_path, "--json").stdout)
    assert points["Ada (answers-Ada)"]["06"]["right"] == 1


def test_a_file_that_praises_itself_is_judged_again(tmp_path):
    check("06.1", 11)
    path = summary(folder=tmp_path).path
    table = json.loads(path.read_text())
    table["answers"]["06.1"]["right"] = True
    table["answers"]["99.1"] = dict.fromkeys(("first", "last", "right"), 1)
    path.write_text(json.dumps(table))
    assert json.loads(grade(tmp_path, "--json").stdout)["answers"]["06"]["right"] == 0


def test_other_files_are_left_out_and_named(tmp_path):
    (tmp_path / "notes.json").write_text("{}")
    check("06.1", 10)
    summary(folder=tmp_path)
    result = grade(tmp_path)
    assert result.exit_code == 0
    assert "notes.json is no file" in result.stderr
    assert "notes" not in result.stdout


def test_what_is_no_plain_file_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    check("06.1", 10)
    summary(folder=tmp_path)
    result = grade(tmp_path)
    assert result.exit_code == 0
    assert "pipe.json is no file" in result.stderr
    assert "folder.json is no file" in result.stderr


@pytest.mark.parametrize(
    "last",
    ["(" * 100_000, "9" * 10_000, 10**400, float("inf"), {"a": 1}, [[[1]]], None, True, "ln 0"],
)
def test_strange_answers_in_a_file_are_wrong_and_no_more(last, tmp_path):
    attempt = {"first": last, "last": last, "right": True}
    answers = dict.fromkeys(["06.1", "06.a", "11.4", "01.3"], attempt)
    kept = {"what": "answers to the lessons of vizlib", "who": "x", "answers": answers}
    (tmp_path / "answers.json").write_text(json.dumps(kept))
    points = json.loads(grade(tmp_path, "--json").stdout)["x (answers)"]
    assert sum(one["right"] + one["foreseen"] for one in points.values()) == 0


def test_a_name_writes_nothing_else_on_the_screen(tmp_path):
    check("06.1", 10)
    summary("Eve\x1b[2J\nAda", folder=tmp_path)
    assert "\x1b" not in grade(tmp_path).stdout
    assert len(grade(tmp_path).stdout.splitlines()) == 2


def test_what_is_not_seen_in_a_file_name_hides_no_other_file(tmp_path):
    check("06.1", 10)
    content = summary(folder=tmp_path).path.read_text()
    (tmp_path / "answers\u200b.json").write_text(content)
    assert list(json.loads(grade(tmp_path, "--json").stdout)) == ["answers", r"'answers\u200b'"]


def test_a_folder_without_such_files_is_said(tmp_path):
    for folder, said in ((tmp_path, "no file of lessons.summary()"), (tmp_path / "x", "no folder")):
        result = grade(folder)
        assert result.exit_code == 2
        assert said in result.stderr
