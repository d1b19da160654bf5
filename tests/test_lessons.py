from itertools import islice

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.metrics import accuracy_score, precision_score
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision.models import resnet18

from vizlib import capture, data, handwriting, lessons, weights
from vizlib.history import History
from vizlib.lessons import EXERCISES, check

EACH = pytest.mark.parametrize("name", EXERCISES)


def seen_by(*layers):
    """The columns of an image that the gradient of one value reaches."""
    x = torch.zeros(1, 1, 15, 15, requires_grad=True)
    nn.Sequential(*layers)(x)[0, 0, 4, 4].backward()
    return x.grad[0, 0].any(dim=0).nonzero()


# The labels and answers of thirty images, whose confusion matrix lesson 08 asks about.
TWENTY_FOUR_OF_THIRTY = (
    [0] * 10 + [1] * 10 + [2] * 10,
    [0] * 8 + [1] * 2 + [0] + [1] * 9 + [1] * 3 + [2] * 7,
)

TWO_LAYERS = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))


def two_gradients_one_step():
    """A weight of 1 that never had its gradients of 0.5 zeroed."""
    weight = torch.ones((), requires_grad=True)
    for _ in range(2):
        (weight * 0.5).backward()
    torch.optim.SGD([weight], lr=0.1).step()
    return weight.item()


def uphill(weight):
    """How steeply the loss of lesson 03's last neuron rises with its weight."""
    w = torch.tensor(weight, requires_grad=True)
    ((F.relu(w * 2) - 5) ** 2).backward()
    return w.grad.item()


# AlexNet as torchvision has it: inputs × outputs × kernel, and a bias for each output.
ALEXNET = {
    "conv": sum(
        (inputs * side**2 + 1) * outputs
        for inputs, outputs, side in [(3, 64, 11), (64, 192, 5), (192, 384, 3), (384, 256, 3)]
    )
    + (256 * 9 + 1) * 256,
    "linear": sum((a + 1) * b for a, b in [(9216, 4096), (4096, 4096), (4096, 1000)]),
}

# A 0 of straight strokes, 160 pixels high and 96 wide, white on black.
FRAME = np.pad(np.pad(np.zeros((128, 64), np.uint8), 16, constant_values=255), 60)


def first_black(steps):
    """The first step after which most pixels are black."""
    return next(name for name, picture in steps.items() if np.median(picture) < 128)


def keeps_its_size(padding):
    return nn.Conv2d(1, 1, 7, padding=padding)(torch.zeros(1, 1, 28, 28)).shape[-1] == 28


def rate_of_the_fourth_epoch():
    """What torch's own schedule has made of 0.8 by then."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.8)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    for _ in range(3):
        optimizer.step()
        schedule.step()
    return schedule.get_last_lr()[0]


def with_and_without(unit):
    """The scores of a layer of three units, and those without one of them."""
    layer = nn.Sequential(nn.Identity(), nn.Linear(3, 1))
    layer[1].weight.data = torch.tensor([[0.5, 4.0, -1.0]])
    layer[1].bias.data = torch.tensor([0.5])
    x = torch.tensor([[2.0, 0.0, 3.0]])
    with capture.edit(layer, {"0": {unit: 0.0}}):
        without = layer(x).item()
    return layer(x).item(), without


def moves_without_loss():
    """How far ink in the middle 20 of 28 columns can move before some of it leaves the image."""
    ink = nn.functional.pad(torch.ones(28, 20), (4, 4))
    moved = [nn.functional.pad(ink, (far, 0))[:, :28].sum() for far in range(28)]
    return sum(int(left == ink.sum()) for left in moved) - 1


def where_it_is_lost(name, image):
    """By how many pixels to the right a test image moves before it is first misread."""
    digits = data.load("mnist", download=False)
    pixels, label = digits.test[image]
    moved = [nn.functional.pad(pixels, (far, 0))[:, :28] for far in range(28)]
    answers = weights.load(name)(digits.normalize(torch.stack(moved))).argmax(1)
    return (answers != label).nonzero()[0].item()


def rate_that_learns_most():
    """Of the rates of lesson 02's slider, the one after which most digits are right."""
    digits = data.load("mnist", download=False)
    x, labels = digits.normalize(digits.val.images).flatten(1), digits.val.labels
    shares = {}
    for rate in (0.01, 0.03, 0.1, 0.3, 0.8, 2.0):
        torch.manual_seed(0)
        hidden = nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 64), nn.ReLU()
        model = nn.Sequential(*hidden, nn.Linear(64, 10))
        for images, truth in islice(digits.batches("train", 128, shuffle=True), 100):
            loss = F.cross_entropy(model(images.flatten(1)), truth)
            slopes = torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                for weight, slope in zip(model.parameters(), slopes, strict=True):
                    weight.sub_(rate * slope)
        shares[rate] = accuracy_score(labels, model(x).argmax(1))
    return max(shares, key=shares.get)


def largest_rate_that_comes_down():
    """On lesson 03's map: steps diverge beyond 2 / the greatest curvature."""
    torch.manual_seed(1)
    inputs = torch.randn(40, 2) * torch.tensor([1.0, 0.4])
    curvature = torch.linalg.eigvalsh(2 * inputs.T @ inputs / 40).max()
    return max(r for r in (0.03, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0) if r < 2 / curvature)


def worked_example(padding):
    """The convolution of lesson 04's first slider."""
    left = torch.tensor([3.0, 2, 3, 4, 1])
    image = torch.cat([left[:, None], torch.tensor([3.0, 2, 1, 0]).repeat(5, 1)], 1)
    kernel = torch.tensor([[0.0, 1, 2], [2, 2, 0], [0, 1, 2]])
    return F.conv2d(image[None, None], kernel[None, None], padding=padding)[0, 0]


def makes_a_row_of(count):
    """Image and kernel of lesson 05's slider after which so many numbers are laid out."""
    sizes = [(image, kernel) for image in (28, 32, 64) for kernel in (3, 5, 7)]
    sides = [((image - kernel + 1) // 2 - kernel + 1) // 2 for image, kernel in sizes]
    (found,) = [size for size, side in zip(sizes, sides, strict=True) if 16 * side**2 == count]
    return list(found)


def first_that_changes_nothing():
    x = torch.randn(1, 1, 28, 28)
    for name, layer in weights.load("newnet").features.named_children():
        before, x = x, layer(x)
        if torch.equal(before, x):
            return f"features.{name}"
    return None


def most_frequent_of_lenet_alone():
    """Of the test images that NewNet misreads, and LeNet reads, the most frequent label."""
    digits = data.load("mnist", download=False)
    images, labels = digits.test[:]
    lenet, newnet = (
        torch.cat(
            [weights.load(name)(digits.normalize(some)).argmax(1) for some in images.split(500)]
        )
        for name in ("lenet", "newnet")
    )
    return labels[(lenet == labels) & (newnet != labels)].bincount().argmax().item()


def where_a_turn_is_lost(image):
    pixels, label = data.load("mnist", download=False).test[image]
    angles = range(0, 95, 5)
    turned = [ndimage.rotate(pixels, angle, reshape=False, order=1) for angle in angles]
    x = data.load("mnist", download=False).normalize(torch.tensor(np.stack(turned)))
    answers = weights.load("lenet")(x).argmax(1)
    return next(angle for angle, answer in zip(angles, answers, strict=True) if answer != label)


def widest_below(parameters):
    """Of lesson 12's widths, the largest whose network has fewer parameters."""

    def count(w):
        blocks = [(1, w), (w, 2 * w), (2 * w, 4 * w)]
        return sum((9 * a + 1 + 2) * b for a, b in blocks) + (4 * w * 49 + 1) * 10

    return max(w for w in range(2, 25, 2) if count(w) < parameters)


def most_horizontal():
    """The channel of relu1 that answers much more to a level bar than to an upright one."""
    bar = torch.zeros(28, 28, dtype=torch.uint8)
    bar[12:15, 4:24] = 255
    bars = data.load("digits").normalize(torch.stack([bar, bar.T]))
    level, upright = weights.load("lenet")[:2](bars).sum((2, 3))
    return (level / upright).argmax().item()


def own_block(inputs, outputs, stride):
    conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.Softplus())


def seen_by_the_fourth_block():
    """The columns that the gradient of a value in the middle reaches."""
    blocks = [own_block(1, 1, stride) for stride in (1, 2, 2, 2)]
    x = torch.rand(1, 1, 65, 65, requires_grad=True)
    nn.Sequential(*blocks).eval()(x)[0, 0, 4, 4].backward()
    return x.grad[0, 0].any(dim=0).sum()


# The answers once more, each found by doing what the exercise asks about.
FOUND = {
    "01.1": lambda: len(DataLoader(range(10_000), batch_size=64)),
    "01.2": lambda: data.load("digits").normalize(torch.tensor([[200]])).item(),
    "01.3": lambda: list(torch.stack([torch.zeros(3, 64, 48)] * 32).shape),
    "01.4": lambda: 27 - data.load("mnist", download=False).train.images[8].any(0).nonzero().max(),
    "02.1": lambda: sum(map(torch.numel, TWO_LAYERS.parameters())),
    "02.2": lambda: F.cross_entropy(torch.zeros(1, 10), torch.tensor([7])).item(),
    "02.3": rate_that_learns_most,
    "02.4": lambda: list(torch.zeros(64, 3, 32, 32).view(64, -1).shape),
    "02.5": two_gradients_one_step,
    "03.1": largest_rate_that_comes_down,
    "03.2": lambda: nn.BCELoss()(torch.tensor(0.25), torch.tensor(1.0)),
    "03.3": lambda: torch.tensor([1.0, 0.0]).softmax(0)[0],
    "03.4": lambda: uphill(3.0),
    "03.5": lambda: 3 - 0.1 * uphill(3.0),
    "04.1": lambda: nn.Conv1d(1, 1, 5, stride=2, padding=1)(torch.zeros(1, 1, 32)).shape[-1],
    "04.2": lambda: sum(map(torch.numel, nn.Conv2d(16, 32, 3).parameters())),
    "04.3": lambda: next(p for p in range(9) if keeps_its_size(p)),
    "04.4": lambda: np.ptp(seen_by(nn.Conv2d(1, 1, 3, dilation=4)).numpy()) + 1,
    "04.7": lambda: worked_example(padding=1)[4, 0],
    "05.1": lambda: sum(map(torch.numel, nn.Conv2d(8, 24, 5).parameters())),
    "05.2": lambda: makes_a_row_of(144),
    "05.3": rate_of_the_fourth_epoch,
    "05.4": lambda: (
        History(val_accuracy=[0.988, 0.991, 0.99, 0.991], val_loss=[4, 3, 2, 1]).best_epoch
    ),
    "06.1": lambda: nn.Conv2d(1, 1, 3)(torch.zeros(1, 1, 12, 12)).shape[-1],
    "06.2": weights.load("lenet").conv2.weight[0].numel,
    "06.3": lambda: 1 - nn.MaxPool2d(2)(torch.zeros(1, 1, 8, 8)).numel() / 64,
    "06.4": most_horizontal,
    "07.1": lambda: len(seen_by(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3))),
    "07.2": nn.BatchNorm2d(1)(torch.tensor([2.0, 4, 6, 8]).reshape(4, 1, 1, 1))[3].item,
    "07.3": lambda: nn.PReLU(init=0.25)(torch.tensor([-2.0])).item(),
    "07.4": lambda: nn.Dropout(0.2)(torch.full((99,), 2.0)).max(),
    "07.5": first_that_changes_nothing,
    "08.1": lambda: torch.distributions.Binomial(10_000, 0.9).stddev / 10_000,
    "08.2": lambda: accuracy_score(*TWENTY_FOUR_OF_THIRTY),
    "08.3": lambda: precision_score(*TWENTY_FOUR_OF_THIRTY, average=None)[1],
    "08.4": lambda: 25 * nn.Conv2d(1, 6, 5)(torch.zeros(1, 1, 28, 28)).numel(),
    "08.5": most_frequent_of_lenet_alone,
    "09.1": lambda: handwriting.from_ink(FRAME).steps["scaled to 20"].shape[1],
    "09.2": lambda: ndimage.center_of_mass(np.eye(9)[2] * 100 + np.eye(9)[8] * 50)[0],
    "09.3": lambda: 100 - np.float64(100) * 3 / 4,
    "09.4": lambda: first_black(handwriting.prepare(255 - FRAME).steps),
    "09.6": lambda: where_a_turn_is_lost(image=19),
    "10.1": lambda: with_and_without(2)[1] - with_and_without(2)[0],
    "10.2": moves_without_loss,
    "10.3": lambda: nn.MaxPool1d(2)(torch.tensor([[0.0, 0, 0, 5, 0, 0]]))[0],
    "10.4": lambda: round(0.9945 * 2000) - round(0.966 * 2000),
    "10.5": lambda: where_it_is_lost("lenet", image=3),
    "11.1": lambda: next(
        name
        for name, layer in resnet18().named_modules()
        if getattr(layer, "out_channels", 0) == 512
    ),
    "11.2": lambda: sum(nn.Conv2d(3, n, 1)(torch.rand(3, 8, 8)).numel() for n in (32, 96)),
    "11.3": lambda: F.linear(torch.tensor([2.0]), torch.tensor([[-0.25]]))[0] + 2,
    "11.4": lambda: max("conv", "linear", key=ALEXNET.get),
    "11.5": nn.Conv2d(256, 64, 1).weight.numel,
    "12.1": lambda: widest_below(44_426),
    "12.2": lambda: sum(parameter.numel() for parameter in own_block(8, 16, 1).parameters()),
    "12.3": lambda: F.cross_entropy(torch.zeros(1, 26), torch.tensor([7])).item(),
    "12.4": seen_by_the_fourth_block,
}


# Of these the answer is about an image of MNIST's.
OF_MNIST = {"01.4", "02.3", "08.5", "09.6", "10.5"}


@EACH
def test_the_right_answer_is_what_torch_finds(name, request):
    if name in OF_MNIST:
        request.getfixturevalue("mnist")
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


def test_a_count_is_met_exactly_and_a_measure_nearly(monkeypatch):
    monkeypatch.setitem(EXERCISES, "count", lessons.Exercise(4640, "Count.", []))
    monkeypatch.setitem(EXERCISES, "measure", lessons.Exercise(2.302585, "Measure.", []))
    assert check("count", torch.tensor(4640.0)).right
    assert not check("count", 4641).right
    assert check("measure", 2.3).right
    assert not check("measure", 2.35).right


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        *[("04.3", (3, 3)), ("07.1", [7, 7]), ("05.4", "epoch 4"), ("05.1", "4824 parameters")],
        *[("11.4", "Fully connected"), ("11.4", "fc"), ("03.2", "ln 4"), ("03.2", "log(4)")],
        *[("01.3", "(32, 3, 64, 48)"), ("01.3", (32, 3, 64, 48)), ("02.2", " 2.303 ")],
        ("01.3", torch.zeros(32, 3, 64, 48).shape),
    ],
)
def test_a_sensible_form_of_the_right_answer_is_right(name, answer):
    assert check(name, answer).right


@pytest.mark.parametrize(
    ("name", "answer"),
    [("04.3", (3, 4)), ("04.3", (3, 3, 3)), ("05.4", "epoch 14"), ("03.2", "ln 5"), ("02.1", "x")],
)
def test_another_form_of_a_wrong_answer_is_wrong(name, answer):
    assert not check(name, answer).right


@pytest.mark.parametrize(("name", "answer"), [("01.2", 2.1), ("12.3", 3.3), ("03.2", 1.4)])
def test_a_rounded_answer_is_right_and_asked_for_more_decimals(name, answer):
    assert check(name, answer) == lessons.Verdict(
        right=True, sentence="Right, but give more decimals."
    )
    assert not check(name, answer + 0.1).right


def test_a_single_digit_is_no_rounding():
    assert not check("08.1", 0.0).right
    assert not check("03.3", 0.7).right


def test_words_may_be_written_in_any_case(monkeypatch):
    monkeypatch.setitem(EXERCISES, "x", lessons.Exercise("ReLU", "Look again.", []))
    assert check("x", " relu").right
    assert not check("x", "sigmoid").right


def test_an_exercise_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match=r"no exercise is called '06.11'; did you mean '06.1'\?"):
        lessons.check("06.11", 1)
    with pytest.raises(ValueError, match=r"no exercise is called 6.1; did you mean '06.1'\?"):
        lessons.check(6.1, 1)
