"""The data: whole, split without overlap, normalized by the book, and kind when it is damaged."""

import contextlib
import gc
import gzip
import hashlib
import os
import socket
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from vizlib import data
from vizlib.data import _mnist


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

    monkeypatch.setattr(_mnist, "_has_failed", threading.Event())
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


def test_colours_are_no_three_grey_images():
    with pytest.raises(ValueError, match=r"grey \(N, H, W\), but were \(2, 3, 8, 8\); for colours"):
        data.normalize(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    assert data.normalize(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).shape == (2, 1, 8, 8)


def test_normalize_leaves_floats_alone_too(digits):
    images = digits.test.images.float()
    digits.normalize(images)
    assert torch.equal(images, digits.test.images.float())


@pytest.mark.parametrize("images", [torch.rand(2, 8, 8), data.normalize(torch.rand(8, 8) * 255)])
def test_what_is_scaled_already_is_not_scaled_once_more(images):
    with pytest.raises(ValueError, match=r"images must be in 0…255, but were in .*by 255"):
        data.normalize(images)
    assert data.normalize(torch.zeros(2, 8, 8)).amax().item() == pytest.approx(-0.4242, abs=1e-4)


@pytest.mark.parametrize(
    ("given", "told"), [(None, "NoneType"), ("a.png", "str"), ([None], "object")]
)
def test_what_are_no_numbers_is_told(given, told):
    with pytest.raises(TypeError, match=f"values must be numbers, .* but were {told}"):
        data.normalize(given)


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


def test_a_batch_is_what_the_digits_own_normalize_makes(digits):
    class Own(data.Digits):
        def normalize(self, images):
            return images

    floats = data.Split(digits.test.images.float(), digits.test.labels)
    for kind in (data.Digits, Own):
        own = kind("own", floats, floats, floats)
        images, _ = next(iter(own.batches("test", 7)))
        assert torch.equal(images, own.normalize(floats.images[:7]))


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
    with pytest.raises(ValueError, match="no split is called 'valid'; did you mean 'val'"):
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


# --- Places that are nearly right ------------------------------------------------------------


@pytest.mark.parametrize("below", ["", "MNIST", "MNIST/raw", "MNIST/raw/"])
@pytest.mark.usefixtures("nowhere")
def test_the_folder_may_be_named_at_any_depth(small, monkeypatch, capsys, below):
    monkeypatch.setenv("VIZLIB_DATA", str(small / below))
    assert data.load(download=False).name == "mnist"
    assert data.load("mnist", root=small / below).name == "mnist"
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("nowhere")
def test_a_tilde_is_the_home(small, monkeypatch):
    monkeypatch.setenv("HOME", str(small.parent))
    monkeypatch.setenv("VIZLIB_DATA", f"~/{small.name}")
    assert data.load(download=False).name == "mnist"


@pytest.mark.parametrize(
    "place", ["{nowhere}/gone", "{nowhere}/file", "{nowhere}", "~/gone", "a\nb" * 500]
)
@pytest.mark.usefixtures("nowhere")
def test_a_place_without_mnist_is_named(nowhere, monkeypatch, capsys, place):
    (nowhere / "file").write_text("x")
    place = place.format(nowhere=nowhere)
    monkeypatch.setenv("VIZLIB_DATA", place)
    assert data.load().name == "digits"
    assert f"VIZLIB_DATA is {place}, where MNIST is not, and it" in capsys.readouterr().err


def test_a_place_that_is_passed_over_is_named(small, nowhere, capsys):
    (nowhere / "data").symlink_to(small)
    assert data.load("mnist").name == "mnist"
    said = f"VIZLIB_DATA is {nowhere}/empty, where MNIST is not: reading it from data/MNIST/raw\n"
    assert capsys.readouterr().err == said
    assert data.load("mnist", root=nowhere / "gone").name == "mnist"
    assert f"root is {nowhere}/gone, where MNIST is not: r" in capsys.readouterr().err


@pytest.mark.parametrize("packed", [1, 2, 4])
def test_packed_files_are_read(copy, small, packed):
    for path in sorted((copy / "MNIST" / "raw").iterdir())[:packed]:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
        path.unlink()
    unpacked, again = data.load("mnist", root=small), data.load("mnist", root=copy)
    for split in data.SPLITS:
        assert torch.equal(unpacked.split(split).images, again.split(split).images)
        assert torch.equal(unpacked.split(split).labels, again.split(split).labels)


@pytest.mark.parametrize(
    "content",
    # Without the time of packing, two processes collect the same test.
    [b"", b"no gzip", gzip.compress(b"x" * 9_999, mtime=0)[:-9]],
    ids=["empty", "no gzip", "cut"],
)
def test_a_damaged_packed_file_is_named(copy, content):
    path = copy / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    path.unlink()
    path.with_name(f"{path.name}.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"t10k-labels\S* is damaged: .*delete the f"):
        data.load("mnist", root=copy)


# --- Files that can be read and are wrong ----------------------------------------------------


@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("keep", range(0, 18, 3))
def test_a_header_that_is_cut_names_the_file(copy, file, keep):
    path = copy / "MNIST" / "raw" / file
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=f"{file} is damaged: it has {keep} bytes"):
        data.load("mnist", root=copy)


@pytest.mark.parametrize(
    "header", [(8, 255, 1), (8, 1, 0), (8, 1, 2**32 - 1), (8, 0, 1), (8, 3, 9), (9, 1, 100)]
)
def test_a_strange_header_names_the_file_in_a_short_sentence(copy, header):
    path = copy / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    path.write_bytes(struct.pack(">HBBI", 0, *header) + path.read_bytes()[8:])
    with pytest.raises(ValueError, match="t10k-labels-idx1-ubyte is damaged: it has 1") as error:
        data.load("mnist", root=copy)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("value", [10, 200, 255])
def test_labels_that_are_no_digits_are_told(copy, value):
    path = copy / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + bytes([value]))
    with pytest.raises(ValueError, match=f"damaged: one of its labels is {value}, and there are 0"):
        data.load("mnist", root=copy)


@pytest.mark.parametrize("part", ["train", "t10k"])
def test_images_that_are_all_black_are_told(copy, part):
    path = copy / "MNIST" / "raw" / f"{part}-images-idx3-ubyte"
    content = path.read_bytes()
    path.write_bytes(content[:16] + bytes(len(content) - 16))
    with pytest.raises(ValueError, match=f"{part}-images.* is damaged: all its images are black"):
        data.load("mnist", root=copy)


@pytest.mark.parametrize(("part", "count"), [("train", 0), ("train", 5_000), ("t10k", 0)])
def test_too_few_images_are_told(copy, part, count):
    raw = copy / "MNIST" / "raw"
    write_idx(raw / f"{part}-images-idx3-ubyte", np.ones((count, 28, 28)))
    write_idx(raw / f"{part}-labels-idx1-ubyte", np.ones(count))
    with pytest.raises(ValueError, match=f"it holds {count:,} images, and at least"):
        data.load("mnist", root=copy)


# --- The network, and where there is none ----------------------------------------------------


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Set up a server that answers every connection with a function, and one mirror there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VIZLIB_DATA", raising=False)
    monkeypatch.setattr(data, "user_cache_path", lambda *_, **__: tmp_path / "cache")
    monkeypatch.setattr(_mnist, "_has_failed", threading.Event())
    monkeypatch.setattr(_mnist, "_DEADLINE", 1.0)
    data.load("digits")  # what it imports shall not count
    ended, listening, asked = threading.Event(), socket.create_server(("127.0.0.1", 0)), []
    address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    monkeypatch.setattr(_mnist, "_MIRRORS", (address,))

    def serve(answer):
        def answer_one(connection):
            with connection, contextlib.suppress(OSError):
                asked.append(connection.recv(9_999))
                answer(connection, ended, asked[-1])

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    threading.Thread(target=answer_one, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return asked

    yield serve
    ended.set()
    listening.close()


def dripping(begin):
    def answer(connection, ended, _asked):
        connection.sendall(begin)
        while not ended.wait(0.05):
            connection.sendall(b"x")

    return answer


def says(content):
    return lambda connection, *_: connection.sendall(content)


OK = b"HTTP/1.1 200 OK\r\n"
ANSWERS = {
    "nothing": says(b""),
    "silence": lambda _, ended, __: ended.wait(),
    "garbage": says(b"\0garbage\r\n\r\n"),
    "a status that drips": dripping(b""),
    "headers that drip": dripping(OK + b"a: b"),
    "a body that drips": dripping(OK + b"Content-Length: 9912422\r\n\r\n"),
    "too many headers": says(OK + b"a: b\r\n" * 200 + b"\r\n"),
    "a header too long": says(OK + b"a: " + b"b" * 99_999 + b"\r\n\r\n"),
    "half a chunk": says(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "less than promised": says(OK + b"Content-Length: 99\r\n\r\nabc"),
    "another file": says(OK + b"\r\n" + gzip.compress(b"another file")),
    "a page": says(OK + b"Content-Type: text/html\r\n\r\n<html>Log in here</html>"),
    "not found": says(b"HTTP/1.1 404 Not Found\r\n\r\n"),
    "a circle": says(b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n"),
    "a file of ours": says(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n"),
    "a strange redirection": says(b"HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n"),
}


# urllib leaves the sockets of a chain of redirections to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("answer", ANSWERS)
def test_whatever_a_server_says_the_digits_are_there_in_time(mirror, tmp_path, capsys, answer):
    asked = mirror(ANSWERS[answer])
    started = time.monotonic()
    assert data.load().name == "digits"
    assert time.monotonic() - started < 1 + 4  # the deadline, and a slow machine
    assert capsys.readouterr().err == (
        "MNIST is not on disk, and it cannot be downloaded: "
        "using the 1,797 smaller digits that come with scikit-learn\n"
    )
    assert asked  # else nothing was tried
    gc.collect()
    assert not (tmp_path / "cache").exists()


def test_a_proxy_that_is_silent_is_not_waited_for(mirror, monkeypatch):
    asked = mirror(ANSWERS["silence"])
    monkeypatch.setenv("https_proxy", _mnist._MIRRORS[0])
    monkeypatch.setattr(_mnist, "_MIRRORS", ("https://mirror.invalid/",))
    monkeypatch.setattr(_mnist, "_DEADLINE", 3.0)
    started = time.monotonic()
    assert data.load().name == "digits"
    assert time.monotonic() - started < 3 + 4
    assert asked[0].startswith(b"CONNECT mirror.invalid:443")


@pytest.mark.usefixtures("mirror")
def test_a_name_that_is_looked_up_for_ever_is_not_waited_for(monkeypatch):
    ended = threading.Event()
    monkeypatch.setattr(_mnist, "_MIRRORS", ("http://mirror.invalid/",))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait())
    started = time.monotonic()
    assert data.load().name == "digits"
    assert time.monotonic() - started < 1 + 4
    ended.set()


def test_a_download_that_failed_is_not_tried_again(mirror):
    asked = mirror(ANSWERS["not found"])
    for _ in range(3):
        assert data.load().name == "digits"
    with pytest.raises(FileNotFoundError, match="could not be downloaded"):
        data.load("mnist")
    assert len(asked) == 1


def mirror_of(small):
    """Answer as a server does that has the files of `small`, packed."""

    def answer(connection, _ended, asked):
        name = asked.split()[1].decode().strip("/").removesuffix(".gz")
        packed = gzip.compress((small / "MNIST" / "raw" / name).read_bytes(), 1)
        connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(packed) + packed)

    return answer


@pytest.fixture
def small_is_right(small, monkeypatch):
    raw = small / "MNIST" / "raw"
    sums = {name: hashlib.sha256((raw / name).read_bytes()).hexdigest() for name in _mnist._SHA256}
    monkeypatch.setattr(_mnist, "_SHA256", sums)
    monkeypatch.setattr(_mnist, "_DEADLINE", 20.0)


@pytest.mark.usefixtures("small_is_right")
def test_what_is_downloaded_is_found_again_in_the_users_cache(mirror, small, tmp_path):
    asked = mirror(mirror_of(small))
    assert len(data.load("mnist").train) == 1000
    assert len(data.load("mnist").train) == 1000
    assert len(asked) == 4
    raw = tmp_path / "cache" / "MNIST" / "raw"
    assert sorted(path.name for path in raw.iterdir()) == sorted(_mnist._SHA256)


@pytest.mark.usefixtures("small_is_right")
@pytest.mark.parametrize("place", ["file", "/proc/none"])
def test_a_cache_that_cannot_be_written_is_no_error(mirror, small, tmp_path, monkeypatch, place):
    (tmp_path / "file").write_text("x")
    mirror(mirror_of(small))
    monkeypatch.setattr(data, "user_cache_path", lambda *_, **__: tmp_path / place)
    assert data.load().name == "digits"


def test_a_user_without_a_home_reads_too(small, monkeypatch, tmp_path):
    def no_home(*_args, **_options):
        raise RuntimeError("could not determine the home directory")  # as platformdirs does

    monkeypatch.setattr(data, "user_cache_path", no_home)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIZLIB_DATA", str(small))
    assert data.load().name == "mnist"
    monkeypatch.delenv("VIZLIB_DATA")
    assert data.load().name == "digits"


def test_the_digest_of_each_file_is_known():
    assert set(map(len, _mnist._SHA256.values())) == {64}
    names = {name for pair in _mnist._FILES.values() for name in pair}
    assert set(_mnist._SHA256) == names


def test_batches_cut_out_together_are_those_cut_out_one_by_one(embedded):
    """On a GPU sixteen at a time; the same images in the same order, and a short last batch."""
    settings = {"shuffle": True, "generator": torch.Generator().manual_seed(7)}
    single = embedded.batches("train", 50, **settings)
    settings["generator"] = torch.Generator().manual_seed(7)
    together = embedded.batches("train", 50, **settings)
    together.at_once = 16
    assert single.at_once == 1
    pairs = list(zip(single, together, strict=True))
    assert [len(labels) for _, (_, labels) in pairs] == [50] * 25 + [7]
    for one, other in pairs:
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_batches_changed_together_are_each_changed_in_its_own_way(embedded):
    together = embedded.batches("train", 50, augment=data.Affine())
    together.at_once = 16
    plain = embedded.batches("train", 50)
    seen = []
    for (changed, labels), (images, expected) in zip(together, plain, strict=True):
        assert torch.equal(labels, expected)
        assert changed.shape == images.shape
        seen.append((changed - images).abs().flatten(1).sum(1))
    assert len(torch.cat(seen).unique()) > 1200  # of 1,257 images
