"""The engine of a page against PyTorch: every operation, on shapes that hypothesis draws."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

pytestmark = [
    pytest.mark.browser,
    # torch says so where an even kernel needs one cell more on one side.
    pytest.mark.filterwarnings("ignore:Using padding='same'"),
]

ENGINE = Path(__file__).parents[1] / "vizlib/explore/static/engine.js"
CLOSE = 5e-6  # of the largest value
SEVERAL = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
COMPUTE = """([operation, options]) => {
  const plain = (each) => Array.isArray(each) ? each.map(plain)
    : each?.shape ? { shape: each.shape, values: Float32Array.from(each.values) } : each;
  const named = Object.entries(options).map(([name, each]) => [name, plain(each)]);
  const { input, ...rest } = Object.fromEntries(named);
  const { shape, values } = OPERATIONS[operation](input, rest);
  return { shape, values: [...values].map(String) };
}"""
small, few = st.integers(1, 4), st.integers(1, 3)


@pytest.fixture(scope="module")
def engine(browser):
    """A page with the engine in it, as a function that computes an operation."""
    page = browser.new_page()
    script = ENGINE.read_text("utf-8") + "\nwindow.OPERATIONS = OPERATIONS;"
    page.set_content(f'<script type="module">{script}</script>')

    def computed(operation: str, options: dict) -> Tensor:
        made = page.evaluate(COMPUTE, [operation, told(options)])
        return torch.tensor([float(v.replace("Infinity", "inf")) for v in made["values"]]).reshape(
            made["shape"]
        )

    yield computed
    page.close()


def told(option: object) -> object:
    match option:
        case Tensor():
            return {"shape": list(option.shape), "values": option.flatten().tolist()}
        case dict():
            return {name: told(each) for name, each in option.items()}
        case list() | tuple():
            return [told(each) for each in option]
        case _:
            return option


def in_double(option: object) -> object:
    match option:
        case Tensor() if option.is_floating_point():
            return option.double()
        case list() | tuple():
            return [in_double(each) for each in option]
        case _:
            return option


def check(engine, function, **options) -> None:
    """The page gives what the function of torch gives, which has its options by the same names."""
    # In double precision: of two nearly equal values a norm enlarges what torch itself rounds.
    expected = function(**{name: in_double(each) for name, each in options.items()})
    made = engine(function.__name__, options)
    assert made.shape == expected.shape
    largest = float(expected.abs().max()) or 1.0
    assert float((made - expected).abs().max()) <= CLOSE * largest


def values(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


# --- What is drawn, here and in test_gradient ------------------------------------------------


@st.composite
def convolutions(draw, axes):
    groups, per, each = draw(few), draw(few), draw(few)
    kernel = [draw(st.integers(1, 5)) for _ in range(axes)]
    padding = draw(st.sampled_from(["same", "valid", [draw(few) for _ in kernel]]))
    stride = [1 if padding == "same" else draw(few) for _ in kernel]
    dilation = [draw(few) for _ in kernel]
    size = [d * (k - 1) + draw(small) for k, d in zip(kernel, dilation, strict=True)]
    return {
        "input": values(draw(few), groups * per, *size),
        "weight": values(groups * each, per, *kernel),
        "bias": draw(st.sampled_from([None, values(groups * each)])),
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }


@st.composite
def linear_layers(draw):
    shape, length = draw(st.lists(small, min_size=1, max_size=3)), draw(st.integers(1, 9))
    many = draw(st.integers(1, 9))
    return {
        "input": values(*shape, length),
        "weight": values(many, length),
        "bias": values(many),
    }


@st.composite
def matrices(draw):
    """Two that have a product; the second one is shared by all of a batch, or has a batch too."""
    batch, shared = draw(st.lists(few, max_size=2)), draw(st.booleans())
    rows, length, columns = draw(st.tuples(small, small, small))
    return values(*batch, rows, length), values(*([] if shared else batch), length, columns)


@st.composite
def pools(draw, name):
    """The shape of an input, and the options."""
    kernel = [draw(small) for _ in range(int(name[-2]))]
    options = {
        "kernel_size": kernel,
        "padding": [draw(st.integers(0, k // 2)) for k in kernel],
        "ceil_mode": draw(st.booleans()),
    }
    if draw(st.booleans()):
        options["stride"] = [draw(few) for _ in kernel]
    if name.startswith("max"):
        options["dilation"] = [draw(few) for _ in kernel]
    else:
        options["count_include_pad"] = draw(st.booleans())
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, options.get("dilation", [1, 1]), strict=False)]
    return [2, 3, *(span + draw(st.integers(0, 6)) for span in spans)], options


@st.composite
def norms(draw):
    shape, affine = draw(st.lists(small, min_size=2, max_size=4)), draw(st.booleans())
    count = shape[1]
    return {
        "input": values(*shape),
        "running_mean": values(count),
        "running_var": values(count).abs() + 0.1,
        "weight": values(count) if affine else None,
        "bias": values(count) if affine else None,
        "eps": 1e-3,
    }


@st.composite
def pairs(draw):
    """Two tensors of which one repeats axes of the other, in either order."""
    shape = draw(st.lists(small, min_size=1, max_size=4))
    start = draw(st.integers(0, len(shape) - 1))
    other = [draw(st.sampled_from([1, size])) for size in shape[start:]]
    left, right = values(*shape), values(*other) + 3
    return (right, left + 5) if draw(st.booleans()) else (left, right)


@st.composite
def rows_of_tensors(draw):
    shape = draw(st.lists(small, min_size=1, max_size=4))
    sizes = draw(st.lists(small, min_size=1, max_size=3))
    dim = draw(st.integers(-len(shape), len(shape) - 1))
    shapes = [[*shape[: dim % len(shape)], size, *shape[dim % len(shape) + 1 :]] for size in sizes]
    return {"tensors": [values(*each) for each in shapes], "dim": dim}


@st.composite
def borders(draw, mode):
    size = draw(st.tuples(st.integers(3, 6), st.integers(3, 6)))
    pad = [draw(st.integers(-1 if mode == "constant" else 0, 2)) for _ in range(4)]
    value = 1.5 if mode == "constant" else None
    return {"input": values(1, 2, *size), "pad": pad, "mode": mode, "value": value}


# --- Convolutions ---------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [1, 2])
@given(data=st.data())
@SEVERAL
def test_convolution(engine, axes, data):
    check(engine, {1: F.conv1d, 2: F.conv2d}[axes], **data.draw(convolutions(axes)))


@pytest.mark.parametrize("axes", [1, 2])
@given(data=st.data())
@SEVERAL
def test_transposed_convolution(engine, axes, data):
    groups, per, each = data.draw(few), data.draw(few), data.draw(few)
    kernel = [data.draw(small) for _ in range(axes)]
    stride, dilation = ([data.draw(few) for _ in kernel] for _ in range(2))
    padding = [data.draw(st.integers(0, k - 1)) for k in kernel]
    extra = [
        data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
    ]
    size = [data.draw(st.integers(4, 6)) for _ in kernel]
    check(
        engine,
        {1: F.conv_transpose1d, 2: F.conv_transpose2d}[axes],
        input=values(data.draw(few), groups * per, *size),
        weight=values(groups * per, each, *kernel),
        bias=data.draw(st.sampled_from([None, values(groups * each)])),
        stride=stride,
        padding=padding,
        output_padding=extra,
        groups=groups,
        dilation=dilation,
    )


@given(options=linear_layers())
@SEVERAL
def test_linear(engine, options):
    check(engine, F.linear, **options)
    check(engine, F.linear, **options | {"bias": None})


@given(factors=matrices())
@SEVERAL
def test_matrix_product(engine, factors):
    left, right = factors
    made = engine("matmul", {"input": left, "other": right})
    torch.testing.assert_close(made, left @ right, atol=1e-5, rtol=1e-5)


# --- Pooling --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["max_pool2d", "max_pool1d", "avg_pool2d", "avg_pool1d"])
@given(data=st.data())
@SEVERAL
def test_pooling(engine, name, data):
    shape, options = data.draw(pools(name))
    x = values(*shape)
    expected, made = getattr(F, name)(x, **options), engine(name, {"input": x, **options})
    torch.testing.assert_close(made, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("kind", ["avg", "max"])
@given(data=st.data())
@SEVERAL
def test_adaptive_pooling(engine, kind, axes, data):
    name, size = f"adaptive_{kind}_pool{axes}d", [data.draw(st.integers(1, 9)) for _ in range(axes)]
    target = [data.draw(st.integers(1, 6)) for _ in size]
    x = values(2, 3, *size)
    made = engine(name, {"input": x, "output_size": target})
    torch.testing.assert_close(made, getattr(F, name)(x, target), atol=1e-6, rtol=1e-5)


# --- Normalization and activations ----------------------------------------------------------


@given(options=norms())
@SEVERAL
def test_batch_norm(engine, options):
    check(engine, F.batch_norm, **options)


@given(shape=st.lists(st.integers(2, 4), min_size=2, max_size=4), last=st.integers(1, 2))
@SEVERAL
def test_layer_norm(engine, shape, last):
    own = shape[-last:]
    check(
        *(engine, F.layer_norm),
        input=values(*shape),
        normalized_shape=own,
        weight=values(*own),
        bias=values(*own),
    )


@given(groups=few, each=few, size=st.lists(st.integers(2, 4), min_size=1, max_size=2))
@SEVERAL
def test_group_norm(engine, groups, each, size):
    count = groups * each
    check(
        engine,
        F.group_norm,
        input=values(2, count, *size),
        num_groups=groups,
        weight=values(count),
        bias=values(count),
    )


ACTIVATIONS = [
    *((name, {}) for name in ("relu", "relu6", "sigmoid", "tanh", "silu", "mish", "softsign")),
    *((name, {}) for name in ("hardsigmoid", "hardswish", "selu", "softplus", "logsigmoid")),
    ("leaky_relu", {"negative_slope": 0.2}),
    ("elu", {"alpha": 0.7}),
    ("celu", {"alpha": 0.7}),
    ("hardtanh", {"min_val": -0.5, "max_val": 2.0}),
    ("gelu", {}),
    ("gelu", {"approximate": "tanh"}),
]


@pytest.mark.parametrize(("name", "options"), ACTIVATIONS)
def test_activations(engine, name, options):
    x = torch.cat([torch.linspace(-30, 30, 601), torch.tensor([0.0, -0.0, 1e-6, -1e-6])])
    function = torch.sigmoid if name == "sigmoid" else getattr(F, name)
    made, expected = engine(name, {"input": x, **options}), function(x, **options)
    assert float((made - expected).abs().max()) <= CLOSE * float(expected.abs().max())


@given(shape=st.lists(small, min_size=2, max_size=4), one=st.booleans())
@SEVERAL
def test_prelu(engine, shape, one):
    check(engine, torch.prelu, input=values(*shape), weight=values(1 if one else shape[1]))


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
@given(shape=st.lists(small, min_size=1, max_size=4), data=st.data())
@SEVERAL
def test_softmax(engine, function, shape, data):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    check(engine, function, input=100 * values(*shape), dim=dim)


# --- Two tensors ----------------------------------------------------------------------------


@pytest.mark.parametrize("function", [torch.add, torch.sub, torch.mul, torch.div])
@given(pair=pairs())
@SEVERAL
def test_arithmetic_repeats_axes_of_one(engine, function, pair):
    left, right = pair
    check(engine, function, input=left, other=right)
    check(engine, function, input=left, other=2.5)


@given(options=rows_of_tensors())
@SEVERAL
def test_concatenation(engine, options):
    check(engine, torch.cat, **options)


# --- Axes, borders and sizes ----------------------------------------------------------------


@given(shape=st.lists(small, min_size=2, max_size=4), data=st.data())
@SEVERAL
def test_axes(engine, shape, data):
    x, axis = values(*shape), st.integers(-len(shape), len(shape) - 1)
    one, other = data.draw(axis), data.draw(axis)
    check(engine, torch.transpose, input=x, dim0=one, dim1=other)
    check(engine, torch.permute, input=x, dims=data.draw(st.permutations(range(len(shape)))))
    check(engine, torch.reshape, input=x, shape=[shape[-1], x.numel() // shape[-1]])
    first, last = sorted([one % len(shape), other % len(shape)])
    check(engine, torch.flatten, input=x, start_dim=first, end_dim=last)


@pytest.mark.parametrize("function", [torch.mean, torch.sum, torch.amax])
@given(shape=st.lists(small, min_size=1, max_size=4), keepdim=st.booleans(), data=st.data())
@SEVERAL
def test_reductions(engine, function, shape, keepdim, data):
    dim = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    check(engine, function, input=values(*shape), dim=dim, keepdim=keepdim)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@given(data=st.data())
@SEVERAL
def test_padding(engine, mode, data):
    options = data.draw(borders(mode))
    assert torch.equal(engine("pad", options), F.pad(**options))


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear"])
@given(size=st.tuples(small, small), data=st.data())
@SEVERAL
def test_upsampling(engine, mode, size, data):
    options = {"mode": mode}
    if data.draw(st.booleans()):
        options["size"] = [data.draw(st.integers(1, 9)) for _ in size]
    else:
        options["scale_factor"] = data.draw(st.sampled_from([0.5, 1.5, 2.0, 3.0]))
        assume(min(size) * options["scale_factor"] >= 1)
    if mode == "bilinear":
        options["align_corners"] = data.draw(st.booleans())
    check(engine, F.interpolate, input=values(1, 2, *size), **options)
