"""Trained networks: load them by name, save your own, and know where each came from.

Weights are kept as safetensors, a format that holds tensors and text and cannot run code.
What was trained, on what, and how well it did stands in the file itself.

>>> model = load("lenet")
>>> model.training, info("lenet")["data"]
(False, 'mnist')
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from vizlib import files, models

_HERE = Path(__file__).resolve().parent
# An installed package carries the weights inside; a clone has them in a folder at the top.
_FOLDERS = (_HERE / "trained", _HERE.parent / "weights")
_PROVENANCE = "provenance"


def names() -> list[str]:
    """Return the networks that come trained, in the order of `models.names()`."""
    return [name for name in models.names() if _find(name) is not None]


def load(name: str) -> nn.Module:
    """Build the network called `name` with its trained weights, in eval mode, on the CPU.

    `alexnet` takes torchvision's ImageNet weights, which are downloaded once. Raises ValueError
    for a name that `models` does not know, FileNotFoundError where there are no trained weights,
    ConnectionError where they cannot be downloaded.
    """
    model = models.build(name)
    if name == "alexnet":
        model.load_state_dict(_torchvisions_alexnet())
    else:
        load_into(model, _path(name))
    return model.eval()


def info(name: str) -> dict[str, object]:
    """Return where the trained weights called `name` came from, as `save` was told.

    >>> info("lenet")["network"], info("lenet")["accuracy"] > 0.99
    ('lenet', True)
    """
    with safe_open(_path(name), framework="pt") as file:
        return json.loads((file.metadata() or {}).get(_PROVENANCE, "{}"))


def save(model: nn.Module, path: str | Path, *, half: bool = False, **provenance: object) -> None:
    """Write the model's weights to `path` (.safetensors), all or nothing.

    `provenance` is anything that JSON can hold: accuracy, epochs, seed, data, version. `half`
    stores 16-bit floats, at half the size. A file that is there already is replaced only once
    the new one is complete.
    """
    state = {key: value.detach().cpu() for key, value in model.state_dict().items()}
    if half:
        state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    save_tensors(state, path, provenance)


def save_tensors(
    tensors: Mapping[str, Tensor], path: str | Path, provenance: Mapping[str, object] | None = None
) -> None:
    """Write named tensors and their provenance to `path`, through a temporary file beside it."""
    path = Path(path)
    # One entry: safetensors shuffles several, and the same weights should give the same bytes.
    metadata = {_PROVENANCE: json.dumps(provenance or {})}
    contiguous = {key: value.contiguous() for key, value in tensors.items()}
    files.replace_whole(path, to_bytes(contiguous, metadata))


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Return the named tensors that `save_tensors` wrote."""
    return load_file(path)


def load_into(model: nn.Module, path: str | Path) -> nn.Module:
    """Read a state dict into `model` and return it, on the device and in the mode it was in.

    `path` may be .safetensors, or .pt, .pth or .pkl as torch saves them; pickled code is never
    run. Raises FileNotFoundError, or ValueError where the file is damaged, holds more than
    tensors, or belongs to another network: then every tensor that does not fit is named.
    """
    state = _read(Path(path))
    misfits = _misfits(model.state_dict(), state)
    if misfits:
        raise ValueError(
            f"{Path(path).name} does not fit {getattr(model, 'name', type(model).__name__)}: "
            + "; ".join(misfits)
        )
    model.load_state_dict(state)
    return model


def _torchvisions_alexnet() -> Mapping[str, Tensor]:
    from torchvision.models import AlexNet_Weights

    try:
        return AlexNet_Weights.DEFAULT.get_state_dict(check_hash=True)
    except URLError as error:
        raise ConnectionError(
            f"the weights of 'alexnet' come from torchvision and cannot be downloaded "
            f"({error.reason}); connect to a network once, or load a file of yours with "
            "weights.load_into(models.build('alexnet'), path)"
        ) from error


def _path(name: str) -> Path:
    path = _find(name)
    if path is None:
        shape = models.build(name).input_shape  # says so itself where there is no such network
        advice = f"train it with vizlib.train.fit(models.build({name!r}), data.load())"
        if shape != (1, 28, 28):
            advice = f"it takes inputs of {'×'.join(map(str, shape))}, which no digit is"
        raise FileNotFoundError(
            f"there are no trained weights for {name!r}, only for {', '.join(names())}; {advice}"
        )
    return path


def _find(name: str) -> Path | None:
    paths = (folder / f"{name}.safetensors" for folder in _FOLDERS)
    return next((path for path in paths if path.is_file()), None)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(
            f"{path.name} is damaged or holds Python objects besides tensors, which could run any "
            "code and are not opened; save it anew with torch.save(model.state_dict(), …)"
        ) from None
    except (SafetensorError, RuntimeError, EOFError, KeyError) as error:
        raise ValueError(f"{path.name} is damaged and cannot be read: {error}") from None
    return _state_dict(content, path)


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """Find the state dict in what people save: alone, under a usual key, or of DataParallel."""
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(map(torch.is_tensor, content.values())):
        raise ValueError(
            f"{path.name} holds no state dict (names with tensors), but {type(content).__name__}"
        )
    return {key.removeprefix("module."): value for key, value in content.items()}


def _misfits(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> list[str]:
    shapes = [
        f"{key} is {tuple(theirs[key].shape)}, not {tuple(ours[key].shape)}"
        for key in ours
        if key in theirs and theirs[key].shape != ours[key].shape
    ]
    missing = [key for key in ours if key not in theirs]
    extra = [key for key in theirs if key not in ours]
    lists = [("it lacks", missing), ("it has besides", extra)]
    return shapes + [f"{verb} {', '.join(keys)}" for verb, keys in lists if keys]
