"""JupyterLab on a copy of the notebooks, and a browser to drive it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pages import Page, soon

ROOT = Path(__file__).parents[1]
TOKEN = "classroom"  # noqa: S105 - the server lives for one test and listens to this machine only
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# A sandbox needs rights that a container or root does not have; nothing is opened but our own.
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
CALM = {"@jupyterlab/apputils-extension/notification": {"fetchNews": "false"}}
PATIENCE = 120_000  # milliseconds: how long a notebook may take here, with the tests beside it


@dataclass
class Lab:
    """A running JupyterLab: where it is, and the folder that it shows."""

    address: str
    folder: Path

    def url(self, name: str) -> str:
        # A workspace of its own: the shared one would open what an earlier test left open.
        workspace = Path(name).stem
        return f"{self.address}/lab/workspaces/{workspace}/tree/{name}?token={TOKEN}"


@dataclass
class OpenNotebook:
    """A notebook on a page of the browser, and what the page complained about."""

    page: object
    complaints: list[str] = field(default_factory=list)

    def run_all(self) -> None:
        """Run every cell, as the Run menu does, and wait for the end or the first error."""
        self.page.evaluate(RUN_ALL)
        self.page.wait_for_function("() => window.allRan", timeout=PATIENCE)

    def errors(self) -> list[str]:
        """The name and the message of every error under a cell."""
        return self.page.evaluate(ERRORS)

    def counts(self) -> list[int | None]:
        """The number that each code cell ran as; None for one that did not run."""
        return self.page.evaluate(COUNTS)

    def ask(self, code: str) -> str:
        """Run code in the kernel, and return what it prints."""
        return self.page.evaluate(ASK, code)

    def tells(self, code: str, expected: str) -> None:
        """Wait until the code prints this: what the browser did reaches the kernel later."""
        soon(self._tells, code, expected)

    def _tells(self, code: str, expected: str) -> None:
        assert self.ask(code) == expected

    def screenshot(self, name: str) -> None:
        """Save the page to $VIZLIB_SCREENSHOTS, if somebody wants to look."""
        if folder := os.environ.get("VIZLIB_SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"{name}.png")


# What ran and what failed is asked of JupyterLab itself: the page paints cells when they come into
# view, and long texts piece by piece.
NOTEBOOK = "window.jupyterapp.shell.currentWidget.content.model.toJSON()"
CODE = f"{NOTEBOOK}.cells.filter(cell => cell.cell_type === 'code')"
RUN_ALL = """() => {
  window.allRan = false;
  const run = window.jupyterapp.commands.execute("notebook:run-all-cells");
  run.finally(() => { window.allRan = true; });
}"""
ASK = """async code => {
  const { kernel } = window.jupyterapp.shell.currentWidget.context.sessionContext.session;
  const asked = kernel.requestExecute({ code });
  let said = "";
  asked.onIOPub = ({ content }) => { said += content.text ?? content.evalue ?? ""; };
  await asked.done;
  return said.trim();
}"""
COUNTS = f"() => {CODE}.map(cell => cell.execution_count)"
ERRORS = f"""() => {CODE}.flatMap(cell => cell.outputs)
  .filter(output => output.output_type === "error")
  .map(output => `${{output.ename}}: ${{output.evalue}}`)"""
# The status bar alone knows: elsewhere a kernel is idle before there is one.
KERNEL_IDLE = r"""() => {
  const texts = [...document.querySelectorAll(".jp-StatusBar-TextItem, .jp-StatusBar-Widget *")]
    .map(item => item.textContent.trim());
  return texts.some(text => text.endsWith("| Idle") && !text.startsWith("No Kernel"));
}"""


def find_chromium() -> str | None:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    return found or playwrights_own()


def playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).is_file() else None


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Chromium without a window; skips where there is none."""
    from playwright.sync_api import sync_playwright

    path = find_chromium()
    if path is None:
        pytest.skip("there is no Chromium: install your system's package, named chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=path,
            args=CHROMIUM_FLAGS,
            # Readers have scrollbars, and 15 pixels less of a page than a test without them.
            ignore_default_args=["--hide-scrollbars"],
        )
        yield running
        running.close()


@pytest.fixture
def opened(browser, tmp_path) -> Iterator[Callable[..., Page]]:
    """Write a view as a page and open it, perhaps at an address, in a window of some size."""
    contexts = []

    def opened(view, address="", size=(1280, 720), *, recorded=False) -> Page:
        width, height = size
        contexts.append(browser.new_context(viewport={"width": width, "height": height}))
        path = view.to_html(tmp_path / f"{len(contexts)}.html", recorded=recorded)
        return Page(contexts[-1].new_page(), path, address)

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Iterator[Lab]:
    """JupyterLab as it is on its first day: no settings, no history, a copy of the notebooks."""
    home = tmp_path_factory.mktemp("lab")
    folder = home / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder)
    port = free_port()
    with (home / "log").open("w+") as log:
        server = subprocess.Popen(
            command(port, folder), env=surroundings(home), stdout=log, stderr=log
        )
        try:
            wait_for_server(f"http://127.0.0.1:{port}", server, home / "log")
            yield Lab(f"http://127.0.0.1:{port}", folder)
        finally:
            server.terminate()
            server.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(port: int, folder: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        "--expose-app-in-browser",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={folder}",
    ]


def surroundings(home: Path) -> dict[str, str]:
    for plugin, settings in CALM.items():
        file = home / "settings" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings), "utf-8")
    own = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    return {**os.environ, **{name: str(home / part) for name, part in own.items()}}


def wait_for_server(address: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/api?token={TOKEN}", timeout=5).close()  # noqa: S310
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"JupyterLab did not start; it said:\n{log.read_text('utf-8')}")


@pytest.fixture
def open_notebook(lab, browser) -> Iterator[Callable[[str], OpenNotebook]]:
    """Open a notebook by its file name, on a screen as a projector has."""
    contexts = []

    def opened(name: str) -> OpenNotebook:
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 720}))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        notebook = OpenNotebook(page)
        page.on("console", lambda said: noted(notebook, said))
        page.on("pageerror", lambda error: notebook.complaints.append(str(error)))
        page.goto(lab.url(name))
        page.wait_for_function(KERNEL_IDLE, timeout=PATIENCE)
        return notebook

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def run_cells(lab, open_notebook) -> Callable[..., OpenNotebook]:
    """Open a notebook of these cells, run the script `before` on its page, then every cell."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    def ran(*sources: str, before: str = "() => {}") -> OpenNotebook:
        cells = [new_code_cell(source) for source in sources]
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        nbformat.write(new_notebook(cells=cells, metadata=metadata), lab.folder / "new.ipynb")
        notebook = open_notebook("new.ipynb")
        notebook.page.evaluate(before)
        notebook.run_all()
        assert notebook.errors() == []
        return notebook

    return ran


def noted(notebook: OpenNotebook, said: object) -> None:
    if said.type == "error":
        notebook.complaints.append(f"{said.text} ({said.location.get('url', '')})")


@pytest.fixture(scope="session")
def embedded() -> object:
    """The digits that every machine has."""
    from vizlib import data

    return data.load("digits")


@pytest.fixture(scope="module")
def lenet() -> object:
    """LeNet with weights of such a size that the probabilities differ."""
    from vizlib import models

    model = models.build("lenet", seed=0).eval()
    for parameter in model.parameters():
        parameter.data *= 1.7
    return model


@pytest.fixture(scope="session")
def mnist() -> object:
    """MNIST from the disk; skips where it is not."""
    from vizlib import data

    try:
        return data.load("mnist", download=False)
    except FileNotFoundError:
        pytest.skip("MNIST is not here: set VIZLIB_DATA to the folder that holds it")
