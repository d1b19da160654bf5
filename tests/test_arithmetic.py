"""Every step against torch in float64, and against loops that share nothing with it."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from vizlib import arithmetic

TOLERANCE = 1e-6
SENTENCE = r"\w+ .*\d"  # that tells the number at fault
many = settings(max_examples=800, deadline=None, derandomize=True, database=None)
some = settings(max_examples=250, deadline=None, derandomize=True, database=None)

sizes = st.integers(1, 9)
kernels = st.integers(1, 4)
few = st.integers(1, 3)
paddings = st.integers(0, 4)
seeds = st.integers(0, 2**31)
modes = st.sampled_from(["zeros", "reflect", "replicate", "circular"])


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def close(one, other):
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def places(seed, shape):
    """The first and the last place of an output (C, …), and one in between."""
    return [
        tuple(0 for _ in shape),
        tuple(n - 1 for n in shape),
        tuple(seed // 100**axis % n for axis, n in enumerate(shape)),
    ]


def torch_or_none(compute):
    """What torch makes of it, or None where it refuses."""
    try:
        return compute()
    except (RuntimeError, ValueError):
        return None


# --- Loops ---------------------------------------------------------------------------------


def padded(row, width, mode):
    """One row with its padding, spelled out by slices."""
    if not width:
        return list(row)
    match mode:
        case "zeros":
            return [0.0] * width + list(row) + [0.0] * width
        case "replicate":
            return [row[0]] * width + list(row) + [row[-1]] * width
        case "circular":
            return list(row[-width:]) + list(row) + list(row[:width])
        case "reflect":
            return list(row[width:0:-1]) + list(row) + list(row[-2 : -2 - width : -1] or row[:1])


def loop_conv(x, weight, bias, place, stride, padding, dilation, groups, mode):
    """One value of a convolution: pad everything, then add up with four loops."""
    channel, row, col = place
    share, depth = len(weight) // groups, len(weight[0])
    total = bias[channel] if bias else 0.0
    for i, kernel in enumerate(weight[channel]):
        plane = [padded(line, padding[1], mode) for line in x[channel // share * depth + i]]
        columns = [padded(list(column), padding[0], mode) for column in zip(*plane, strict=True)]
        for u, weights in enumerate(kernel):
            for v, w in enumerate(weights):
                line = row * stride[0] + u * dilation[0]
                total += columns[col * stride[1] + v * dilation[1]][line] * w
    return total


def loop_transposed(x, weight, bias, stride, padding, output_padding, dilation, groups):
    """A whole transposed convolution: every input pixel writes the kernel into the output."""
    share = len(weight[0])
    height, width = len(x[0]), len(x[0][0])
    kh, kw = len(weight[0][0]), len(weight[0][0][0])
    out_h = (height - 1) * stride[0] - 2 * padding[0] + dilation[0] * (kh - 1) + 1
    out_w = (width - 1) * stride[1] - 2 * padding[1] + dilation[1] * (kw - 1) + 1
    shape = (share * groups, out_h + output_padding[0], out_w + output_padding[1])
    out = np.zeros(shape) + np.asarray(bias)[:, None, None]
    for i, plane in enumerate(x):
        for r, c, o, u, v in itertools.product(*map(range, (height, width, share, kh, kw))):
            row, col = (
                r * stride[0] - padding[0] + u * dilation[0],
                c * stride[1] - padding[1] + v * dilation[1],
            )
            if 0 <= row < shape[1] and 0 <= col < shape[2]:
                group = i // (len(x) // groups)
                out[group * share + o, row, col] += plane[r][c] * weight[i][o][u][v]
    return out


def loop_pool(plane, place, kernel, stride, padding, dilation):
    """The pixels under a window as {(row, column): value}."""
    found = {}
    for u, v in itertools.product(range(kernel[0]), range(kernel[1])):
        row = place[0] * stride[0] - padding[0] + u * dilation[0]
        col = place[1] * stride[1] - padding[1] + v * dilation[1]
        if 0 <= row < len(plane) and 0 <= col < len(plane[0]):
            found[row, col] = plane[row][col]
    return found


# --- Sizes ---------------------------------------------------------------------------------


@many
@given(sizes, kernels, few, paddings, few, st.booleans())
def test_output_size_counts_the_places_where_the_window_fits(size, kernel, stride, pad, apart, up):
    span = apart * (kernel - 1) + 1
    starts = [s for s in range(0, 99, stride) if s + span <= size + 2 * pad]
    if up:  # one more that reaches beyond the end, if it begins before the end of the input
        assume(pad <= kernel // 2)
        starts = [s for s in range(0, 99, stride) if s - stride + span < size + 2 * pad]
        starts = [s for s in starts if s < size + pad]
    if not starts:
        with pytest.raises(ValueError, match=f"spans {span} pixels, wider"):
            arithmetic.output_size(size, kernel, stride, pad, apart, up)
    else:
        count = arithmetic.output_size(size, kernel, stride, pad, apart, up)
        assert count == len(starts)
        formula = arithmetic.size_formula(size, kernel, stride, pad, apart, up)
        assert formula.endswith(f"= {count}")
        if not up:
            first = formula.split(" = ")[0].replace("·", "*").replace("−", "-")
            assert eval(first, {"floor": math.floor}) == count  # noqa: S307 - a formula of ours


def test_the_sizes_of_the_course():
    sizes = [28]
    for kernel, stride in [(5, 1), (2, 2), (5, 1), (2, 2)]:
        sizes.append(arithmetic.output_size(sizes[-1], kernel, stride))
    assert sizes == [28, 24, 12, 8, 4]
    assert [arithmetic.output_size(5, 3, stride, 1) for stride in (1, 2)] == [5, 3]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: arithmetic.output_size(7, 5, padding=1, dilation=3),
            "kernel 5 with dilation 3 spans 13 pixels, wider than the padded input of 9;",
        ),
        (
            lambda: arithmetic.output_size(3, 5),
            "kernel 5 spans 5 pixels, wider than the input of 3;",
        ),
        (
            lambda: arithmetic.output_size(5, 3, stride=0),
            "stride must be a whole number from 1 on, but was 0",
        ),
        (
            lambda: arithmetic.conv2d_step(
                torch.zeros(1, 9, 3), torch.zeros(1, 1, 3, 5), row=0, col=0
            ),
            "kernel 5 spans 5 pixels, wider than the input of 3 in width;",
        ),
        (
            lambda: arithmetic.conv2d_step(
                torch.zeros(6, 9, 9), torch.zeros(16, 3, 5, 5), row=0, col=0
            ),
            "the input has 6 channels, but the kernels are 3 deep;",
        ),
        (
            lambda: arithmetic.conv2d_step(
                torch.zeros(6, 9, 9), torch.zeros(8, 3, 5, 5), row=0, col=0, groups=4
            ),
            "the input has 6 channels, but the kernels are 3 deep in each of 4 groups, which makes",
        ),
        (
            lambda: arithmetic.conv2d_step(
                torch.zeros(1, 4, 4),
                torch.zeros(1, 1, 3, 3),
                row=0,
                col=0,
                padding=4,
                padding_mode="reflect",
            ),
            "reflect padding of 4 takes 4 pixels from within the input, but a height of 4 has 3",
        ),
        (
            lambda: arithmetic.conv2d_step(
                torch.zeros(1, 4, 4),
                torch.zeros(1, 1, 3, 3),
                row=0,
                col=0,
                stride=2,
                padding="same",
            ),
            'padding="same" keeps the size, which only stride 1 can; the stride was 2, 2',
        ),
        (
            lambda: arithmetic.conv2d_step(
                torch.zeros(2, 1, 4, 4), torch.zeros(1, 1, 3, 3), row=0, col=0
            ),
            "x must be one image (C, H, W), but had the shape (2, 1, 4, 4); of a batch choose one",
        ),
        (
            lambda: arithmetic.pool_step(torch.zeros(8, 8), 2, row=0, col=0, padding=2),
            "a padding of 2 is more than half of the kernel of 2; pooling takes at most 1",
        ),
        (
            lambda: arithmetic.conv_transpose2d_step(
                torch.zeros(3, 3), torch.zeros(2, 2), row=0, col=0, padding=2
            ),
            "padding 2 takes 4 pixels from an output of 4; use at most 1",
        ),
        (
            lambda: arithmetic.linear_step([1.0, 2.0], torch.zeros(3, 4)),
            "each neuron multiplies 4 inputs by its weights, but got 2;",
        ),
        (
            lambda: arithmetic.softmax_steps(torch.zeros(2, 10)),
            "logits must be a vector (K,), but had the shape (2, 10);",
        ),
        (
            lambda: arithmetic.activation("rleu", 0),
            "no activation is called 'rleu'; did you mean 'relu'?",
        ),
        (lambda: arithmetic.parameters(patch=300), "kernel 300 spans 300 pixels, wider than"),
    ],
)
def test_a_bad_shape_gets_a_sentence_that_does_the_sum(call, sentence):
    with pytest.raises(ValueError, match=SENTENCE) as caught:
        call()
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ({"row": 3, "col": 0}, "row must be from 0 to 2, but was 3: the output has 3×3 values"),
        ({"row": 0, "col": -1}, "col must be from 0 to 2, but was -1"),
        ({"row": 0, "col": 0, "channel": 2}, "channel must be from 0 to 1, but was 2: there are 2"),
    ],
)
def test_a_place_that_is_not_there_is_named(where, sentence):
    with pytest.raises(IndexError) as caught:
        arithmetic.conv2d_step(torch.zeros(1, 5, 5), torch.zeros(2, 1, 3, 3), **where)
    assert str(caught.value).startswith(sentence)


# --- Convolution ---------------------------------------------------------------------------


@many
@given(
    st.tuples(few, few, few),
    st.tuples(sizes, sizes),
    st.tuples(kernels, kernels),
    st.tuples(few, few),
    st.tuples(paddings, paddings),
    st.tuples(few, few),
    modes,
    st.booleans(),
    seeds,
)
def test_conv2d(channels, size, kernel, stride, padding, dilation, mode, has_bias, seed):
    groups, depth, share = channels
    x, weight = (
        normal(seed, groups * depth, *size),
        normal(seed + 1, groups * share, depth, *kernel),
    )
    bias = normal(seed + 2, groups * share) if has_bias else None

    def by_torch():
        wide = (padding[1], padding[1], padding[0], padding[0])
        outer = F.pad(x[None], wide, mode={"zeros": "constant"}.get(mode, mode))
        return F.conv2d(outer, weight, bias, stride, 0, dilation, groups)[0]

    def step(channel, row, col):
        return arithmetic.conv2d_step(
            x, weight, bias, row=row, col=col, channel=channel, stride=stride, padding=padding,
            dilation=dilation, groups=groups, padding_mode=mode,
        )  # fmt: skip

    expected = torch_or_none(by_torch)
    if expected is None:
        with pytest.raises(ValueError, match=SENTENCE):
            step(0, 0, 0)
        return
    for place in places(seed, expected.shape):
        found = step(*place)
        assert close(found.total, expected[place].item())
        assert found.patch.shape == found.kernel.shape == (depth, *kernel)
        assert torch.equal(found.products, found.patch * found.kernel)
        assert torch.allclose(found.channel_sums, found.products.sum((1, 2)))
        assert close(found.channel_sums.sum().item() + found.bias, found.total)
    loop = loop_conv(x.tolist(), weight.tolist(), bias.tolist() if has_bias else None,
                     place, stride, padding, dilation, groups, mode)  # fmt: skip
    assert close(loop, found.total)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@some
@given(sizes, sizes, kernels, kernels, few, few, modes, seeds)
def test_conv2d_keeps_the_size_as_a_module_does(height, width, kh, kw, down, right, mode, seed):
    layer = nn.Conv2d(1, 2, (kh, kw), padding="same", dilation=(down, right), padding_mode=mode)
    layer, x = layer.double(), normal(seed, 1, height, width)
    expected = torch_or_none(lambda: layer(x[None])[0])
    where = {"padding": "same", "dilation": (down, right), "padding_mode": mode, "channel": 1}
    if expected is None:
        with pytest.raises(ValueError, match=SENTENCE):
            arithmetic.conv2d_step(x, layer.weight, row=0, col=0, **where)
        return
    row, col = seed % height, seed % width
    step = arithmetic.conv2d_step(x, layer.weight, layer.bias, row=row, col=col, **where)
    assert close(step.total, expected[1, row, col].item())


@some
@given(few, few, sizes, kernels, few, paddings, few, modes, seeds)
def test_a_signal_is_an_image_of_one_row(
    depth, outputs, size, kernel, stride, padding, dilation, mode, seed
):
    x, weight, bias = (
        normal(seed, depth, size),
        normal(seed, outputs, depth, kernel),
        [0.5] * outputs,
    )

    def by_torch():
        outer = F.pad(x[None], (padding, padding), mode={"zeros": "constant"}.get(mode, mode))
        return F.conv1d(outer, weight, torch.tensor(bias).double(), stride, 0, dilation)[0]

    def step(channel, position):
        return arithmetic.conv2d_step(
            x[:, None], weight[:, :, None], bias, row=0, col=position, channel=channel,
            stride=(1, stride), padding=(0, padding), dilation=(1, dilation), padding_mode=mode,
        )  # fmt: skip

    expected = torch_or_none(by_torch)
    if expected is None:
        with pytest.raises(ValueError, match=SENTENCE):
            step(0, 0)
        return
    for place in places(seed, expected.shape):
        found = step(*place)
        assert close(found.total, expected[place].item())
    rows = [padded(line, padding, mode) for line in x.tolist()]
    channel, position = place
    loop = 0.5 + sum(
        rows[i][position * stride + t * dilation] * weight[channel, i, t].item()
        for i in range(depth)
        for t in range(kernel)
    )
    assert close(loop, found.total)


def test_the_worked_example():
    image = [[3, 3, 2, 1, 0], [2, 3, 2, 1, 0], [3, 3, 2, 1, 0], [4, 3, 2, 1, 0], [1, 3, 2, 1, 0]]
    kernel = [[0, 1, 2], [2, 2, 0], [0, 1, 2]]
    totals = [
        [arithmetic.conv2d_step(image, kernel, row=r, col=c).total for c in range(3)]
        for r in range(3)
    ]
    by_hand = [[24, 18, 8], [26, 18, 8], [28, 18, 8]]
    assert totals == by_hand


def test_padding_cells_are_marked_whatever_fills_them():
    x = torch.arange(1.0, 10).view(1, 3, 3)
    for mode, corner in {"zeros": 0, "reflect": 5, "replicate": 1, "circular": 9}.items():
        step = arithmetic.conv2d_step(
            x, torch.ones(1, 1, 2, 2), row=0, col=0, padding=1, padding_mode=mode
        )
        assert step.is_padding.tolist() == [[True, True], [True, False]]
        assert step.patch[0, 0, 0] == corner
        assert step.places == ((-1, 0), (-1, 0))


def test_a_group_reads_its_own_channels():
    x = torch.arange(6.0).view(6, 1, 1).expand(6, 3, 3)
    step = arithmetic.conv2d_step(x, torch.ones(4, 3, 1, 1), row=1, col=1, channel=2, groups=2)
    assert step.channels == range(3, 6)
    assert step.channel_sums.tolist() == [3, 4, 5]


def test_sums_are_of_full_numbers():
    x, weight = torch.full((1, 3, 3), 0.1), torch.full((1, 1, 3, 3), 0.1)
    exact = 9 * x.double()[0, 0, 0].item() ** 2
    assert abs(arithmetic.conv2d_step(x, weight, row=0, col=0).total - exact) < 1e-15


@some
@given(
    st.tuples(few, few, few),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(few, few),
    st.tuples(few, few),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.tuples(few, few),
    seeds,
)
def test_transposed(channels, size, kernel, stride, padding, output_padding, dilation, seed):
    groups, depth, share = channels
    x, weight = normal(seed, groups * depth, *size), normal(seed, groups * depth, share, *kernel)
    bias = normal(seed, groups * share)
    settings = (stride, padding, output_padding)
    expected = torch_or_none(
        lambda: F.conv_transpose2d(x[None], weight, bias, *settings, groups, dilation)[0]
    )

    def step(channel, row, col):
        return arithmetic.conv_transpose2d_step(
            x, weight, bias, row=row, col=col, channel=channel, stride=stride, padding=padding,
            output_padding=output_padding, dilation=dilation, groups=groups,
        )  # fmt: skip

    if expected is None:
        with pytest.raises(ValueError, match=SENTENCE):
            step(0, 0, 0)
        return
    loop = loop_transposed(x.tolist(), weight.tolist(), bias.tolist(), *settings, dilation, groups)
    assert loop.shape == tuple(expected.shape)
    for place in places(seed, expected.shape):
        assert close(step(*place).total, expected[place].item())
        assert close(step(*place).total, loop[place])
    height, width = expected.shape[1:]
    for row, col in ((height, 0), (0, width)):
        with pytest.raises(IndexError, match=f"the output has {height}×{width} values"):
            step(0, row, col)


@some
@given(st.integers(1, 6), kernels, few, st.integers(0, 2), seeds)
def test_transposed_in_one_dimension(size, kernel, stride, padding, seed):
    x, weight = normal(seed, 2, size), normal(seed, 2, 3, kernel)
    expected = torch_or_none(lambda: F.conv_transpose1d(x[None], weight, None, stride, padding)[0])
    rows = {"x": x[:, None], "weight": weight[:, :, None], "row": 0}
    settings = {**rows, "stride": (1, stride), "padding": (0, padding)}
    if expected is None:
        with pytest.raises(ValueError, match=SENTENCE):
            arithmetic.conv_transpose2d_step(col=0, **settings)
        return
    for channel, position in places(seed, expected.shape):
        step = arithmetic.conv_transpose2d_step(col=position, channel=channel, **settings)
        assert close(step.total, expected[channel, position].item())


# --- Pooling -------------------------------------------------------------------------------


def pooling(*, dilated):
    pair = st.tuples(st.integers(1, 4), st.integers(1, 4))
    steps, pads = st.tuples(few, few), st.tuples(st.integers(0, 3), st.integers(0, 3))
    apart = st.tuples(few, few) if dilated else st.just((1, 1))
    return given(few, st.tuples(sizes, sizes), pair, steps, pads, apart, st.booleans(), seeds)


@many
@pooling(dilated=True)
def test_max_pooling(channels, size, kernel, stride, padding, dilation, up, seed):
    # Few different values, so that there are equals.
    x = normal(seed, channels, *size).mul(2).round()
    if seed % 7 == 0:
        x[:, 0, 0] = -math.inf
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": up}
    expected = torch_or_none(lambda: F.max_pool2d(x[None], kernel, return_indices=True, **settings))
    if expected is None:
        with pytest.raises(ValueError, match=SENTENCE):
            arithmetic.pool_step(x, kernel, row=0, col=0, **settings)
        return
    values, indices = expected[0][0], expected[1][0]
    for channel, row, col in places(seed, values.shape):
        step = arithmetic.pool_step(x, kernel, row=row, col=col, channel=channel, **settings)
        assert step.total == values[channel, row, col].item()
        found = loop_pool(x[channel].tolist(), (row, col), kernel, stride, padding, dilation)
        if not found:
            assert step.winner is None
            assert step.source is None
            continue
        assert step.total == max(found.values())
        assert step.source == next(place for place, v in found.items() if v == step.total)
        assert step.source[0] * size[1] + step.source[1] == indices[channel, row, col]
        assert step.patch[step.winner] == step.total
        assert int((~step.is_padding).sum()) == len(found)


@many
@pooling(dilated=False)
def test_average_pooling(channels, size, kernel, stride, padding, dilation, up, seed):
    x = normal(seed, channels, *size)
    settings = {"stride": stride, "padding": padding, "ceil_mode": up}
    divided = {"count_include_pad": seed % 2 == 0}
    expected = torch_or_none(lambda: F.avg_pool2d(x[None], kernel, **settings, **divided)[0])
    if expected is None:
        with pytest.raises(ValueError, match=SENTENCE):
            arithmetic.pool_step(x, kernel, row=0, col=0, kind="avg", **settings, **divided)
        return
    for channel, row, col in places(seed, expected.shape):
        where = {"row": row, "col": col, "channel": channel, "kind": "avg"}
        step = arithmetic.pool_step(x, kernel, **where, **settings, **divided)
        assert close(step.total, expected[channel, row, col].item())
        found = loop_pool(x[channel].tolist(), (row, col), kernel, stride, padding, dilation)
        assert close(step.total, sum(found.values()) / step.divisor)


@some
@given(few, sizes, kernels, few, st.integers(0, 2), st.booleans(), st.booleans(), seeds)
def test_pooling_in_one_dimension(channels, size, kernel, stride, padding, up, is_max, seed):
    x = normal(seed, channels, size)
    settings = {"stride": stride, "padding": padding, "ceil_mode": up}
    function = F.max_pool1d if is_max else F.avg_pool1d
    expected = torch_or_none(lambda: function(x[None], kernel, **settings)[0])
    kind = "max" if is_max else "avg"
    row = {"x": x[:, None], "kernel": (1, kernel), "row": 0, "kind": kind, "ceil_mode": up}
    row |= {"stride": (1, stride), "padding": (0, padding)}
    if expected is None:
        with pytest.raises(ValueError, match=SENTENCE):
            arithmetic.pool_step(col=0, **row)
        return
    for channel, position in places(seed, expected.shape):
        step = arithmetic.pool_step(col=position, channel=channel, **row)
        assert close(step.total, expected[channel, position].item())


def test_what_is_no_number_wins_as_in_torch():
    x = torch.tensor([[1.0, math.nan], [9.0, 2.0]])
    assert math.isnan(arithmetic.pool_step(x, row=0, col=0).total)
    assert math.isnan(F.max_pool2d(x[None], 2).item())


# --- Neurons -------------------------------------------------------------------------------

ACTIVATIONS = {
    "identity": lambda x: x * 1,
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "prelu": lambda x: F.prelu(x, torch.tensor([0.25]).double()),
    "elu": F.elu,
    "selu": F.selu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "silu": F.silu,
    "gelu": F.gelu,
    "hardtanh": F.hardtanh,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_and_their_slopes(name):
    x = torch.cat([torch.linspace(-30, 30, 6001), torch.tensor([-1e4, -800, 0, 800, 1e4])])
    x = x.double().requires_grad_()
    expected = ACTIVATIONS[name](x)
    step = arithmetic.activation(name, x)
    assert torch.allclose(step.y, expected, rtol=TOLERANCE, atol=TOLERANCE)
    (slope,) = torch.autograd.grad(expected.sum(), x)
    corner = (x == -1) | (x == 1) if name == "hardtanh" else torch.zeros_like(x).bool()
    assert torch.allclose(step.slope[~corner], slope[~corner], rtol=TOLERANCE, atol=TOLERANCE)


def test_an_activation_takes_its_settings():
    assert arithmetic.activation("leaky_relu", -2, negative_slope=0.5).total == -1
    assert arithmetic.activation("hardtanh", 9, min_val=0.0, max_val=4.0).total == 4


@some
@given(st.integers(1, 40), st.integers(1, 5), seeds)
def test_linear(inputs, outputs, seed):
    x, weight, bias = normal(seed, inputs), normal(seed, outputs, inputs), normal(seed, outputs)
    step = arithmetic.linear_step(x, weight, bias, channel=outputs - 1)
    loop = (
        sum(a * b for a, b in zip(x.tolist(), weight[-1].tolist(), strict=True)) + bias[-1].item()
    )
    assert close(step.total, loop)
    assert close(step.total, F.linear(x, weight, bias)[-1].item())
    assert torch.equal(step.products, x * weight[-1])


@some
@given(st.integers(2, 5), few, st.integers(1, 4), st.integers(1, 4), st.booleans(), seeds)
def test_batch_norm(count, channels, height, width, training, seed):
    layer = nn.BatchNorm2d(channels).double().train(training)
    with torch.no_grad():
        for number, values in enumerate((layer.weight, layer.bias, layer.running_mean)):
            values.copy_(normal(seed + number, channels))
        layer.running_var.copy_(normal(seed + 3, channels).abs())
    x = normal(seed + 4, count, channels, height, width)
    settings = {"weight": layer.weight[0], "bias": layer.bias[0], "eps": layer.eps}
    if not training:
        settings |= {"mean": layer.running_mean[0], "variance": layer.running_var[0]}
    step = arithmetic.norm_step(x[:, 0], **settings)
    assert torch.allclose(step.y, layer(x)[:, 0], rtol=TOLERANCE, atol=TOLERANCE)
    assert torch.allclose(step.normalized * step.weight + step.bias, step.y)


@many
@given(st.lists(st.floats(-50, 50), min_size=1, max_size=12), seeds)
def test_softmax_to_loss(scores, seed):
    label = seed % len(scores)
    steps = arithmetic.softmax_steps(scores, label)
    loops = [math.exp(score) for score in scores]
    assert np.allclose(steps.probabilities, [e / sum(loops) for e in loops], atol=TOLERANCE)
    z = torch.tensor(scores, dtype=torch.double, requires_grad=True)
    loss = F.cross_entropy(z[None], torch.tensor([label]))
    (gradient,) = torch.autograd.grad(loss, z)
    assert close(steps.loss, loss.item())
    nll = F.nll_loss(steps.log_probabilities[None], torch.tensor([label]))
    assert close(steps.loss, nll.item())
    assert torch.allclose(steps.log_probabilities, z.detach().log_softmax(0))
    assert torch.allclose(steps.gradient, gradient, atol=TOLERANCE)
    assert close(steps.exponentials.sum().item(), steps.total)


def test_softmax_of_large_scores_does_not_overflow():
    steps = arithmetic.softmax_steps([1000.0, 0.0], label=1)
    assert steps.probabilities.tolist() == [1, 0]
    assert steps.loss == 1000


@some
@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from(["identity", "relu", "sigmoid", "tanh"]),
    seeds,
)
def test_backpropagation_equals_autograd_factor_by_factor(inputs, count, name, seed):
    x = normal(seed, inputs).requires_grad_()
    weights = [normal(seed + n + 1, inputs if n == 0 else 1).requires_grad_() for n in range(count)]
    biases = [normal(seed + n + 9, ()).requires_grad_() for n in range(count)]
    values, sums, outputs = x, [], []
    for weight, bias in zip(weights, biases, strict=True):
        sums.append((values * weight).sum() + bias)
        outputs.append(ACTIVATIONS[name](sums[-1]))
        values = outputs[-1]
    loss = F.mse_loss(outputs[-1], torch.tensor(0.3).double())
    step = arithmetic.backpropagation(
        x.detach(),
        [(w.detach(), b.item()) for w, b in zip(weights, biases, strict=True)],
        target=0.3,
        activation=name,
    )
    assert close(step.loss, loss.item())
    gradients = torch.autograd.grad(loss, [x, *weights, *biases, *sums, *outputs])
    of_x, of_rest = gradients[0], [gradients[1 + n * count :][:count] for n in range(4)]
    assert torch.allclose(step.neurons[0].input_gradient, of_x)
    for n, neuron in enumerate(step.neurons):
        assert torch.allclose(neuron.weight_gradient, of_rest[0][n])
        assert close(neuron.bias_gradient, of_rest[1][n].item())
        assert close(neuron.delta, of_rest[2][n].item())
        assert close(neuron.arriving, of_rest[3][n].item())
        for w in range(len(neuron.weights)):
            product = math.prod(step.factors(weight=w, neuron=n).values())
            assert close(product, of_rest[0][n][w].item())


def test_two_neurons_have_the_factors_of_the_blackboard():
    step = arithmetic.backpropagation([1.0], [([0.5], 0.0), ([-1.0], 0.25)], target=1.0)
    names = ["∂loss/∂y2", "∂y2/∂z2", "∂z2/∂y1", "∂y1/∂z1", "∂z1/∂w1[0]"]
    assert list(step.factors()) == names
    assert list(step.factors(neuron=1)) == ["∂loss/∂y2", "∂y2/∂z2", "∂z2/∂w2[0]"]


# --- Weights counted -----------------------------------------------------------------------


def test_weights_of_the_course_are_counted():
    assert arithmetic.parameters() == arithmetic.Parameters(400_000_000, 160_000, 16, 1_600)
    assert arithmetic.parameters(patch=10).kernels == 10_000


@some
@given(
    st.tuples(sizes, sizes),
    st.integers(1, 6),
    st.tuples(kernels, kernels),
    few,
    few,
    st.booleans(),
)
def test_weights_are_counted_as_torch_has_them(image, hidden, patch, kernels, channels, bias):
    if any(side < width for side, width in zip(image, patch, strict=True)):
        with pytest.raises(ValueError, match="wider than the input"):
            arithmetic.parameters(image, hidden, patch, kernels, channels=channels, bias=bias)
        return
    found = arithmetic.parameters(image, hidden, patch, kernels, channels=channels, bias=bias)

    def count(layer):
        return sum(p.numel() for p in layer.parameters())

    assert found.full == count(nn.Linear(channels * image[0] * image[1], hidden, bias))
    assert found.local == hidden * count(nn.Linear(channels * patch[0] * patch[1], 1, bias))
    assert found.shared == count(nn.Conv2d(channels, 1, patch, bias=bias))
    assert found.kernels == count(nn.Conv2d(channels, kernels, patch, bias=bias))


def test_arrays_that_may_not_be_written_to_are_taken():
    x, weight = np.ones((1, 4, 4)), np.full((2, 1, 3, 3), 2.0)
    x.flags.writeable = weight.flags.writeable = False
    assert arithmetic.conv2d_step(x, weight, row=0, col=0, channel=1).total == 18
    assert arithmetic.softmax_steps(x[0, 0]).probabilities.tolist() == [0.25] * 4


def test_a_slope_for_each_value_is_no_number_of_the_formula():
    step = arithmetic.activation("prelu", [-1.0, -2.0], weight=torch.tensor([0.1, 0.2]))
    torch.testing.assert_close(step.y, torch.tensor([-0.1, -0.4]).double())
