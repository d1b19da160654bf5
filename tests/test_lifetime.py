"""A view is freed when nobody holds it, when it is closed, and when its cell runs again."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from ipywidgets import Widget
from torch import nn

from vizlib import data, explore, models
from vizlib.history import History

DIGITS = data.load("digits")
IMAGES = DIGITS.test.images[:3]
EXPLORERS = {
    "layers": lambda model: explore.layers(model, IMAGES),
    "pixel": lambda model: explore.pixel(model, IMAGES),
    "switch_off": lambda model: explore.switch_off(model, IMAGES),
    "compare": lambda model: explore.compare([model, model], IMAGES),
    "convolution": lambda model: explore.convolution(model, IMAGES),
    "epochs": lambda model: explore.epochs(
        History(network="lenet", snapshots={0: model.state_dict()}), IMAGES[0]
    ),
    "draw": explore.draw,
    "upload": explore.upload,
    "training": lambda model: explore.training(model, DIGITS, epochs=1),
}


@pytest.fixture(params=EXPLORERS)
def explorer(request):
    return EXPLORERS[request.param]


@pytest.fixture
def model():
    return models.build("lenet", seed=0)


def living_widgets():
    gc.collect()
    return sum(issubclass(type(each), Widget) for each in gc.get_objects())


def test_a_view_that_nobody_holds_is_freed_at_once_with_all_its_widgets(explorer, model):
    before = living_widgets()
    gc.disable()
    try:
        view = weakref.ref(explorer(model))
        assert view() is None
    finally:
        gc.enable()
    assert living_widgets() == before


def test_a_closed_view_holds_neither_widgets_nor_network(explorer):
    before = living_widgets()
    model = models.build("lenet", seed=0)
    view, network = explorer(model), weakref.ref(model)
    name = repr(view)
    view.close()
    view.close()
    del model
    # The view itself with its layout and its canvas, which whoever holds the view holds.
    assert living_widgets() - before < 40
    assert repr(view) == name
    del view
    assert living_widgets() == before
    assert network() is None


def test_a_closed_view_says_so(model):
    for explorer in (explore.layers, explore.pixel, explore.switch_off):
        view = explorer(model, IMAGES)
        view.close()
        with pytest.raises(ValueError, match="this view is closed; make it anew"):
            view.figure()


NETWORK_VIEWS = ("layers", "pixel", "switch_off", "draw", "upload", "epochs")


@pytest.mark.parametrize("name", NETWORK_VIEWS)
def test_a_closed_view_still_says_where_it_stood(model, name, tmp_path):
    view = EXPLORERS[name](model)
    place = view.where
    view.close()
    assert view.where == place
    assert f"channel={place.channel}" in view.state
    for ask in (view.recording, lambda: view.probabilities, lambda: view.to_html(tmp_path / "a")):
        with pytest.raises(ValueError, match="this view is closed; make it anew"):
            ask()


def test_a_view_is_freed_although_its_figure_failed():
    model = nn.Sequential(nn.Conv2d(1, 2, 3))
    view = weakref.ref(explore.pixel(model, torch.full((1, 1, 8, 8), torch.nan)))
    gc.collect()
    assert view() is None


def test_no_kind_of_view_takes_the_style_of_another(model):
    # A notebook keeps one style for each of these names: that of the view which came last.
    styles = {}
    for explorer in EXPLORERS.values():
        view = explorer(model)
        name, style = view._canvas.get_state(["_anywidget_id", "_css"]).values()
        assert styles.setdefault(name, style) == style, name
    assert len(styles) == 5


def test_a_view_in_a_box_lives_as_long_as_the_box(model):
    from ipywidgets import VBox

    box = VBox([explore.layers(model, IMAGES)])
    gc.collect()
    [view] = box.children
    assert view.figure()
    assert view.comm is not None


# --- In a kernel, where IPython and the browser hold what they have shown ---------------------

SETUP = """
import gc, psutil, torch, torchvision, weakref
from IPython.display import display
from vizlib import data, explore, models
images = data.load("digits").test.images[:8]
photo = torch.randn(1, 3, 64, 64)
process = psutil.Process()
def size():
    gc.collect()
    return process.memory_info().rss / 2**20
def held():
    from ipywidgets import Widget
    gc.collect()
    return sum(issubclass(type(each), Widget) for each in gc.get_objects())
def lenet():
    return models.build("lenet", seed=0)
def resnet():
    return torchvision.models.resnet18(weights=None).eval()
networks = []
def view(model=None):
    model = model or lenet()
    networks.append(weakref.ref(model))
    return explore.layers(model, images)
def living():
    gc.collect()
    return sum(network() is not None for network in networks)
"""


@pytest.fixture
def kernel():
    """Run cells, each again as often as wished, and return what the last run printed."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook()
    client = NotebookClient(notebook, timeout=500, kernel_name="python3")
    with client.setup_kernel():

        def run(source, times=1):
            notebook.cells.append(nbformat.v4.new_code_cell(source))
            for _ in range(times):
                cell = client.execute_cell(notebook.cells[-1], len(notebook.cells) - 1)
            return "".join(output.get("text", "") for output in cell.outputs)

        run(SETUP)
        yield run


def test_the_view_of_a_cell_is_freed_when_the_cell_runs_again(kernel):
    kernel("view()", times=4)
    assert kernel("print(living())") == "1\n"
    kernel("display(view()); display(view())", times=3)
    assert kernel("print(living())") == "3\n"
    kernel("kept = view(); kept", times=2)
    assert kernel("print(living())") == "4\n"


def test_a_view_that_somebody_holds_or_another_cell_shows_lives_on(kernel):
    kernel("mine = view()")
    kernel("mine", times=3)
    kernel("if living() == 1: display(mine)", times=2)
    assert kernel("print(living(), mine.comm is not None, mine.figure())").startswith("1 True Fig")


@pytest.mark.slow
@pytest.mark.parametrize("end", ["", ".close()"], ids=["dropped", "closed"])
def test_many_views_leave_the_kernel_as_large_as_it_was(kernel, end):
    kernel(f"for _ in range(10): explore.layers(lenet(), images){end}")
    before = float(kernel("print(size())"))
    kernel(f"for _ in range(200): explore.layers(lenet(), images){end}")
    assert float(kernel("print(size())")) - before < 20
    # A ResNet-18 holds 45 MB. What the allocator keeps for itself comes and goes by as much.
    kernel(f"for _ in range(3): explore.layers(resnet(), photo){end}")
    before = float(kernel("print(size())"))
    kernel(f"for _ in range(20): explore.layers(resnet(), photo){end}")
    assert float(kernel("print(size())")) - before < 20 * 45 / 4
