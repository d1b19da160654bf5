"""Train the networks that come with vizlib, and keep the table in weights/README.md true.

python weights/make.py train lenet mlp        # by their recipes, and save what was learnt
python weights/make.py train lenet --seeds 3  # three runs; the best on validation is kept
python weights/make.py table                  # read the saved files, test them, write README.md
"""

import statistics
from pathlib import Path
from typing import Annotated

import torch
import typer

from vizlib import data, models, recipes, train, weights
from vizlib.history import History

FOLDER = Path(__file__).resolve().parent
# The largest two, kept as 16-bit floats; their accuracy is that of what is kept.
HALF = {"mynetv1", "defaultnet"}
# Test accuracy in percent, as published with the networks; the best epoch was chosen on the test
# set there.
PUBLISHED = {
    "lenet": "99.22",
    "newnet": "99.52",
    "mlp": "97",
    "mlp500": "about 98",
    "cnn": "97",
    "myfullconvnet": "99.06",
    "mynetv1": "99.24",
    "mynetv2": "98.84",
    "myvggnet": "99.48",
}
TABLE = "<!-- table: python weights/make.py table -->"

app = typer.Typer(help=__doc__, rich_markup_mode=None)


@app.command("train")
def train_networks(
    names: Annotated[list[str] | None, typer.Argument(help="networks; all, if none")] = None,
    *,
    seeds: Annotated[int, typer.Option(help="how many runs, with the seeds 0, 1, …")] = 1,
) -> None:
    """Train networks by their recipes and save the run that is best on validation."""
    digits = data.load("mnist")
    for name in names or recipes.names():
        runs = [fitted(name, seed, digits) for seed in range(seeds)]
        ship(runs, digits)


def fitted(name: str, seed: int, digits: data.Digits) -> tuple[torch.nn.Module, History]:
    """Return the network after its recipe, and how the training went."""
    model = models.build(name, seed=seed)
    return model, train.fit(model, digits, seed=seed)


def ship(runs: list[tuple[torch.nn.Module, History]], digits: data.Digits) -> None:
    """Save the run that is best on validation, and what all of them reached."""
    runs = sorted(runs, key=lambda run: max(run[1].scores))
    for model, history in runs:
        if history.network in HALF:
            model.half().float()
    tests = {h.recipe["seed"]: train.evaluate(model, digits).accuracy for model, h in runs}
    model, history = runs[-1]
    facts = history.facts() | {
        "accuracy": tests[history.recipe["seed"]],
        "accuracy_by_seed": {str(seed): tests[seed] for seed in sorted(tests)},
    }
    path = FOLDER / f"{history.network}.safetensors"
    weights.save(model, path, half=history.network in HALF, **facts)
    print(f"{path.name}: {facts['accuracy']:.2%} on the test set")


@app.command()
def table() -> None:
    """Test every saved file and write the table into weights/README.md."""
    digits = data.load("mnist")
    readme = FOLDER / "README.md"
    head = readme.read_text(encoding="utf-8").split(TABLE)[0]
    lines = [
        "| network | parameters | epochs (best) | seed | validation | test | published |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *(row(name, digits) for name in weights.names()),
    ]
    seeds = [spread(name) for name in weights.names()]
    text = "\n".join([TABLE, "", *lines, "", *filter(None, seeds)]) + "\n"
    readme.write_text(head + text, encoding="utf-8")
    print(text)


def row(name: str, digits: data.Digits) -> str:
    """Return a network's line of the table, measured on the saved file."""
    model, facts = weights.load(name), weights.info(name)
    accuracy = train.evaluate(model, digits).accuracy
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return (
        f"| `{name}` | {parameters:,} | {facts['epochs']} ({facts['best_epoch']}) | "
        f"{facts['seed']} | {facts['val_accuracy']:.2%} | **{accuracy:.2%}** | "
        f"{PUBLISHED.get(name, '–')} |"
    )


def spread(name: str) -> str:
    """Return the mean and spread of a network's seeds in a sentence; nothing for a single seed."""
    tests = [100 * value for value in weights.info(name)["accuracy_by_seed"].values()]
    if len(tests) == 1:
        return ""
    each = ", ".join(f"{value:.2f}" for value in tests)
    mean, deviation = statistics.mean(tests), statistics.stdev(tests)
    return f"- `{name}`, {len(tests)} seeds: {each} %: mean {mean:.2f}, deviation {deviation:.2f}."


if __name__ == "__main__":
    app()
