"""Attention, written as the operations that it is made of: products, and a softmax between them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.nn import functional as F

from vizlib import capture

_PARTS = ("query", "key", "value")
_OF_HEADS = inspect.signature(F.multi_head_attention_forward)
_NAMES = {
    "scaled_dot_product_attention": (*_PARTS, "attn_mask", "dropout_p", "is_causal"),
    "multi_head_attention_forward": tuple(_OF_HEADS.parameters),
}
# What would change the answer in ways that are not written here.
_MASKS = ("attn_mask", "key_padding_mask", "is_causal", "enable_gqa")
_EXTRAS = ("bias_k", "add_zero_attn", "use_separate_proj_weight", "static_k", "static_v")

ATTENTION = set(_NAMES)

# Takes a word, an operation and its options, and returns what stands for its output.
Write = Callable[..., dict[str, Any]]


def refused(step: capture.Step) -> str:
    """Return which option of an attention cannot be written, or nothing."""
    given = _given(step)
    if given.get("dropout_p") and given.get("training", True):
        return "dropout"
    return next((name for name in (*_MASKS, *_EXTRAS) if given.get(name) not in (None, False)), "")


def attention(
    step: capture.Step,
    shapes: Mapping[str, Sequence[int]],
    value: Callable[[Any], Any],
    write: Write,
) -> None:
    """Write the steps of an attention; the last one has no word.

    `shapes` are those of the tensors that it reads, and `value` tells one of them as JSON.
    """
    given = _given(step)
    parts = [value(given[name]) for name in _PARTS]
    if step.operation == "scaled_dot_product_attention":
        scale = given.get("scale") or shapes[given["query"]][-1] ** -0.5
        _mixed(write, "", parts, scale)
        return
    length, *batch, width = shapes[given["query"]]
    heads = math.prod(batch) * given["num_heads"]
    size = width // given["num_heads"]
    learnt = {"weight": value(given["in_proj_weight"]), "bias": value(given["in_proj_bias"])}
    made: dict[str, Any] = {}  # what looks at itself is multiplied once
    read = []
    for number, (name, part) in enumerate(zip(_PARTS, parts, strict=True)):
        if given[name] not in made:
            made[given[name]] = write(f"{name}.linear", "linear", input=part, **learnt)
        # Of each row of 3 · width numbers, the third that is this part's own.
        count = shapes[given[name]][0] * math.prod(batch)
        starts = range(1 + number * width, 3 * width * count, 3 * width)
        runs = [each for start in starts for each in (start, width, 1)]
        shape = [shapes[given[name]][0], heads, size]
        own = write(f"{name}.own", "move", tensors=[made[given[name]]], runs=runs, shape=shape)
        read.append(write(name, "transpose", input=own, dim0=0, dim1=1))
    mixed = _mixed(write, "mixed", read, size**-0.5)
    turned = write("transpose", "transpose", input=mixed, dim0=0, dim1=1)
    rows = write("reshape", "reshape", input=turned, shape=[length, *batch, width])
    learnt = {"weight": value(given["out_proj_weight"]), "bias": value(given["out_proj_bias"])}
    write("", "linear", input=rows, **learnt)


def _given(step: capture.Step) -> dict[str, Any]:
    """Return all arguments by name."""
    return dict(zip(_NAMES[step.operation], step.arguments, strict=False)) | step.options


def _mixed(write: Write, last: str, parts: Sequence[Any], scale: float) -> dict[str, Any]:
    """Write softmax(query · keyᵀ · scale) · value."""
    query, key, value = parts
    turned = write("turned", "transpose", input=key, dim0=-2, dim1=-1)
    product = write("product", "matmul", input=query, other=turned)
    scores = write("scores", "mul", input=product, other=scale)
    shares = write("shares", "softmax", input=scores, dim=-1)
    return write(last, "matmul", input=shares, other=value)
