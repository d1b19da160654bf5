"""The command line: `python -m vizlib train`, `test`, `maps`, `read` and more; `--help` lists all.

Results go to stdout, as text or with `--json` as JSON and nothing else; progress and complaints go
to stderr. Whatever is wrong with what was asked is said in one sentence, with exit code 2.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from vizlib import __version__, words
from vizlib.cli import _console, _grade, _look

if TYPE_CHECKING:
    from vizlib.history import History

_COMPARED = ("network", "epochs", "best_epoch", "val_accuracy", "accuracy")

# Heavy libraries are imported by the commands that need them: help is there at once.
app = typer.Typer(
    cls=_console.OneSentence,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"vizlib {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    *,
    version: Annotated[  # noqa: ARG001 - the callback has answered
        bool,
        Option("--version", callback=_say_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """See what every layer of a convolutional network does to a handwritten digit.

    \b
    Train a network, see how it went, and look inside:
      python -m vizlib train --model lenet --epochs 3
      python -m vizlib curves runs/lenet
      python -m vizlib maps --model lenet --image photo.jpg

    Every command explains itself, with examples: python -m vizlib train --help.
    """  # noqa: D301 - \b keeps the lines of an example apart
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def train(
    *,
    model: _console.Model = "lenet",
    epochs: Annotated[int | None, Option(help="Passes over the images.")] = None,
    batch_size: Annotated[int | None, Option(help="Images a step.")] = None,
    test_batch_size: _console.TestBatch = 500,
    learning_rate: Annotated[
        float | None, Option("--learning-rate", "--lr", help="The largest learning rate.")
    ] = None,
    gamma: Annotated[float | None, Option(help="Factor on the rate after each epoch.")] = None,
    schedule: Annotated[str | None, Option(help="onecycle, cosine, step, constant, …")] = None,
    optimizer: Annotated[str | None, Option(help="sgd, adam, adamw, adadelta, …")] = None,
    augment: Annotated[bool | None, Option(help="Turn, scale, shear and shift images.")] = None,
    precision: Annotated[str | None, Option(help="auto, float32 or bfloat16.")] = None,
    seed: Annotated[int, Option(min=0, max=2**63 - 1, help="Decides every random number.")] = 0,
    weights: Annotated[Path | None, Option("--weights", "-w", help="A file to start from.")] = None,
    resume: Annotated[bool, Option("--resume", help="Go on with the run in the folder.")] = False,
    out: _console.Folder = None,
    save: Annotated[bool, Option(help="Write weights, history and checkpoint.")] = True,
    dry_run: Annotated[bool, Option("--dry-run", help="One step, nothing written.")] = False,
    log_interval: Annotated[int, Option(min=0, help="Print the loss every so many steps.")] = 0,
    quiet: Annotated[bool, Option("--quiet", "-q", help="No progress bar.")] = False,
    data: _console.DataSet = "auto",
    device: _console.Device = "auto",
    no_gpu: _console.NoGpu = False,
    as_json: _console.Json = False,
) -> None:
    """Train a network and keep its best weights.

    What is not given comes from the network's own recipe. The best epoch is the one that reads
    most of the validation images right, which are held out of the training; the test images are
    read once, at the end. The bar shows how much time is left. Ctrl-C keeps the best so far, and
    --resume, with the same options, goes on later.

    \b
    LeNet to 99 %, in a minute or less:
      python -m vizlib train --model lenet --epochs 3
    As PyTorch's own example trains, for comparison:
      python -m vizlib train --optimizer adadelta --lr 1 --gamma 0.7 --no-augment
    Does everything work here?
      python -m vizlib train --model newnet --dry-run

    Into the folder go weights.safetensors, history.json and checkpoint.pt.
    """  # noqa: D301
    from vizlib import data as data_sets
    from vizlib.cli import _job
    from vizlib.train import evaluate, pick_device

    recipe = _job.plan(
        model,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        gamma=gamma,
        schedule=schedule,
        optimizer=optimizer,
        precision=precision,
        augment=augment,
    )
    target = pick_device("cpu" if no_gpu else device)
    network, digits = _job.untrained(model, seed, weights), data_sets.load(data)
    folder = (out or Path("runs") / model) if save and not dry_run else None
    history = _job.learn(
        network,
        digits,
        recipe,
        folder,
        dry_run=dry_run,
        resume=resume,
        log_interval=log_interval,
        seed=seed,
        device=target,
        progress=not quiet,
    )
    first = test_batch_size if dry_run else None
    metrics = evaluate(network.to(target), digits, first=first, batch_size=test_batch_size)
    facts = _job.facts(history, metrics)
    if folder and history.epochs:
        facts["files"] = _job.keep(network, history, facts, folder)
    _console.show(facts, _job.report(facts), as_json=as_json)


@app.command("test")
def measure(
    *,
    model: _console.Model = "lenet",
    weights: _console.Weights = None,
    first: Annotated[int | None, Option(help="Only so many of the test images.")] = None,
    test_batch_size: _console.TestBatch = 500,
    out: _console.OptionalPicture = None,
    data: _console.DataSet = "auto",
    device: _console.Device = "auto",
    no_gpu: _console.NoGpu = False,
    as_json: _console.Json = False,
) -> None:
    """Count what a trained network reads right.

    \b
    All 10,000, or the first 1,000:
      python -m vizlib test --model newnet
      python -m vizlib test --model lenet --first 1000
    A network of your own:
      python -m vizlib test --weights runs/lenet/weights.safetensors --out confusion.png
    """  # noqa: D301
    from vizlib import data as data_sets
    from vizlib import plots
    from vizlib.train import evaluate, pick_device

    network = _console.trained(model, weights).to(pick_device("cpu" if no_gpu else device))
    digits = data_sets.load(data)
    metrics = evaluate(network, digits, first=first, batch_size=test_batch_size)
    facts = {
        "network": model,
        "data": digits.name,
        "images": int(metrics.confusion.sum()),
        "accuracy": metrics.accuracy,
        "loss": metrics.loss,
        "confusion": metrics.confusion.tolist(),
    }
    if out:
        facts["picture"] = _console.save_picture(plots.confusion(metrics), out)
    _console.show(facts, _test_report(facts), as_json=as_json)


def _test_report(facts: dict[str, Any]) -> str:
    counts = facts["confusion"]
    pairs = [(counts[t][a], t, a) for t in range(10) for a in range(10) if t != a and counts[t][a]]
    often = [f"{t} read as {a}: {count}" for count, t, a in sorted(pairs, reverse=True)[:5]]
    wrong = sum(count for count, *_ in pairs)
    what = f"{facts['network']} on {facts['images']:,} test images of {facts['data']}"
    right = f"{words.percent(facts['accuracy'])} right, {wrong:,} wrong"
    return "\n".join([f"{what}: {right}, loss {facts['loss']:.4f}", *often])


@app.command()
def curves(
    *,
    source: Annotated[
        str, Argument(help="A folder of vizlib train, a history.json, or a network's name.")
    ],
    out: _console.Picture = Path("curves.png"),
    as_json: _console.Json = False,
) -> None:
    """Draw the loss and accuracy of a training.

    \b
      python -m vizlib curves runs/lenet --out curves.png
      python -m vizlib curves newnet
    """  # noqa: D301
    from vizlib import plots

    facts = _facts(source)
    path = _console.save_picture(plots.curves(_history(facts)), out)
    text = f"{source}: {facts['epochs']} epochs, best {facts['best_epoch']}; drawn to {path}"
    _console.show(_row(source, facts) | {"picture": path}, text, as_json=as_json)


@app.command()
def compare(
    *,
    sources: Annotated[
        list[str], Argument(help="Names of networks, folders of vizlib train, or both.")
    ],
    out: _console.Picture = Path("compare.png"),
    as_json: _console.Json = False,
) -> None:
    """Draw and list several trainings together.

    The curves are those on the validation images. The test accuracy is that of the best epoch,
    where it is known: for the networks that come with vizlib.

    \b
      python -m vizlib compare lenet newnet mlp
      python -m vizlib compare lenet runs/lenet --out mine.png
    """  # noqa: D301
    from vizlib import plots

    known = {source: _facts(source) for source in sources}
    histories = {source: _history(facts) for source, facts in known.items()}
    path = _console.save_picture(plots.curves(histories), out)
    rows = [_row(source, facts) for source, facts in known.items()]
    cells = [
        (
            *(row["source"], str(row["epochs"]), str(row["best_epoch"])),
            *(words.percent(row["val_accuracy"]), words.percent(row["accuracy"])),
        )
        for row in rows
    ]
    head = ("network", "epochs", "best", "validation", "test")
    text = f"{words.table([head, *cells])}\ndrawn to {path}"
    _console.show({"networks": rows, "picture": path}, text, as_json=as_json)


def _facts(source: str) -> dict[str, Any]:
    """Return what is known about a training, in the names of `History.facts`."""
    from vizlib import weights
    from vizlib.history import History

    if source in weights.names():
        return weights.info(source)
    path = Path(source) / "history.json" if Path(source).is_dir() else Path(source)
    if path.is_file():
        return History.load(path).facts()
    raise ValueError(
        f"{source} is neither a folder or file with a training's history, nor one of the networks "
        f"that come trained: {words.listed(weights.names())}"
    )


def _history(facts: dict[str, Any]) -> History:
    from vizlib.history import History

    return History(facts["network"], **facts["history"])


def _row(source: str, facts: dict[str, Any]) -> dict[str, Any]:
    return {"source": source} | {key: facts.get(key) for key in _COMPARED}


for command in (_look.maps, _look.read, _look.info, _grade.grade):
    app.command()(command)
