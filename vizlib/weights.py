"""Trained networks: load them by name, save your own, and know where each came from.

Weights are kept as safetensors, a format that holds tensors and text and cannot run code.
What was trained, on what, and how well it did stands in the file itself.

>>> model = load("lenet")
>>> model.training, info("lenet")["data"]
(False, 'mnist')
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from vizlib import files, models, words

_HERE = Path(__file__).resolve().parent
# An installed package carries the weights inside; a clone has them in a folder at the top.
_FOLDERS = (_HERE / "trained", _HERE.parent / "weights")
_PROVENANCE = "provenance"
_ALEXNET_SHA256 = "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"
_MOST_BYTES = 8_000_000_000  # the largest file that is read
_MOST_NAMES = 10  # in one sentence
_PATIENCE = 20.0  # seconds for torchvision's server to say something
_DEADLINE = 900.0  # and for all of its 244 MB
_ADVICE = {".safetensors": "and cannot be read; copy or save it anew"}
_PICKLED = (
    "or holds Python objects besides tensors (a whole model, TorchScript, an old tar file), which "
    "could run any code and are not opened; save it anew with torch.save(model.state_dict(), …)"
)


def names() -> list[str]:
    """Return the networks that come trained, in the order of `models.names()`."""
    return [name for name in models.names() if _find(name) is not None]


def load(name: str) -> nn.Module:
    """Build the network called `name` with its trained weights, in eval mode, on the CPU.

    `alexnet` takes torchvision's ImageNet weights, which are downloaded once. Raises ValueError
    for a name that `models` does not know and for a downloaded file that is not torchvision's,
    FileNotFoundError where there are no trained weights, ConnectionError where they cannot be
    downloaded.
    """
    model = models.build(name)
    path = _torchvisions_alexnet() if name == "alexnet" else _path(name)
    return load_into(model, path).eval()


def info(name: str) -> dict[str, Any]:
    """Return where the trained weights called `name` came from, as `save` was told.

    >>> info("lenet")["network"], info("lenet")["accuracy"] > 0.99
    ('lenet', True)
    """
    path = _path(name)
    with _one_sentence(path), safe_open(path, framework="pt") as file:
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
    """Write named tensors and their provenance to `path`, all or nothing."""
    # One entry: safetensors shuffles several, and the same weights should give the same bytes.
    metadata = {_PROVENANCE: json.dumps(provenance or {})}
    # Each tensor in memory of its own: two layers may share theirs.
    own = {k: v.clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}
    files.replace_whole(path, to_bytes(own, metadata))


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Return the named tensors that `save_tensors` wrote; ValueError where they are damaged."""
    path = files.check_readable(path, _MOST_BYTES)
    with _one_sentence(path):
        return load_file(path)


def load_into(model: nn.Module, path: str | Path) -> nn.Module:
    """Read a state dict into `model` and return it, on the device and in the mode it was in.

    `path` may be .safetensors, or .pt, .pth or .pkl as torch saves them; pickled code is never
    run. Raises FileNotFoundError, or ValueError where the file

    * is damaged, or holds more than tensors;
    * belongs to another network: every tensor that does not fit is named;
    * holds values that are no numbers, as a training leaves them whose learning rate was too large.
    """
    path = Path(path)
    ours, theirs = model.state_dict(), _read(path)
    if misfits := _misfits(ours, theirs):
        name = getattr(model, "name", type(model).__name__)
        raise ValueError(f"{path.name} does not fit {name}: {'; '.join(misfits)}")
    theirs = {key: value.to(ours[key].dtype) for key, value in theirs.items()}
    broken = [key for key, value in theirs.items() if value.isnan().any()]
    broken += [key for key, _ in model.named_parameters() if theirs[key].isinf().any()]
    if broken:
        raise ValueError(
            f"{path.name} holds values that are not numbers or infinite, in "
            f"{words.listed(broken, _MOST_NAMES)}: the training that wrote it broke down; "
            "train again, with a smaller learning rate"
        )
    model.load_state_dict(theirs)
    return model


def _torchvisions_alexnet() -> Path:
    """Return torchvision's file in torch's cache, which is downloaded if it is not there."""
    from torchvision.models import AlexNet_Weights

    url = AlexNet_Weights.DEFAULT.url
    path = Path(torch.hub.get_dir(), "checkpoints", Path(urlparse(url).path).name)
    if not path.exists():
        _download(url, path)
    with files.check_readable(path).open("rb") as file:
        # torch checks eight digits of the sum where it downloads, and none of a file in its cache.
        if hashlib.file_digest(file, "sha256").hexdigest() == _ALEXNET_SHA256:
            return path
    raise ValueError(
        f"{path} is damaged, or is not the file that torchvision offers: delete it, "
        "and it will be downloaded again"
    )


def _download(url: str, path: Path) -> None:
    usual = socket.getdefaulttimeout()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        socket.setdefaulttimeout(_PATIENCE)
        get = partial(torch.hub.download_url_to_file, url, str(path), _ALEXNET_SHA256[:8])
        files.in_time(get, _DEADLINE)
    except OSError as error:
        why = " ".join(str(error).split())
        raise ConnectionError(
            f"the weights of 'alexnet' come from torchvision and cannot be downloaded "
            f"({why}); connect to a network once, or load a file of "
            "yours with weights.load_into(models.build('alexnet'), path)"
        ) from error
    finally:
        socket.setdefaulttimeout(usual)


def _path(name: str) -> Path:
    path = _find(name) if name in models.names() else None
    if path is None:
        model = models.build(name)  # says so itself where there is no such network
        advice = f"train it with vizlib.train.fit(models.build({name!r}), data.load())"
        if (shape := models.input_shape(model)) != (1, 28, 28):
            advice = f"it takes inputs of {words.times(shape)}, which no digit is"
        raise FileNotFoundError(
            f"there are no trained weights for {name!r}, only for {', '.join(names())}; {advice}"
        )
    return path


def _find(name: str) -> Path | None:
    paths = (folder / f"{name}.safetensors" for folder in _FOLDERS)
    return next((path for path in paths if path.is_file()), None)


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return read_tensors(path)
    files.check_readable(path, _MOST_BYTES)
    with _one_sentence(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch would tell a programmer
        if zipfile.is_zipfile(path):
            _refuse_changed(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    return _state_dict(content, path)


def _refuse_changed(archive: Path) -> None:
    """Raise ValueError where a byte is not what was written: torch itself checks no sums."""
    with zipfile.ZipFile(archive) as file:
        # torch packs nothing, and a small file could unpack to terabytes.
        unpacked = sum(entry.file_size for entry in file.infolist())
        if unpacked > archive.stat().st_size or file.testzip() is not None:
            raise ValueError


@contextlib.contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    """Say of a file that cannot be read what a student can do about it."""
    try:
        yield
    except Exception:  # noqa: BLE001 - what a damaged file makes torch raise is anything
        advice = _ADVICE.get(path.suffix, _PICKLED)
        raise ValueError(f"{path.name} is damaged {advice}") from None


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """Find the state dict in what people save: alone, under a usual key, or of DataParallel."""
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(map(_is_named_tensor, content.items())):
        raise ValueError(
            f"{path.name} holds no state dict (names with ordinary tensors), "
            f"but {type(content).__name__}"
        )
    return {key.removeprefix("module."): value for key, value in content.items()}


def _is_named_tensor(item: tuple[object, object]) -> bool:
    """Tell whether there is one number for each place: sparse, nested, meta tensors have others."""
    name, value = item
    if not (isinstance(name, str) and isinstance(value, Tensor)):
        return False
    return value.layout == torch.strided and not value.is_nested and not value.is_meta


def _misfits(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> list[str]:
    """Return what keeps `theirs` from being loaded, each in a few words."""
    both = {key: _misfit(ours[key], theirs[key]) for key in ours if key in theirs}
    misfits = [f"{key} {fault}" for key, fault in both.items() if fault][:_MOST_NAMES]
    for verb, here, there in (("it lacks", ours, theirs), ("it has besides", theirs, ours)):
        if names := [key for key in here if key not in there]:
            misfits.append(f"{verb} {words.listed(names, _MOST_NAMES)}")
    return misfits


def _misfit(ours: Tensor, theirs: Tensor) -> str:
    if theirs.shape != ours.shape:
        return f"is {tuple(theirs.shape)}, not {tuple(ours.shape)}"
    if theirs.is_floating_point() != ours.is_floating_point():
        return f"holds {theirs.dtype}, not {ours.dtype}".replace("torch.", "")
    return ""
