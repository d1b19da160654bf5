import pytest
import torch
from torch import nn

from vizlib import models, recipes
from vizlib.recipes import Recipe


def rates(recipe, steps_per_epoch=10):
    """The learning rate of every step, read off the optimizer while it steps."""
    optimizer = recipe.make_optimizer(nn.Linear(2, 2))
    schedule = recipe.make_schedule(optimizer, steps_per_epoch)
    values = []
    for _ in range(recipe.epochs * steps_per_epoch):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return values


def test_one_cycle_warms_up_and_ends_at_nothing():
    values = rates(Recipe(epochs=4, learning_rate=0.1))
    assert max(values) == pytest.approx(0.1)
    assert 5 <= values.index(max(values)) <= 12
    assert values[0] < 0.01
    assert values[-1] < 1e-4


def test_step_multiplies_by_gamma_after_each_epoch():
    values = rates(Recipe(epochs=3, learning_rate=0.8, schedule="step", gamma=0.5))
    assert values == pytest.approx([0.8] * 10 + [0.4] * 10 + [0.2] * 10)


def test_cosine_follows_the_cosine():
    values = torch.tensor(rates(Recipe(epochs=2, learning_rate=1.0, schedule="cosine")))
    expected = (1 + torch.cos(torch.pi * torch.arange(20) / 20)) / 2
    torch.testing.assert_close(values, expected, atol=1e-6, rtol=0)


def test_constant_stays():
    assert rates(Recipe(epochs=2, learning_rate=0.3, schedule="constant")) == [0.3] * 20


@pytest.mark.parametrize(
    ("name", "kind"),
    [("sgd", torch.optim.SGD), ("AdamW", torch.optim.AdamW), ("adadelta", torch.optim.Adadelta)],
)
def test_any_optimizer_by_name(name, kind):
    optimizer = Recipe(optimizer=name, learning_rate=0.25).make_optimizer(nn.Linear(2, 2))
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_any_torch_schedule_by_name():
    recipe = Recipe(
        epochs=2, learning_rate=1.0, schedule="ExponentialLR", schedule_options={"gamma": 0.5}
    )
    assert rates(recipe, 2) == [1.0, 0.5, 0.25, 0.125]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"optimizer": "sdg"},
            r"no optimizer is called 'sdg'; did you mean 'sgd'\? choose from .*adamw.*sgd",
        ),
        ({"schedule": "cosin"}, r"'cosin'; did you mean 'cosine'\? choose from onecycle, cosine"),
        (
            {"optimizer": "lbfgs"},
            "no optimizer is called 'lbfgs'; choose from (?!.*(lbfgs|sparse|_))",
        ),
        ({"schedule": "_lrscheduler"}, "choose from (?!.*(_|reducelronplateau))"),
        (
            {"schedule": "LambdaLR"},
            r"'LambdaLR' needs other schedule_options than \{\}: .*lr_lambda",
        ),
        ({"epochs": -1}, "epochs must be at least 0, but was -1"),
        ({"batch_size": 0}, "batch_size must be at least 1, but was 0"),
        ({"learning_rate": -0.1}, "learning_rate must be at least 0, but was -0.1"),
        ({"learning_rate": float("nan")}, "learning_rate must be at least 0, but was nan"),
        ({"optimizer": torch.optim.AdamW}, "optimizer must be a name, such as 'sgd'"),
        ({"schedule": None}, "schedule must be a name, .* but was None"),
        ({"precision": "half"}, "precision is auto, float32 or bfloat16, but was 'half'"),
    ],
)
def test_what_cannot_train_is_refused(changes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        rates(Recipe().changed(**changes))


def test_another_optimizer_drops_the_options_of_the_first():
    changed = recipes.recipe("lenet").changed(optimizer="AdamW", learning_rate=0.003)
    assert isinstance(changed.make_optimizer(nn.Linear(1, 1)), torch.optim.AdamW)
    assert changed.optimizer_options == {}
    same = recipes.recipe("lenet").changed(optimizer="SGD", epochs=2)
    assert same.optimizer_options["momentum"] == 0.9
    own = recipes.recipe("lenet").changed(optimizer="adamw", optimizer_options={"eps": 1e-6})
    assert own.optimizer_options == {"eps": 1e-6}


def test_every_trained_network_has_its_recipe():
    plain = recipes.recipe("a network of your own")
    for name in ("lenet", "newnet", "mlp"):
        assert recipes.recipe(name) != plain
        recipes.recipe(name).make_optimizer(models.build(name))


def test_no_recipe_makes_a_processor_emulate_a_precision():
    assert {recipes.recipe(name).precision for name in recipes.names()} == {"auto"}
