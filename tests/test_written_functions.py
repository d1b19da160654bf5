"""Functions that students write: right ones, often written ones, and those that stop."""

import nbformat
import numpy as np
import pytest
import torch
from save_notebooks import NOTEBOOKS
from torch import nn

from vizlib.lessons import TASKS, check

EACH = pytest.mark.parametrize("name", TASKS)


def normalize(image, mean, std):
    return (np.asarray(image) / 255 - mean) / std


def one_hot(labels, classes):
    rows = torch.zeros(len(labels), classes)
    for row, label in enumerate(labels):
        rows[row, label] = 1
    return rows


def softmax(scores):
    powers = [2.718281828459045 ** float(score) for score in scores]
    return [power / sum(powers) for power in powers]


def max_pool(image):
    return [[image[r : r + 2, c : c + 2].max() for c in (0, 2, 4)] for r in (0, 2, 4)]


def two_channels(image, kernel):
    made = torch.zeros(3, 3)
    for row in range(3):
        for col in range(3):
            made[row, col] = (image[:, row : row + 3, col : col + 3] * kernel).sum()
    return made


def rates(first, gamma, epochs):
    return [first * gamma**epoch for epoch in range(epochs)]


def outputs(network, x):
    made = {}
    handles = [
        layer.register_forward_hook(lambda _l, _g, out, name=name: made.update({name: out.clone()}))
        for name, layer in network.named_children()
    ]
    network(x)
    for handle in handles:
        handle.remove()
    return made


def outputs_without_clone(network, x):
    made = {}
    for name, layer in network.named_children():
        layer.register_forward_hook(lambda _l, _g, out, name=name: made.update({name: out}))
    network(x)
    return made


def batch_norm(x):
    mean = x.mean((0, 2, 3), keepdim=True)
    return (x - mean) / ((x - mean) ** 2).mean((0, 2, 3), keepdim=True).sqrt()


def accuracy(logits, labels):
    return sum(int(row.argmax() == label) for row, label in zip(logits, labels, strict=True)) / 20


def centre(image):
    ink = image.numpy().astype(float)
    return (ink.sum(1) @ np.arange(6) / ink.sum(), ink.sum(0) @ np.arange(8) / ink.sum())


def silence(_layer, _given, made):
    made[:, 0] = 0
    return made


def branches(x, left, right):
    return torch.cat([left(x), right(x)], dim=1)


def field(kernels, strides):
    width = jump = 1
    for kernel, stride in zip(kernels, strides, strict=True):
        width += (kernel - 1) * jump
        jump *= stride
    return width


# One right answer to each, written with other means than the package's own.
WRITTEN = {
    "01.5": normalize,
    "02.6": one_hot,
    "03.6": softmax,
    "04.5": max_pool,
    "04.6": two_channels,
    "05.5": rates,
    "06.5": outputs,
    "07.6": batch_norm,
    "08.6": accuracy,
    "09.5": centre,
    "10.6": silence,
    "11.6": branches,
    "12.5": field,
}


@EACH
def test_a_function_that_is_right_is_found_right(name):
    assert check(name, WRITTEN[name]).right
    assert repr(check(name, WRITTEN[name])).startswith("Right")


@EACH
def test_what_is_often_written_is_told_what_it_overlooks(name):
    for wrong, thought in TASKS[name].mistakes:
        verdict = check(name, wrong)
        assert not verdict.right
        assert thought in repr(verdict)


@EACH
def test_dots_are_no_function_yet(name):
    def nothing(*_given): ...

    assert "Not written yet" in repr(check(name, nothing))
    assert "Not written yet" in repr(check(name, lambda *_given: ...))
    assert "Not answered yet" in repr(check(name, ...))


@EACH
@pytest.mark.parametrize("made", ["a word", 12345.0, [[1], [2, 3]], object(), {}, [float("nan")]])
def test_whatever_else_comes_out_gets_a_sentence(name, made):
    verdict = check(name, lambda *_given: made)
    assert not verdict.right
    assert TASKS[name].hint in repr(verdict)


@EACH
def test_a_function_that_stops_is_said_why(name):
    def stops(*_given):
        return {}["nowhere"]

    assert "It stopped with KeyError: 'nowhere'" in repr(check(name, stops))


def test_a_value_in_place_of_a_function_is_refused_kindly():
    assert "the function itself" in repr(check("03.6", [0.2, 0.8]))


def test_a_wrong_shape_is_said():
    said = repr(check("04.5", lambda image: image[:2]))
    assert "returns the shape (2, 6), and should return the shape (3, 3)" in said


def test_a_hook_without_a_copy_falls_into_the_first_trap():
    assert "first trap" in repr(check("06.5", outputs_without_clone))


def test_inputs_are_new_each_time_and_leave_the_random_numbers_alone():
    seen = []
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for _ in range(2):
        check("03.6", lambda scores: seen.append(scores.clone()) or scores.softmax(0))
    assert torch.equal(before, torch.get_rng_state())
    assert len(seen) == 6
    assert len({tuple(scores.tolist()) for scores in seen}) == 6


def test_a_function_may_spoil_what_it_gets():
    def spoils(image):
        made = nn.functional.max_pool2d(image.clone()[None, None], 2)[0, 0]
        image.zero_()
        return made

    assert check("04.5", spoils).right


def test_every_lesson_asks_for_a_function_and_says_in_the_end_what_is_open():
    lessons = [path for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb")) if path.name[:2] != "00"]
    asked = set()
    for path in lessons:
        code = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
        its_own = {name for name in TASKS if any(f'check("{name}"' in source for source in code)}
        assert its_own, path.name
        assert all(name.startswith(path.name[:2]) for name in its_own)
        assert code[-1] == "summary()"
        asked |= its_own
    assert asked == set(TASKS)
