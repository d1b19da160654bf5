"""The data: whole, split without overlap, normalized by the book, and kind when it is damaged."""

import os
import shutil
import socket
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from vizlib import data


def write_idx(path, array):
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A folder laid out as MNIST is, with 6,000 images whose first pixels tell their number."""
    root = tmp_path_factory.mktemp("mnist")
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 6000), ("t10k", 100)):
        number = np.arange(count)
        images = np.zeros((count, 28, 28))
        images[:, 0, 0], images[:, 0, 1] = number // 256, number % 256
        images[:, 14, 14] = 255
        write_idx(raw / f"{part}-images-idx3-ubyte", images)
        write_idx(raw / f"{part}-labels-idx1-ubyte", number % 10)
    return root


@pytest.fixture
def copy(small, tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in (small / "MNIST" / "raw").iterdir():
        (raw / file.name).write_bytes(file.read_bytes())
    return tmp_path


@pytest.fixture
def digits():
    return data.load("digits")


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No MNIST on disk, and no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIZLIB_DATA", str(tmp_path / "empty"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(data, "user_cache_path", lambda *_, **__: tmp_path)

    def refuse(*_args, **_kwargs):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tmp_path


def numbers(split):
    return split.images[:, 0, 0].long() * 256 + split.images[:, 0, 1].long()


def test_the_splits_hold_every_image_once(small):
    digits = data.load("mnist", root=small)
    train, val = numbers(digits.train), numbers(digits.val)
    assert sorted(torch.cat([train, val]).tolist()) == list(range(6000))
    assert (len(digits.train), len(digits.val), len(digits.test)) == (1000, 5000, 100)


def test_labels_stay_with_their_images(small):
    digits = data.load("mnist", root=small)
    for split in (digits.train, digits.val, digits.test):
        assert torch.equal(numbers(split) % 10, split.labels)


def test_the_validation_split_is_the_end_of_a_seeded_permutation(small):
    order = torch.randperm(6000, generator=torch.Generator().manual_seed(0))
    held_out = sorted(order[-5000:].tolist())
    assert numbers(data.load("mnist", root=small).val).tolist() == held_out


def test_types_and_shapes(digits):
    for split in (digits.train, digits.val, digits.test):
        assert split.images.dtype == torch.uint8
        assert split.labels.dtype == torch.int64
        assert split.images.shape == (len(split), 28, 28)
    assert len(digits.train) + len(digits.val) + len(digits.test) == 1797


def test_the_embedded_digits_are_scikit_learns(digits):
    """Shrunk again, each is one of the 8×8 originals with the same label."""
    from sklearn.datasets import load_digits

    original = load_digits()
    found = set()
    small = torch.nn.functional.avg_pool2d(digits.test.images[:, 4:24, 4:24].float()[None], 5)
    reference = torch.nn.functional.interpolate(
        torch.from_numpy(original.images).float()[None], size=(4, 4), mode="area"
    )
    for row, image in enumerate(small[0]):
        gap = (reference[0] * 255 / 16 - image).abs().mean((1, 2))
        best = int(gap.argmin())
        assert original.target[best] == digits.test.labels[row]
        assert gap[best] < 10
        found.add(best)
    assert len(found) == len(digits.test)


def test_embedded_digits_sit_in_a_black_frame_of_four(digits):
    images = digits.train.images
    assert images[:, :4].max() == images[:, -4:].max() == 0
    assert images[:, :, :4].max() == images[:, :, -4:].max() == 0
    assert images[:, 4:24, 4:24].max() == 255


def test_normalize_is_the_textbook_formula(digits):
    images = digits.test.images[:3]
    by_hand = (images.numpy() / 255 - 0.1307) / 0.3081
    np.testing.assert_allclose(digits.normalize(images)[:, 0], by_hand, rtol=1e-5, atol=1e-6)
    assert digits.normalize(images[0]).shape == (1, 1, 28, 28)


def test_normalize_leaves_floats_alone_too(digits):
    images = digits.test.images.float()
    digits.normalize(images)
    assert torch.equal(images, digits.test.images.float())


def test_normalize_leaves_the_bytes_alone(digits):
    before = digits.test.images.clone()
    digits.normalize(digits.test.images)
    assert torch.equal(before, digits.test.images)


def test_a_pass_yields_every_image_once_in_order(digits):
    batches = digits.batches("test", 100)
    pairs = list(batches)
    assert [len(labels) for _, labels in pairs] == [100, 100, 100, 60]
    assert len(batches) == 4
    assert torch.equal(torch.cat([labels for _, labels in pairs]), digits.test.labels)
    expected = digits.normalize(digits.test.images)
    assert torch.equal(torch.cat([images for images, _ in pairs]), expected)


def test_shuffling_gives_another_order_each_pass_and_keeps_pairs(small):
    digits = data.load("mnist", root=small)
    batches = digits.batches("train", 64, shuffle=True)
    passes = []
    for _ in range(2):
        pairs = list(batches)
        images = torch.cat([images for images, _ in pairs])
        pixels = ((images[:, 0, 0, :2] * 0.3081 + 0.1307) * 255).round().long()
        number = pixels[:, 0] * 256 + pixels[:, 1]
        assert torch.equal(number % 10, torch.cat([labels for _, labels in pairs]))
        assert sorted(number.tolist()) == numbers(digits.train).tolist()
        passes.append(number)
    assert not torch.equal(*passes)


def test_the_same_generator_gives_the_same_order(digits):
    orders = [
        torch.cat([labels for _, labels in digits.batches("train", 64, shuffle=True)])
        for _ in range(2)
    ]
    assert torch.equal(*orders)


@pytest.mark.parametrize("augment", [None, data.Affine()])
@pytest.mark.parametrize("batch_size", [64, 100])
def test_shares_make_up_the_whole_batch(digits, augment, batch_size):
    def run(share):
        return list(digits.batches("train", batch_size, shuffle=True, augment=augment, share=share))

    for (images, labels), *parts in zip(run((0, 1)), run((0, 2)), run((1, 2)), strict=True):
        for rank, (part_images, part_labels) in enumerate(parts):
            assert torch.equal(part_labels, labels[rank::2])
            torch.testing.assert_close(part_images, images[rank::2])


def test_affine_without_change_is_the_image(digits):
    images = digits.test.images[:8, None].float() / 255
    same = data.Affine(0, 0, 0, 0)(images, torch.Generator())
    torch.testing.assert_close(same, images, atol=1e-5, rtol=0)


def test_affine_shifts_by_no_more_than_it_says():
    image = torch.zeros(200, 1, 28, 28)
    image[:, 0, 14, 14] = 1
    moved = data.Affine(degrees=0, scale=0, shift=3, shear=0)(image, torch.Generator())
    mass = moved[:, 0].sum((1, 2))
    rows = (moved[:, 0].sum(2) * torch.arange(28)).sum(1) / mass - 14
    columns = (moved[:, 0].sum(1) * torch.arange(28)).sum(1) / mass - 14
    assert max(rows.abs().max(), columns.abs().max()) < 3.01
    assert rows.abs().max() > 2
    assert rows.std() > 1
    assert columns.std() > 1


def test_affine_turns_by_the_angle_it_says():
    """A bar through the middle, turned: its direction is the eigenvector of its second moments."""
    bar = torch.zeros(100, 1, 28, 28)
    bar[:, 0, 13:15, 4:24] = 1
    turned = data.Affine(degrees=20, scale=0, shift=0, shear=0)(bar, torch.Generator())[:, 0]
    y, x = torch.meshgrid(torch.arange(28.0) - 13.5, torch.arange(28.0) - 13.5, indexing="ij")
    angles = 0.5 * torch.atan2(
        2 * (turned * x * y).sum((1, 2)), (turned * (x * x - y * y)).sum((1, 2))
    )
    degrees = angles.rad2deg().abs()
    assert degrees.max() < 20.5
    assert degrees.max() > 17


def test_auto_prefers_the_disk(small, monkeypatch, tmp_path):
    monkeypatch.setenv("VIZLIB_DATA", str(small))
    assert data.load().name == "mnist"
    monkeypatch.setenv("VIZLIB_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(small)
    assert data.load(download=False).name == "mnist"


def test_without_mnist_one_line_says_so(nowhere, capsys):
    assert data.load().name == "digits"
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "1,797 smaller digits that come with scikit-learn" in lines[0]
    assert not [path for path in nowhere.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("nowhere")
def test_asking_for_mnist_where_there_is_none_says_where_it_looked():
    with pytest.raises(FileNotFoundError, match="empty.*set VIZLIB_DATA to the folder"):
        data.load("mnist")


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("train-images-idx3-ubyte", lambda b: b[:-1], "it has 4,704,015 bytes, not 4,704,016"),
        ("t10k-labels-idx1-ubyte", lambda b: b + b"x", "it has 109 bytes, not 108"),
        ("t10k-labels-idx1-ubyte", lambda _: b"", "it has 0 bytes"),
        ("t10k-images-idx3-ubyte", lambda b: b"<html>" + b[6:], "is damaged"),
    ],
)
def test_a_damaged_file_is_named(copy, file, damage, message):
    path = copy / "MNIST" / "raw" / file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{file} is damaged: .*delete the folder") as error:
        data.load("mnist", root=copy)
    assert message in str(error.value)


def test_images_without_their_labels_are_refused(copy):
    write_idx(copy / "MNIST" / "raw" / "t10k-labels-idx1-ubyte", np.zeros(99))
    with pytest.raises(ValueError, match=r"holds \(100, 28, 28\) images for 99 labels"):
        data.load("mnist", root=copy)


def test_unknown_names_are_refused(digits):
    with pytest.raises(ValueError, match="no data set is called 'cifar'; choose from auto, mnist"):
        data.load("cifar")
    with pytest.raises(ValueError, match="no split is called 'valid'; choose from train, val, te"):
        digits.batches("valid", 10)
    with pytest.raises(ValueError, match="batch_size must be at least 1, but was 0"):
        digits.batches("test", 0)


@pytest.mark.skipif(
    not (Path(os.environ.get("VIZLIB_DATA", "none")) / "MNIST").is_dir(),
    reason="MNIST is not here: set VIZLIB_DATA to the folder that holds it",
)
def test_mnist_itself():
    digits = data.load("mnist")
    assert (len(digits.train), len(digits.val), len(digits.test)) == (55_000, 5_000, 10_000)
    assert digits.train.labels[0] == 5
    fractions = torch.cat([digits.train.images, digits.val.images]).double() / 255
    assert fractions.mean().item() == pytest.approx(data.MEAN, abs=1e-4)
    assert fractions.std().item() == pytest.approx(data.STD, abs=1e-4)


def test_what_is_downloaded_is_found_again_in_the_users_cache(nowhere, small, monkeypatch):
    """A stand-in for torchvision's class, which downloads into the folder that it is given."""
    given = []

    def download(folder, *, download):
        assert download
        given.append(Path(folder))
        shutil.copytree(small / "MNIST", Path(folder) / "MNIST")

    monkeypatch.setattr("torchvision.datasets.MNIST", download)
    assert data.load().name == "mnist"
    assert data.load().name == "mnist"
    assert len(given) == 1
    assert not given[0].exists()
    assert {path.name for path in nowhere.iterdir()} == {"MNIST"}


@pytest.mark.usefixtures("nowhere")
def test_a_download_that_fails_halfway_leaves_nothing(monkeypatch, tmp_path):
    def download(folder, *, download):
        assert download
        (Path(folder) / "MNIST").mkdir()
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr("torchvision.datasets.MNIST", download)
    patience = socket.getdefaulttimeout()
    assert data.load().name == "digits"
    assert list(tmp_path.iterdir()) == []
    assert socket.getdefaulttimeout() == patience
