"""The command line: what it computes against the library, what it writes, and how it complains."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from typer.testing import CliRunner

import vizlib
from vizlib import data, handwriting, models, plots, recipes, train, weights
from vizlib.cli import _atlas, _job, app
from vizlib.history import History

DIGITS = ["--data", "digits"]
QUICK = [*DIGITS, "--no-gpu"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Commands write into the folder where they are started."""
    monkeypatch.chdir(tmp_path)


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def done(*arguments):
    result = call(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def facts(*arguments):
    """What a command prints with --json: the whole of stdout."""
    return json.loads(done(*arguments, "--json").stdout)


def picture(path, mode="RGB"):
    with Image.open(path) as opened:
        return np.asarray(opened.convert(mode))


# --- Help ----------------------------------------------------------------------------------

OPTIONS = {
    "train": "--model --epochs --batch-size --test-batch-size --learning-rate --lr --gamma "
    "--schedule --optimizer --augment --no-augment --precision --seed --weights --resume --out "
    "--save --no-save --dry-run --log-interval --quiet --data --device --no-gpu --json",
    "test": "--model --weights --first --test-batch-size --out --data --device --no-gpu --json",
    "curves": "--out --json",
    "compare": "--out --json",
    "maps": "--model --weights --image --index --out --layer --scale --values --data --json",
    "read": "--model --weights --labelled --out --json",
    "info": "--json",
}


@pytest.mark.parametrize("command", OPTIONS)
def test_help_names_every_option_and_shows_an_example(command):
    text = done(command, "--help").stdout
    offered = set(re.findall(r"^ +(.*?)(?:  |$)", text.split("Options:")[1], re.MULTILINE))
    words = set(re.findall(r"--[\w-]+", " ".join(offered)))
    assert words == {*OPTIONS[command].split(), "--help"}
    assert f"\n    python -m vizlib {command}" in text


@pytest.mark.parametrize("command", OPTIONS)
def test_every_example_in_a_help_is_understood(command):
    """Each is parsed, and nothing is run: a help must not name an option that is not there."""
    examples = re.findall(r"^ +python -m vizlib (.*)$", done(command, "-h").stdout, re.MULTILINE)
    assert examples
    for example in examples:
        parsed = call(*example.replace('"', "").split(), "--help")
        assert parsed.exit_code == 0, example
        offered = parsed.stdout
        for option in re.findall(r"--?[a-z][\w-]*", example.split(maxsplit=1)[-1]):
            assert re.search(rf"(?<![\w-]){option}\b", offered), f"{option} in {example}"


def test_no_command_at_all_is_a_question_for_help():
    assert done().stdout == done("--help").stdout
    assert all(f"\n  {command} " in done().stdout for command in OPTIONS)


def test_help_is_there_at_once():
    """Without the seconds that torch and matplotlib take."""
    code = "import sys; from vizlib import cli; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "matplotlib", "numpy", "PIL"} & set(run.stdout.split())


def test_the_module_runs_as_a_program():
    run = subprocess.run(
        [sys.executable, "-m", "vizlib", "info", "lenet", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(run.stdout)["parameters"] == 44_426
    assert run.stderr == ""


# --- Complaints ----------------------------------------------------------------------------

COMPLAINTS = {
    "train --modl lenet": "No such option: --modl",
    "train --model lenett": "no network is called 'lenett'; did you mean 'lenet'?",
    "train --model vgg11": "vgg11 expects a batch of images (N, 3, 32, 32), but got (2, 1, 28, 28)",
    "train --model twobranch": "twobranch cannot read images of 1×28×28",
    "train --epochs many": "Invalid value for '--epochs'",
    "train --epochs -1": "epochs must be at least 0, but was -1",
    "train --batch-size 0": "batch_size must be at least 1, but was 0",
    "train --gamma 0.5 --schedule cosine": "--gamma goes with --schedule step, not cosine",
    "train --device gpu": "there is no device 'gpu' here; choose ",
    "train --weights none.pt": "there is no file none.pt",
    "train --data cifar": "no data set is called 'cifar'; choose from auto, mnist, digits",
    "train --model mlp --dry-run --optimizer sgdd --data digits": "no optimizer is called 'sgdd'",
    "train --model mlp --lr 1e30 --epochs 1 -q --data digits": "it was probably too large, try",
    "test --first 0 --data digits": "first must be at least 1, but was 0",
    "test --model vgg16": "there are no trained weights for 'vgg16', only for lenet",
    "curves nowhere": "nowhere is neither a folder or file with a training's history, nor one of",
    "curves lenet --out curves.pdf": "pictures are written as PNG, so curves.pdf must end in .png",
    "compare": "Missing argument",
    "maps --image none.png": "none.png",
    "maps --index -1 --data digits": "--index is one of 360 test images of digits, from 0, but",
    "maps --layer conv9 --data digits": "no stage is called 'conv9'; did you mean 'conv",
    "maps --scale wild --data digits": "'wild' is not one of 'map', 'layer', 'network'",
    "read .": "there is no picture in .",
    "info lenett": "no network is called 'lenett'; did you mean 'lenet'?",
    "draw": "No such command 'draw'",
}


@pytest.mark.parametrize("arguments", COMPLAINTS)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments):
    result = call(*arguments.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    complaint = result.stderr.splitlines()[-1]
    assert complaint.startswith("vizlib: ")
    assert COMPLAINTS[arguments] in complaint
    assert "Traceback" not in result.stderr


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(models, "names", lambda: {}["bug"])
    assert isinstance(call("info").exception, KeyError)


# --- Training ------------------------------------------------------------------------------


def test_train_does_what_fit_does_and_keeps_it(embedded):
    settings = {"epochs": 3, "batch_size": 100, "learning_rate": 0.02}
    told = facts("train", "-m", "mlp256", "--epochs", 3, "--batch-size", 100, "--lr", 0.02,
                 "--no-augment", "--seed", 4, "--optimizer", "adam", *QUICK)  # fmt: skip
    model = models.build("mlp256", seed=4)
    history = train.fit(
        model, embedded, seed=4, augment=None, optimizer="adam",
        progress=False, device="cpu", **settings,
    )  # fmt: skip
    folder = Path("runs/mlp256")
    kept = weights.load_into(models.build("mlp256"), folder / "weights.safetensors")
    for ours, theirs in zip(kept.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert History.load(folder / "history.json").step_loss == history.step_loss
    metrics = train.evaluate(model, embedded)
    assert told["accuracy"] == metrics.accuracy
    assert told["loss"] == pytest.approx(metrics.loss)
    assert told["val_accuracy"] == max(history.val_accuracy)
    assert told["epochs"], told["best_epoch"] == (3, history.best_epoch)
    assert told["files"]["weights"] == str(folder / "weights.safetensors")


def test_gamma_is_the_factor_after_each_epoch():
    done("train", "-m", "mlp256", "--epochs", 3, "--lr", 0.1, "--gamma", 0.5, "-o", "here", *QUICK)
    rates = History.load("here/history.json").learning_rate
    assert rates == pytest.approx([0.05, 0.025, 0.0125])


def test_resume_goes_on_as_if_nothing_had_happened(embedded):
    recipe = recipes.Recipe(**{**vars(recipes.recipe("mlp256")), "epochs": 3})
    arguments = ["train", "-m", "mlp256", "--epochs", 3, "-q", *QUICK]
    done(*arguments, "-o", "whole")

    def stop(history):
        raise InterruptedError(history.epochs)

    with pytest.raises(InterruptedError, match="1"):
        train.fit(models.build("mlp256", seed=0), embedded, recipe=recipe, progress=False,
                  device="cpu", checkpoint="part/checkpoint.pt", on_epoch=stop)  # fmt: skip
    assert "nothing to resume" not in done(*arguments, "-o", "part", "--resume").stderr
    whole, part = (History.load(f"{name}/history.json") for name in ("whole", "part"))
    assert part.step_loss == whole.step_loss
    assert part.epochs == 3


def test_resume_without_a_checkpoint_begins_and_says_so():
    arguments = ["train", "-m", "mlp256", "--epochs", 1, "--resume", "-q", *QUICK]
    assert "nothing to resume yet: starting from the beginning" in done(*arguments).stderr


def test_a_run_that_would_replace_another_says_so():
    arguments = ("train", "-m", "mlp256", "--epochs", "1", "-q", "-o", "run", *DIGITS)
    assert "replaces" not in done(*arguments).stderr
    assert "This run replaces the one in run when" in done(*arguments).stderr
    assert "replaces" not in done(*arguments, "--resume").stderr
    assert "replaces" not in done(*arguments, "--no-save").stderr


def test_start_from_weights(embedded):
    weights.save(models.build("mlp256", seed=9), "start.safetensors")
    told = facts("train", "-m", "mlp256", "--epochs", 0, "-w", "start.safetensors", *QUICK)
    assert told["accuracy"] == train.evaluate(models.build("mlp256", seed=9), embedded).accuracy
    assert "files" not in told
    assert told["val_accuracy"] is None


def test_a_dry_run_writes_nothing():
    told = facts("train", "-m", "mlp256", "--dry-run", "--test-batch-size", 7, *QUICK)
    assert told["epochs"] == 1
    assert told["tested"] == 7
    assert list(Path().iterdir()) == []


def test_no_save_writes_nothing():
    done("train", "-m", "mlp256", "--epochs", 1, "--no-save", *QUICK)
    assert list(Path().iterdir()) == []


def test_the_log_tells_the_losses_and_the_bar_the_steps():
    arguments = ["--epochs", 2, "--batch-size", 300, "--log-interval", 2, *QUICK]
    told = done("train", "-m", "mlp256", *arguments).stderr
    losses = History.load("runs/mlp256/history.json").step_loss
    expected = [
        f"epoch {e + 1}, step {s + 1} of 5: loss {losses[5 * e + s]:.4f}"
        for e, s in ((0, 1), (0, 3), (1, 0), (1, 2), (1, 4))
    ]
    assert re.findall(r"epoch \d.*loss [\d.]+", told) == expected
    assert "10/10" in told


def test_few_steps_are_told_before_the_training():
    short = ("train", "-m", "mlp256", "--no-save", "-q", *DIGITS, "--batch-size")
    told = done(*short, "200", "--epochs", "2").stderr  # 1,257 images make 7 steps an epoch
    assert "1,257 images make few steps, here 14: --epochs 58 will teach" in told
    assert "few steps" not in done(*short, "10", "--epochs", "2").stderr


def test_json_is_alone_on_stdout_when_a_training_is_interrupted(monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("vizlib.train._run.evaluate", stop)
    result = done("train", "-m", "mlp256", "--epochs", 2, "--json", "-q", *QUICK)
    assert json.loads(result.stdout)["interrupted"]
    assert "Stopped after 0 of 2 epochs" in result.stderr


# --- Testing, curves, comparison -----------------------------------------------------------


def test_test_counts_as_one_would_by_hand(embedded):
    told = facts("test", "-m", "lenet", "--first", 100, "-o", "confusion.png", *QUICK)
    with torch.no_grad():
        given = weights.load("lenet")(embedded.normalize(embedded.test.images[:100])).argmax(1)
    right = int((given == embedded.test.labels[:100]).sum())
    assert told["accuracy"] == pytest.approx(right / 100)
    assert sum(told["confusion"][k][k] for k in range(10)) == right
    text = done("test", "-m", "lenet", "--first", 100, *QUICK).stdout
    assert f"lenet on 100 test images of digits: {right}.00 % right, {100 - right} wrong" in text
    assert picture("confusion.png").shape[1] > 300


def test_curves_draws_a_history():
    history = History("mine", "digits", val_accuracy=[0.5, 0.75], val_loss=[1.0, 0.5],
                      train_accuracy=[0.4, 0.6], train_loss=[2.0, 1.0])  # fmt: skip
    history.save("run/history.json")
    told = facts("curves", "run", "-o", "new/curves.png")
    assert (told["epochs"], told["best_epoch"], told["val_accuracy"]) == (2, 2, 0.75)
    expected = picture("new/curves.png").shape
    assert expected == plots.curves(history).pixels()[..., :3].shape
    assert "run/history.json: 2 epochs, best 2" in done("curves", "run/history.json").stdout


def test_compare_prints_what_is_known():
    History("mine", val_accuracy=[0.5, 0.75, 0.6], val_loss=[1, 1, 1]).save("run/history.json")
    text = done("compare", "lenet", "mlp", "run").stdout
    lenet = weights.info("lenet")
    row = text.splitlines()[1].split()
    assert row[:3] == ["lenet", str(lenet["epochs"]), str(lenet["best_epoch"])]
    assert row[3] == f"{100 * lenet['val_accuracy']:.2f}"
    assert row[5] == f"{100 * lenet['accuracy']:.2f}"
    assert text.splitlines()[3].split() == ["run", "3", "2", "75.00", "%", "–"]
    assert picture("compare.png").shape[1] > 300


# --- Looking -------------------------------------------------------------------------------


@pytest.fixture
def photo(embedded):
    """A digit of the test split in dark ink on bright paper, and what it is."""
    image, label = embedded.test[5]
    large = F.interpolate(image[None, None].float(), scale_factor=8, mode="bilinear")[0, 0]
    Image.fromarray((235 - 0.8 * large).byte().numpy()).save(f"{int(label)}_photo.png")
    return Path(f"{int(label)}_photo.png")


def test_every_map_of_every_layer_is_a_file_in_its_colours(embedded):
    told = facts("maps", "-m", "lenet", "--index", 3, "-o", "maps", *DIGITS)
    assert json.loads(Path("maps/index.json").read_text("utf-8")) | {"folder": "maps"} == told
    assert [len(stage.get("maps", [])) for stage in told["stages"]] == [6] * 3 + [16] * 3 + [0] * 6
    model = weights.load("lenet")
    with torch.no_grad():
        x = embedded.normalize(embedded.test.images[3])
        conv1 = F.conv2d(x, model.conv1.weight, model.conv1.bias)[0]
        scores = model(x)[0]
    for channel, entry in enumerate(told["stages"][0]["maps"]):
        pixels = picture(f"maps/{entry['file']}")
        times = len(pixels) // 24
        expected = plots.colours(conv1[channel], float(conv1.abs().max()))
        assert np.array_equal(pixels, np.kron(expected, np.ones((times, times, 1), np.uint8)))
        assert entry["least"] == pytest.approx(float(conv1[channel].min()), rel=1e-5)
    assert told["scores"] == pytest.approx(scores.tolist(), rel=1e-4, abs=1e-4)
    assert told["answer"] == int(scores.argmax())
    assert told["stages"][-1]["values"] == told["scores"]


def test_the_index_shows_every_picture_and_says_what_it_is():
    done("maps", "-o", "maps", *DIGITS)
    page = Path("maps/index.html").read_text("utf-8")
    pictures = dict(re.findall(r'<img src="([^"]+)" alt="([^"]+)"', page))
    files = {str(path.relative_to("maps")) for path in Path("maps").rglob("*.png")}
    assert set(pictures) == {file.replace("\\", "/") for file in files}
    assert len(pictures) == 1 + 12 + 3 * 6 + 3 * 16
    assert page.count("<img") == len(pictures)
    assert re.fullmatch(r"conv1, channel 2, from \S+ to \S+", pictures["01_conv1/02.png"])
    assert '<html lang="en">' in page


def test_the_scale_says_what_the_darkest_colour_is():
    ends = {}
    for scale in ("map", "layer", "network"):
        stages = facts("maps", "-o", scale, "--scale", scale, "--layer", "conv", *DIGITS)["stages"]
        ends[scale] = [[entry["end"] for entry in stage["maps"]] for stage in stages]
    first, second = ends["map"]
    assert len(set(first)) > 1
    assert ends["layer"] == [[max(first)] * 6, [max(second)] * 16]
    assert ends["network"] == [[max(first + second)] * 6, [max(first + second)] * 16]


def test_values_of_the_fully_connected_layers_are_printed():
    text = done("maps", "--layer", "fc*", "--values", *DIGITS).stdout
    told = facts("maps", "--layer", "fc*", *DIGITS)
    assert [stage["name"] for stage in told["stages"]] == ["fc1", "fc2", "fc3"]
    printed = next(line for line in text.splitlines() if line.startswith("fc2: ")).split()[1:]
    assert [float(value) for value in printed] == pytest.approx(
        told["stages"][1]["values"], rel=1e-3
    )
    assert f"answer: {told['answer']}" in text


def test_maps_of_a_photograph_see_what_handwriting_prepares(photo):
    told = facts("maps", "--image", photo, "-o", "maps")
    prepared = handwriting.prepare(photo).image
    x = ((torch.from_numpy(prepared) / 255 - data.MEAN) / data.STD)[None, None]
    with torch.no_grad():
        scores = weights.load("lenet")(x)[0]
    assert told["scores"] == pytest.approx(scores.tolist(), rel=1e-4, abs=1e-4)
    assert told["image"] == photo.name
    shown = picture("maps/input.png", "L")[::4, ::4]
    assert np.array_equal(shown, prepared)


def test_maps_of_a_colour_photograph(monkeypatch):
    """The middle square, scaled: left half red, right half blue, and grey beyond the square."""
    pixels = np.full((64, 128, 3), 127, np.uint8)
    pixels[:, 32:64], pixels[:, 64:96] = (255, 0, 0), (0, 0, 255)
    Image.fromarray(pixels).save("photo.png")
    weights.save(models.build("vgg11", seed=0), "vgg11.safetensors")
    monkeypatch.setattr(plots, "feature_maps", lambda *_, **__: plots.images(np.zeros((2, 2))))
    arguments = ["-m", "vgg11", "-w", "vgg11.safetensors", "--layer", "features.0", "-o", "maps"]
    told = facts("maps", *arguments, "--image", "photo.png")
    shown = picture("maps/input.png")
    assert shown[60, 20].tolist() == [255, 0, 0]
    assert shown[60, 100].tolist() == [0, 0, 255]
    assert told["stages"][0]["shape"] == [64, 32, 32]
    Path("broken.png").write_bytes(b"no picture")
    result = call("maps", *arguments, "--image", "broken.png")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_read_says_what_each_photograph_is(photo):
    Image.new("L", (50, 50), 255).save("empty.png")
    Path("notes.txt").write_text("no picture", encoding="utf-8")
    told = facts("read", ".", "--labelled", "-o", "seen/read.png")
    reading = handwriting.read(weights.load("lenet"), photo)
    first, second = told["pictures"]
    assert (first["file"], first["digit"]) == (photo.name, reading.digit)
    assert first["probabilities"] == pytest.approx(reading.probabilities.tolist(), abs=1e-5)
    assert first["right"] == (reading.digit == int(photo.name[0]))
    assert second["digit"] is None
    assert "there is no digit in" in second["error"]
    assert told["right"] == int(first["right"])
    assert Path("seen/read.png").is_file()
    text = done("read", photo, "--labelled").stdout
    assert text.startswith(f"{photo}: {reading.digit} (")
    assert f"lenet: {int(first['right'])} of 1 right" in text


def test_a_wrong_reading_is_called_wrong(photo):
    label = (int(photo.name[0]) + 1) % 10
    wrong = photo.rename(f"{label}.png")
    text = done("read", wrong, "--labelled").stdout
    assert f"wrong: it is a {label}" in text
    assert "lenet: 0 of 1 right" in text


def test_info_lists_every_network():
    rows = facts("info")
    assert [row["network"] for row in rows] == models.names()
    counted = {row["network"]: row["parameters"] for row in rows}
    assert counted["lenet"] == 44_426
    assert counted["alexnet"] == 61_100_840
    assert [row["network"] for row in rows if row["trained"]] == weights.names()
    lines = done("info").stdout.splitlines()
    assert len(lines) == 1 + len(rows)
    assert lines[1].split()[:3] == ["lenet", "1×28×28", "44,426"]


def test_info_shows_one_network_and_where_its_weights_came_from():
    told, text = facts("info", "lenet"), done("info", "lenet").stdout
    assert told["trained"] == weights.info("lenet")
    assert told["multiply_adds"] == models.summary(models.build("lenet")).multiply_adds
    assert repr(models.summary(models.build("lenet"))) in text
    assert "optimizer sgd" in text
    assert "There are no trained weights for it." in done("info", "arithmetic").stdout


# --- Faults: of files, of disks, of who types -------------------------------------------------

KIND = {
    "train --epohcs 3": "--epochs); python -m vizlib train --help lists what there is",
    "info lenet mlp": "extra argument(s) (mlp); python -m vizlib info --help lists",
    "--frob": "No such option: --frob; python -m vizlib --help lists what there is",
    "tset": "Did you mean 'test'?; python -m vizlib --help lists",
    "test --first 1.5": "Invalid value for '--first'",
    "train --seed 99999999999999999999999": "Invalid value for '--seed'",
    "train --seed -1": "Invalid value for '--seed'",
    "test --test-batch-size 99999999999999999999999": "Invalid value for '--test-batch-size'",
    "test --out confusion.pdf": "must end in .png",
    "read . --out seen.jpg": "must end in .png",
    "train --data digits --out file/below": "file/below/checkpoint.pt could not be written: Not a",
    "train --data digits --out file": "file/checkpoint.pt could not be written: File exists; ",
    "curves file": "file holds no training history",
    "train --weights file": "file is damaged or holds Python objects",
}


@pytest.mark.parametrize("arguments", KIND)
def test_a_slip_is_told_at_once_with_what_to_do(arguments):
    Path("file").write_text("text", encoding="utf-8")
    given = ["--data", "digits"] if arguments.startswith("test") else []
    result = CliRunner().invoke(app, [*arguments.split(), *given], prog_name="python -m vizlib")
    assert (result.exit_code, result.stdout) == (2, "")
    assert KIND[arguments] in result.stderr
    assert len(result.stderr.splitlines()) == 1  # no bar of a training before it


def test_the_version_is_the_packages():
    assert done("--version").stdout == f"vizlib {vizlib.__version__}\n"


def test_more_images_than_there_are_is_all_of_them():
    assert facts("test", *QUICK, "--first", 10**30)["images"] == 360


def strictly(text):
    """Read JSON as its standard has it, without Python's NaN and Infinity."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_json_is_json_where_a_history_has_numbers_that_are_none(tmp_path, monkeypatch):
    history = {"val_accuracy": [math.nan, 0.5], "val_loss": [math.inf, -math.inf]}
    path = tmp_path / "lenet.safetensors"
    weights.save(models.build("lenet"), path, accuracy=math.nan, history=history)
    monkeypatch.setattr(weights, "_FOLDERS", (tmp_path,))
    told = strictly(done("info", "lenet", "--json").stdout)["trained"]
    assert told["history"] == {"val_accuracy": [None, 0.5], "val_loss": [None, None]}
    assert strictly(done("info", "--json").stdout)[0]["accuracy"] is None


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("command", ["test", "maps"])
def test_weights_that_are_no_numbers_are_an_error(command, options):
    model = models.build("lenet")
    model.fc3.bias.data[3] = math.nan
    weights.save(model, "nan.safetensors")
    result = call(command, "-w", "nan.safetensors", "--data", "digits", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "nan.safetensors holds values that are not numbers" in result.stderr


def put_odd_entries(folder):
    """Between two photographs: what cannot be opened, each in its own way."""
    Path(folder, "b.png").mkdir()
    Path(folder, "c.png").symlink_to("gone")
    Path(folder, "d.png").write_bytes(b"no picture")
    Path(folder, "e.png").write_bytes(b"")
    os.mkfifo(Path(folder, "f.png"))


def test_a_folder_is_read_to_its_end_whatever_lies_in_it(photo):
    folder = Path("mixed")
    folder.mkdir()
    for name in ("a.png", "z.png"):
        Path(folder, name).write_bytes(photo.read_bytes())
    put_odd_entries(folder)
    result = call("read", folder)
    lines = result.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"mixed/{n}.png" for n in "abcdefz"]
    assert lines[0].removeprefix("mixed/a") == lines[-1].removeprefix("mixed/z")
    assert result.exit_code == 1
    rows = strictly(call("read", folder, "--json").stdout)["pictures"]
    assert [row["digit"] is None for row in rows] == [False, *[True] * 5, False]
    assert all(row.get("unread") for row in rows[1:-1])


@pytest.mark.parametrize("name", ["\x1b[2J.png", "\u202e.png", "\udc80.png", "two\nlines.png"])
def test_the_name_of_a_file_steers_no_terminal(photo, name):
    Path(name).write_bytes(photo.read_bytes())
    for arguments in (["read", name], ["read", f"{name}x"], ["test", "-w", f"{name}x"]):
        result = call(*arguments)
        assert not any(letter in result.output for letter in "\x1b\u202e\udc80")
        assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize("name", ["notes.txt", "gone.png"])
def test_a_file_that_cannot_be_read_is_told_by_the_exit_code(photo, name):
    Path("notes.txt").write_text("no picture", encoding="utf-8")
    assert call("read", name).exit_code == 1
    result = call("read", name, photo)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].startswith(f"{photo}: ")


def test_a_probability_is_never_all_or_nothing(photo):
    line = done("read", photo).stdout
    assert not re.search(r"\b1\.0|\b0\.000", line)
    assert re.fullmatch(rf"{photo}: \d \([<>]?0\.\d+\), else \d \([<>]?0\.\d+\)\n", line)


def many(photo, count=400):
    folder = Path("many")
    folder.mkdir()
    for number in range(count):
        Path(folder, f"{number:04}.png").write_bytes(photo.read_bytes())
    return folder


def test_ctrl_c_keeps_what_was_printed(photo):
    # More lines than a pipe holds: it cannot be over before it is stopped. And where the tests run
    # behind a shell's back, Ctrl-C is ignored, here as well if nobody says otherwise.
    start = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    start += "from vizlib.__main__ import main; main()"
    command = [sys.executable, "-c", start, "read", many(photo, 2000)]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as run:
        assert run.stdout.readline().startswith("many/0000.png: ")
        run.send_signal(signal.SIGINT)
        stdout, stderr = run.communicate(timeout=120)
    assert run.returncode == 130
    assert (told := re.fullmatch(r"vizlib: stopped after (\d+) of 2,000 pictures\n", stderr))
    assert len(stdout.splitlines()) == int(told[1]) - 1 < 1999


def test_ctrl_c_keeps_json_whole(photo, monkeypatch):
    ask, asked = handwriting.read, []

    def read(*arguments):
        asked.append(arguments)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return ask(*arguments)

    monkeypatch.setattr(handwriting, "read", read)
    result = call("read", many(photo), "--json")
    assert result.exit_code == 130
    assert len(strictly(result.stdout)["pictures"]) == 2
    assert result.stderr == "vizlib: stopped after 2 of 400 pictures\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_output_without_room_is_one_sentence(options):
    command = [sys.executable, "-m", "vizlib", "info", "mlp", *options]
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(command, stdout=full, stderr=-1, text=True, check=False)
    said = "vizlib: No space left on device: what was to be printed or written\n"
    assert (run.returncode, run.stderr) == (2, said)


def test_what_was_trained_is_kept_elsewhere_where_a_disk_is_full(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    Path("full").write_text("no folder", encoding="utf-8")
    model = models.build("mlp", seed=5)
    paths = _job.keep(model, History(network="mlp"), {}, Path("full"))
    assert same_numbers(weights.load_into(models.build("mlp"), paths["weights"]), model)
    assert History.load(paths["history"]).network == "mlp"
    assert "could not be written: " in (said := capsys.readouterr().err)
    assert f"what was trained goes to {Path(paths['weights']).parent}" in said


def same_numbers(one, two):
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("module", ["typer", "torch"])
def test_ctrl_c_during_an_import_is_no_traceback(tmp_path, module):
    """A module of that name, found before the real one, does as Ctrl-C while it is imported."""
    (tmp_path / f"{module}.py").write_text("raise KeyboardInterrupt", encoding="utf-8")
    paths = os.pathsep.join([str(tmp_path), str(Path(vizlib.__file__).parents[1])])
    run = subprocess.run(
        [sys.executable, "-m", "vizlib", "info"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "")


HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "<!--<script>", "&amp;'"]


@pytest.mark.parametrize("text", HOSTILE)
def test_names_are_only_text_in_the_index(text):
    """Read the page as a browser does: only our own elements and attributes, the name as text."""

    class Page(HTMLParser):
        tags, texts = set(), []

        def handle_starttag(self, tag, attributes):
            self.tags.add((tag, *sorted(name for name, _ in attributes)))

        def handle_data(self, text):
            self.texts.append(text)

    model = models.build("arithmetic")
    model.name = text
    picture = _atlas.Picture(torch.rand(1, 1, 5, 5), np.zeros((5, 5), np.uint8), text)
    _atlas.write(Path("maps"), model, picture, layers=None, scale="layer")
    page = Page()
    page.feed(Path("maps/index.html").read_text(encoding="utf-8"))
    allowed = {"html", "meta", "title", "style", "h1", "h2", "p", "b", "img"}
    allowed |= {"details", "summary", "div", "figure", "figcaption"}
    assert {tag for tag, *_ in page.tags} <= allowed
    assert {tag for tag in page.tags if tag[0] == "img"} == {("img", "alt", "loading", "src")}
    assert f"{text} looks at {text}" in page.texts


def test_a_file_name_that_is_no_text_is_no_error():
    model = models.build("arithmetic")
    picture = _atlas.Picture(torch.rand(1, 1, 5, 5), np.zeros((5, 5), np.uint8), "\udcff.png")
    _atlas.write(Path("maps"), model, picture, layers=None, scale="layer")
    assert "looks at ?.png" in Path("maps/index.html").read_text(encoding="utf-8")
