"""The commands that look into a network or with it: maps, read and info."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Argument, Option

from vizlib.cli import _console
from vizlib.words import counted, listed, percent, share, table, times

if TYPE_CHECKING:
    from torch import nn

_PHOTOGRAPHS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}


def maps(
    *,
    model: _console.Model = "lenet",
    weights: _console.Weights = None,
    image: Annotated[Path | None, Option("--image", "-i", help="A photograph of a digit.")] = None,
    index: Annotated[int, Option(help="Which test image, where there is no --image.")] = 0,
    out: _console.Folder = None,
    layers: Annotated[
        list[str] | None,
        Option("--layer", "-l", help="Only this layer, kind or pattern; may be repeated."),
    ] = None,
    scale: Annotated[
        Literal["map", "layer", "network"],
        Option(help="Of what the greatest value is the darkest."),
    ] = "layer",
    values: Annotated[bool, Option("--values", help="Print the values of vectors.")] = False,
    data: _console.DataSet = "auto",
    as_json: _console.Json = False,
) -> None:
    """Write every feature map as a PNG file.

    Every channel of every layer, an overview of each layer, and an index to leaf through: open
    index.html in the folder; index.json says the same to a program. A photograph of a digit is
    prepared as MNIST was: grey, white on black, cropped, centred in 28×28.

    \b
    What LeNet makes of a photograph, and of test image 61:
      python -m vizlib maps --model lenet --image photo.jpg --out maps
      python -m vizlib maps --model lenet --index 61
    Only the convolutions, each map on its own scale; only the fully connected layers, in numbers:
      python -m vizlib maps --model newnet --layer conv --scale map
      python -m vizlib maps --layer "fc*" --values
    """  # noqa: D301 - \b keeps the lines of an example apart
    from vizlib import data as data_sets
    from vizlib import models
    from vizlib.cli import _atlas

    network = _console.trained(model, weights)
    shape = models.input_shape(network)
    if image:
        picture = _atlas.photograph(image, shape)
    else:
        picture = _atlas.of_the_test(data_sets.load(data), index, shape)
    folder = out or Path("runs") / model / "maps"
    facts = _atlas.write(folder, network, picture, layers=layers, scale=scale)
    text = _maps_report(facts, folder, values=values)
    _console.show(facts | {"folder": str(folder)}, text, as_json=as_json)


def _maps_report(facts: dict[str, Any], folder: Path, *, values: bool) -> str:
    head = ("layer", "kind", "output", "least", "greatest", "picture")
    rows = [
        (
            *(stage["name"], stage["kind"], times(stage["shape"])),
            *(f"{stage['least']:.4g}", f"{stage['greatest']:.4g}", stage["overview"]),
        )
        for stage in facts["stages"]
    ]
    vectors = [stage for stage in facts["stages"] if values and "values" in stage]
    lines = [table([head, *rows])]
    lines += [f"{each['name']}: {_numbers(each['values'])}" for each in vectors]
    lines += [
        f"scores: {_numbers(facts['scores'][:10])}",
        f"answer: {facts['answer']}, with a probability of {share(max(facts['probabilities']))}",
        f"open {folder / 'index.html'}",
    ]
    return "\n".join(lines)


def _numbers(values: list[float]) -> str:
    return " ".join(f"{value:.4g}" for value in values)


def read(
    *,
    pictures: Annotated[list[Path], Argument(help="Folders of photographs, or files.")],
    model: _console.Model = "lenet",
    weights: _console.Weights = None,
    labelled: Annotated[
        bool, Option("--labelled", help="File names begin with the digit that is right.")
    ] = False,
    out: _console.OptionalPicture = None,
    as_json: _console.Json = False,
) -> None:
    """Read photographs of handwritten digits.

    A digit or several in each, dark on bright or bright on dark, upright and with some room around.
    --out draws what the network saw. The exit code is 1 where a file could not be read.

    \b
    Every picture in a folder; how many are right, if their names are 3.jpg, 3b.jpg, 7.jpg, …:
      python -m vizlib read photos
      python -m vizlib read photos --model newnet --labelled --out seen.png
    """  # noqa: D301 - as above
    from vizlib import plots

    network, paths = _console.trained(model, weights), _files(pictures)
    rows: list[dict[str, Any]] = []
    seen: list[tuple[Any, str]] = []
    with contextlib.suppress(KeyboardInterrupt):  # what was read until then is kept
        for path in paths:
            image, row = _read(network, path)
            rows.append(row | _right(row, labelled=labelled))
            seen += [] if image is None else [(image, str(row["digit"]))]
            if not as_json:
                _console.say_line(_read_line(rows[-1]))
    facts: dict[str, Any] = {"network": model, "pictures": rows}
    if labelled:
        facts["right"] = sum(row.get("right", False) for row in rows)
    if out and seen:
        images, titles = zip(*seen, strict=True)
        facts["picture"] = _console.save_picture(plots.images(list(images), titles), out)
    _console.show(facts, _read_report(facts), as_json=as_json)
    if len(rows) < len(paths):
        sys.stderr.write(f"vizlib: stopped after {len(rows)} of {counted(len(paths), 'picture')}\n")
        raise typer.Exit(_console.STOPPED)
    raise typer.Exit(int(any(row.get("unread", False) for row in rows)))


def _files(places: list[Path]) -> list[Path]:
    files = []
    for place in places:
        inside = sorted(place.iterdir()) if place.is_dir() else [place]
        files += [path for path in inside if path == place or path.suffix.lower() in _PHOTOGRAPHS]
    if not files:
        raise ValueError(f"there is no picture in {listed(places)}")
    return files


def _read(network: nn.Module, path: Path) -> tuple[Any, dict[str, Any]]:
    """Return what the network saw, None where there was no digit, and what it read."""
    from vizlib import handwriting

    try:
        reading = handwriting.read(network, path)
    except handwriting.NoDigitError as error:
        return None, {"file": str(path), "digit": None, "error": str(error)}
    except (ValueError, OSError) as error:
        told = _console.sentence(error)
        return None, {"file": str(path), "digit": None, "error": told, "unread": True}
    shares = [round(value, 6) for value in reading.probabilities.tolist()]
    row = {"file": str(path), "digit": reading.digit, "probabilities": shares}
    row |= {"doubt": reading.doubt, "doubted": reading.doubted}
    if reading.others:
        every = handwriting.read_all(network, path)
        row["digits"] = [{"digit": each.digit, "box": each.box} for each in every]
    return reading.prepared.image, row


def _right(row: dict[str, Any], *, labelled: bool) -> dict[str, Any]:
    label = re.match(r"\d", Path(row["file"]).name)
    if not (labelled and label):
        return {}
    return {"label": int(label[0]), "right": row["digit"] == int(label[0])}


def _read_report(facts: dict[str, Any]) -> str:
    """Return what is said after the last picture."""
    lines = []
    if "right" in facts:
        known = sum("right" in row for row in facts["pictures"])
        lines.append(f"{facts['network']}: {facts['right']} of {known} right")
    lines += [f"drawn to {facts['picture']}"] if "picture" in facts else []
    return "\n".join(lines)


def _read_line(row: dict[str, Any]) -> str:
    from vizlib.handwriting import NONE

    if row["digit"] is None:
        return f"{row['file']}: {row['error']}"
    if "digits" in row:
        every = ", ".join(f"{each['digit']} at {each['box']}" for each in row["digits"])
        return f"{row['file']}: {len(row['digits'])} digits (top, left, bottom, right): {every}"
    order = sorted(range(10), key=row["probabilities"].__getitem__, reverse=True)
    first, second = (f"{k} ({share(row['probabilities'][k])})" for k in order[:2])
    verdict = "" if row.get("right", True) else f"  wrong: it is a {row['label']}"
    doubt = f"  {NONE}" if row["doubted"] else ""
    return f"{row['file']}: {first}, else {second}{verdict}{doubt}"


def info(
    *,
    network: Annotated[str | None, Argument(help="A network, by name.")] = None,
    as_json: _console.Json = False,
) -> None:
    """List the networks, or show one.

    For one: its layers with shapes and costs, and where its trained weights came from.

    \b
      python -m vizlib info
      python -m vizlib info lenet
    """  # noqa: D301 - as above
    if network:
        facts = _one(network)
        _console.show(facts, _one_report(facts), as_json=as_json)
    else:
        rows = _all()
        _console.show(rows, _all_report(rows), as_json=as_json)


def _all() -> list[dict[str, Any]]:
    import torch

    from vizlib import models, weights

    known = {name: weights.info(name) for name in weights.names()}
    rows = []
    for name in models.names():
        with torch.device("meta"):  # shapes without numbers: nothing to fill
            model = models.build(name)
        row = {
            "network": name,
            "input_shape": list(models.input_shape(model)),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "trained": name in known,
        }
        facts = known.get(name, {})
        rows.append(row | {key: facts.get(key) for key in ("val_accuracy", "accuracy", "epochs")})
    return rows


def _all_report(rows: list[dict[str, Any]]) -> str:
    head = ("network", "input", "parameters", "trained for", "validation", "test")
    cells = [
        (
            *(row["network"], times(row["input_shape"]), f"{row['parameters']:,}"),
            *(f"{row['epochs']} epochs" if row["trained"] else "–", percent(row["val_accuracy"])),
            percent(row["accuracy"]),
        )
        for row in rows
    ]
    return table([head, *cells])


def _one(name: str) -> dict[str, Any]:
    from dataclasses import asdict

    from vizlib import models, weights

    table = models.summary(models.build(name))
    trained = weights.info(name) if name in weights.names() else None
    return {
        "network": name,
        **asdict(table),
        "multiply_adds": table.multiply_adds,
        "trained": trained,
        "summary": repr(table),
    }


def _one_report(facts: dict[str, Any]) -> str:
    trained = facts["trained"]
    if trained is None:
        return f"{facts['summary']}\n\nThere are no trained weights for it."
    lines = [f"{key}: {_said(value)}" for key, value in trained.items() if key != "history"]
    return "\n".join([facts["summary"], "", "Where the trained weights came from", *lines])


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_said(each)}" for key, each in value.items() if each != {})
    return str(value)
