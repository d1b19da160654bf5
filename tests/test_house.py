"""The rules of the house: what may import what, how long things may be, what is never committed.

Each rule is a function from sources or files to a list of complaints. The first half holds the
rules against the repository, the second half holds each rule against something that breaks it.
"""

from __future__ import annotations

import ast
import io
import re
import statistics
import subprocess
import sys
import tokenize
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]

# A module imports only from its left.
ORDER = [
    *("words", "files", "models", "data", "weights", "history", "recipes", "train", "capture"),
    *("arithmetic", "features", "handwriting", "plots", "explore", "lessons", "cli"),
]
# The one module that may import a heavy library.
SOLE_IMPORTER = {
    "torchvision.datasets": "data",
    "sklearn": "data",
    "safetensors": "weights",
    "skimage": "features",
    "PIL": "handwriting",
    "matplotlib": "plots",
    "ipywidgets": "explore",
    "anywidget": "explore",
    "typer": "cli",
}
HOOKS = re.compile(r"register_\w*hook|Torch(Function|Dispatch)Mode")
DISTRIBUTION = {
    "IPython": "ipython",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
}
CONDA_NAME = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
SHAPELESS = {"util", "utils", "helper", "helpers", "common", "misc"}
MODULE_LINES, MEDIAN_FUNCTION_LINES = 250, 8
NOTEBOOK_BYTES, WEIGHTS_BYTES = 300_000, 30_000_000


# --- What a source imports -----------------------------------------------------------------


class Imports(ast.NodeVisitor):
    """Every module that a source names in an import, as `name -> is it needed only for types`."""

    def __init__(self, source: str) -> None:
        self.names: dict[str, bool] = {}
        self.bound: dict[str, str] = {}
        self.typing_only = False
        self.visit(tree := ast.parse(source))
        self.visit_uses(tree)

    def add(self, name: str) -> None:
        self.names[name] = self.names.get(name, True) and self.typing_only

    def visit_If(self, node: ast.If) -> None:
        outer = self.typing_only
        self.typing_only = outer or "TYPE_CHECKING" in ast.unparse(node.test)
        for child in node.body:
            self.visit(child)
        self.typing_only = outer
        for child in node.orelse:
            self.visit(child)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.add(alias.name)
            first = alias.name.split(".")[0]
            self.bound[alias.asname or first] = alias.name if alias.asname else first

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        here = "vizlib" if node.level == 1 else "?" if node.level else ""
        base = ".".join(part for part in (here, node.module) if part)
        for alias in node.names:
            self.add(f"{base}.{alias.name}")
            self.bound[alias.asname or alias.name] = f"{base}.{alias.name}"

    def visit_uses(self, tree: ast.AST) -> None:
        """Follow `import a` to `a.b.c`, and the calls that import: those need every binding."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and "." in (name := self.resolve(node)):
                if name.split(".")[0] in {bound.split(".")[0] for bound in self.names}:
                    self.names.setdefault(name, False)
            elif isinstance(node, ast.Call):
                called = self.resolve(node.func)
                if called in {"importlib.import_module", "__import__"}:
                    self.names[self.called_with(node)] = False

    def resolve(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return self.bound.get(node.id, "__import__" if node.id == "__import__" else "")
        if isinstance(node, ast.Attribute) and (base := self.resolve(node.value)):
            return f"{base}.{node.attr}"
        return ""

    @staticmethod
    def called_with(node: ast.Call) -> str:
        first = node.args[0] if node.args else None
        if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
            return "?"
        return f"vizlib{first.value}" if first.value.startswith(".") else first.value


def imported(source: str, *, types_too: bool = True) -> list[str]:
    names = Imports(source).names
    return sorted(name for name, typing_only in names.items() if types_too or not typing_only)


def owner(module: str) -> str:
    """The idea that a module is a part of: `plots` for `plots._style`."""
    return "cli" if module == "__main__" else module.split(".", maxsplit=1)[0]


# --- The rules -----------------------------------------------------------------------------


def unknown_modules(sources: dict[str, str]) -> list[str]:
    known = {"__init__", *ORDER}
    return [
        f"{module} is not in the table of modules"
        for module in sources
        if owner(module) not in known or not all(part[0] == "_" for part in module.split(".")[1:])
    ]


def wrong_direction(sources: dict[str, str]) -> list[str]:
    return [
        f"{module} must not import {target}"
        for module, source in sources.items()
        for target in sorted({imported_part(n) for n in imported(source) if is_ours(n)})
        if not may_import(module, target)
    ]


def is_ours(name: str) -> bool:
    first, _, rest = name.partition(".")
    return first == "vizlib" and rest.split(".")[0] in {*ORDER, "__main__", "*"}


def imported_part(name: str) -> str:
    """`plots` for `vizlib.plots.images`, and `plots._style` for anything in that."""
    parts = name.split(".")[1:3]
    return ".".join(parts) if parts[-1].startswith("_") else parts[0]


def may_import(module: str, target: str) -> bool:
    if owner(module) == owner(target):
        return True
    if "." in target or target in {"__main__", "*"} or owner(module) not in ORDER:
        return False
    return ORDER.index(target) < ORDER.index(owner(module))


def wrong_importer(sources: dict[str, str]) -> list[str]:
    """A name that is imported for types alone costs nothing when the program runs."""
    return [
        f"{module} must not import {library}: {sole} does"
        for module, source in sources.items()
        for library, sole in SOLE_IMPORTER.items()
        if owner(module) != sole
        and any(within(name, library) for name in imported(source, types_too=False))
    ]


def within(name: str, library: str) -> bool:
    return name == library or name.startswith(f"{library}.")


def hidden_imports(sources: dict[str, str]) -> list[str]:
    return [
        f"{module} hides what it imports: {name}"
        for module, source in sources.items()
        for name in imported(source)
        if name.startswith("?") or name.endswith(".*")
    ]


def undeclared(sources: dict[str, str], declared: set[str]) -> list[str]:
    known = {*sys.stdlib_module_names, "vizlib", "?"}
    firsts = {name.split(".")[0] for source in sources.values() for name in imported(source)}
    return sorted(
        f"{first} is imported and pyproject.toml does not say so"
        for first in firsts - known
        if DISTRIBUTION.get(first, first) not in declared
    )


def strange_hooks(sources: dict[str, str]) -> list[str]:
    return [
        f"{module} uses {found.group()}: hooks are capture's"
        for module, source in sources.items()
        if owner(module) != "capture" and (found := HOOKS.search(code_only(source)))
    ]


def pyplot_state(sources: dict[str, str]) -> list[str]:
    return [
        f"{module} uses pyplot, which keeps every figure and shows it where it likes"
        for module, source in sources.items()
        if any("pyplot" in name or "pylab" in name for name in imported(source))
        or (owner(module) == "plots" and shows(source))
    ]


def shows(source: str) -> bool:
    calls = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return any(isinstance(call, ast.Attribute) and call.attr == "show" for call in calls)


def too_long(sources: dict[str, str]) -> list[str]:
    sizes = {module: len(code_lines(source)) for module, source in sources.items()}
    return [
        f"{module} has {size} lines of code: two ideas"
        for module, size in sizes.items()
        if size > MODULE_LINES
    ]


def median_function(sources: dict[str, str]) -> float:
    lengths = [length for source in sources.values() for length in function_lengths(source)]
    return statistics.median(lengths) if lengths else 0


def function_lengths(source: str) -> list[int]:
    """How many lines of code the body of each function has."""
    lines = code_lines(source)
    return [
        len([line for line in lines if node.body[0].lineno <= line <= node.end_lineno])
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def code_lines(source: str) -> set[int]:
    """The numbers of the lines that hold code: no blank line, no comment, no docstring."""
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in {*layout, tokenize.ENDMARKER}:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines - docstring_lines(source)


def docstring_lines(source: str) -> set[int]:
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    lines: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            lines.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def code_only(source: str) -> str:
    kept = code_lines(source)
    numbered = enumerate(source.splitlines(), start=1)
    return "\n".join(line for number, line in numbered if number in kept)


def shapeless(paths: list[Path]) -> list[str]:
    return [
        f"{path} is named after nothing in particular"
        for path in paths
        if SHAPELESS & set(path.with_suffix("").name.lower().strip("_").split("_"))
        or SHAPELESS & set(path.parts[:-1])
    ]


def never_committed(sizes: dict[str, int]) -> list[str]:
    limits = {".ipynb": NOTEBOOK_BYTES, ".safetensors": WEIGHTS_BYTES}
    mnist = [f"{path} is part of MNIST" for path in sizes if "-ubyte" in path]
    large = [
        f"{path} has {size:,} bytes"
        for path, size in sizes.items()
        if size >= limits.get(Path(path).suffix, size + 1)
    ]
    return mnist + large


def registry_hosts(texts: dict[str, str]) -> list[str]:
    # Put together here, so that this file does not name them either.
    hosts = ["py" + "pi.org", "python" + "hosted.org", "ana" + "conda.org", "npm" + "js."]
    hosts += ["download.py" + "torch.org", "jsde" + "livr.net", "un" + "pkg.com"]
    return [
        f"{path} names {host}" for path, text in texts.items() for host in hosts if host in text
    ]


def requirement(line: str) -> tuple[str, str]:
    """Take `name[extra] >=1,<2` apart into `name` and its sorted range."""
    name, span = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?\s*(.*)", line.strip()).groups()
    return name.lower(), ",".join(sorted(span.replace(" ", "").split(",")))


def declared_in(project: dict, *extras: str) -> list[tuple[str, str]]:
    table = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for extra in extras for line in table[extra])]
    return [pair for pair in map(requirement, lines) if pair[0] != "vizlib"]


def out_of_step(project: dict, environment: dict) -> list[str]:
    wanted = {CONDA_NAME.get(name, name): span for name, span in declared_in(project, "lab")}
    lines = [line for line in environment["dependencies"] if isinstance(line, str)]
    given = {name: span for name, span in map(requirement, lines) if name not in {"python", "pip"}}
    return [
        f"{name}: pyproject.toml says {wanted.get(name)}, environment.yml {given.get(name)}"
        for name in sorted(wanted.keys() | given.keys())
        if wanted.get(name) != given.get(name)
    ]


def without_reason(text: str, item: str) -> list[str]:
    return [
        line
        for line in text.splitlines()
        if re.match(item, line) and not re.search(r"\s# \S", line)
    ]


# --- The repository keeps them -------------------------------------------------------------


def tracked() -> list[Path]:
    """What git would commit; in an archive without git's folder, everything but what is built."""
    if (ROOT / ".git").exists():
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        done = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
        paths = [Path(name) for name in done.stdout.decode().split("\0") if name]
        return [path for path in paths if (ROOT / path).is_file()]
    built = {".venv", "data", "build", "dist", "__pycache__"}
    paths = [path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file()]
    return [path for path in paths if not built & set(path.parts)]


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    folder = ROOT / "vizlib"
    paths = folder.rglob("*.py")
    return {dotted(path.relative_to(folder)): path.read_text("utf-8") for path in paths}


def dotted(path: Path) -> str:
    """`plots` for plots/__init__.py, `plots._style` for plots/_style.py."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module")
def environment() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))


@pytest.mark.parametrize(
    "rule",
    [
        unknown_modules,
        wrong_direction,
        wrong_importer,
        hidden_imports,
        strange_hooks,
        pyplot_state,
        too_long,
    ],
)
def test_modules_keep_the_rule(rule, sources):
    assert rule(sources) == []


def test_every_import_is_declared(sources, project):
    assert undeclared(sources, {name for name, _ in declared_in(project)}) == []


def test_functions_are_short(sources):
    assert median_function(sources) < MEDIAN_FUNCTION_LINES


def test_files_are_named_after_something():
    assert shapeless([path for path in tracked() if path.suffix == ".py"]) == []


def test_nothing_large_and_no_mnist_is_committed():
    assert never_committed({str(path): (ROOT / path).stat().st_size for path in tracked()}) == []


def test_no_text_names_a_registry():
    binary = {".png", ".safetensors", ".gif", ".jpg"}
    paths = [path for path in tracked() if path.suffix not in binary]
    assert registry_hosts({str(path): (ROOT / path).read_text("utf-8") for path in paths}) == []


def test_conda_and_pip_agree(project, environment):
    assert out_of_step(project, environment) == []
    assert environment["channels"] == ["conda-forge"]
    assert environment["dependencies"][-1] == {"pip": ["-e ."]}


def test_conda_pins_a_python_that_the_package_accepts(project, environment):
    python = next(line for line in environment["dependencies"] if line.startswith("python"))
    minor = int(re.fullmatch(r"python=3\.(\d+)", python).group(1))
    low, high = map(int, re.findall(r"3\.(\d+)", project["requires-python"]))
    assert low <= minor < high


def test_the_workflow_runs_what_ci_runs_on_every_python_that_the_package_accepts(project):
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text("utf-8"))
    job = workflow["jobs"]["test"]
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    low, high = map(int, re.findall(r"3\.(\d+)", project["requires-python"]))
    assert job["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in range(low, high)]


def test_each_dependency_is_stated_once_and_within_bounds(project):
    pairs = declared_in(project, *project["optional-dependencies"])
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names))
    assert [name for name, span in pairs if not re.fullmatch(r"<\d+,>=[\d.]+", span)] == []


def test_each_dependency_and_each_exception_has_its_reason():
    assert without_reason((ROOT / "pyproject.toml").read_text("utf-8"), r'\s+"') == []
    assert without_reason((ROOT / "environment.yml").read_text("utf-8"), r"\s+- ") == []


# --- Each rule can fail --------------------------------------------------------------------

SPELLINGS = [
    "import {0}",
    "import {0} as c",
    "import os, {0}",
    "from {0} import anything",
    "from {1} import {2}",
    "from {1} import {2} as c",
    "import {1}\n{1}.{2}.anything()",
    "import {1} as a\na.{2}.anything()",
    "def f():\n    import {0}",
    "try:\n    import {0}\nexcept ImportError:\n    pass",
    "import importlib\nimportlib.import_module('{0}')",
    "import importlib as i\ni.import_module('{0}')",
    "from importlib import import_module\nimport_module('{0}')",
    "from importlib import import_module as load\nload('{0}')",
    "__import__('{0}')",
]
OUR_SPELLINGS = [
    "from . import {2}",
    "from . import {2} as c",
    "from .{2} import anything",
    "from importlib import import_module\nimport_module('.{2}', 'vizlib')",
]


def spelled(spelling: str, name: str) -> str:
    parent, _, last = name.rpartition(".")
    return spelling.format(name, parent, last)


@pytest.mark.parametrize("spelling", SPELLINGS + OUR_SPELLINGS)
def test_every_spelling_of_an_import_to_the_right_is_found(spelling):
    source = spelled(spelling, "vizlib.plots")
    assert wrong_direction({"capture": source}) == ["capture must not import plots"]
    assert wrong_direction({"explore": source}) == []


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_heavy_import_is_found(spelling):
    source = spelled(spelling, "torchvision.datasets")
    complaint = "models must not import torchvision.datasets: data does"
    assert wrong_importer({"models": source}) == [complaint]
    assert wrong_importer({"data": source}) == []


@pytest.mark.parametrize("library", SOLE_IMPORTER)
def test_each_heavy_library_has_one_importer(library):
    importers = [name for name in ORDER if not wrong_importer({name: f"import {library}.x"})]
    assert importers == [SOLE_IMPORTER[library]]


def test_torchvision_itself_is_not_its_datasets():
    assert wrong_importer({"models": "from torchvision.models import alexnet"}) == []


def test_types_may_be_named_anywhere_but_only_as_types():
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import matplotlib.figure\n"
    assert wrong_importer({"explore": typed}) == []
    assert wrong_importer({"explore": f"{typed}else:\n    import matplotlib.figure\n"}) != []
    assert wrong_direction({"models": typed.replace("matplotlib.figure", "vizlib.plots")}) != []


def test_the_parts_of_a_module_are_its_own():
    for spelling in ("from vizlib.plots import _style", "import vizlib.plots._style"):
        assert wrong_direction({"explore": spelling}) == ["explore must not import plots._style"]
        assert wrong_direction({"plots._maps": spelling, "plots": spelling}) == []
    assert wrong_direction({"plots._maps": "from vizlib import explore"}) != []


def test_owned_modules_are_their_owners_alone():
    assert wrong_direction({"cli": "from vizlib import __main__"}) == []
    assert wrong_direction({"explore": "from vizlib import __main__"}) != []
    assert wrong_direction({"__main__": "from vizlib import explore, cli"}) == []
    assert wrong_importer({"__main__": "import typer"}) == []


def test_the_package_itself_imports_none_of_its_modules():
    assert wrong_direction({"__init__": "from vizlib import models"}) != []


def test_an_unknown_module_is_found():
    assert unknown_modules({"models": "", "models._network": ""}) == []
    for name in ("_secret", "secret", "models.public"):
        assert unknown_modules({name: ""}) == [f"{name} is not in the table of modules"]


@pytest.mark.parametrize(
    "source",
    [
        "from vizlib.models import *",
        "import importlib\nimportlib.import_module(name)",
        "__import__(name)",
        "from ..elsewhere import x",
    ],
)
def test_a_hidden_import_is_found(source):
    assert hidden_imports({"data": source}) != []


def test_an_undeclared_import_is_found():
    source = "import os\nimport torch.nn\nfrom PIL import Image\nimport captum.attr"
    complaints = undeclared({"capture": source}, {"torch", "pillow"})
    assert complaints == ["captum is imported and pyproject.toml does not say so"]


def test_a_strange_hook_is_found():
    source = "def f(m):\n    m.register_forward_hook(print)"
    assert strange_hooks({"arithmetic": source}) != []
    assert strange_hooks({"capture": source, "plots": "# register_forward_hook"}) == []


@pytest.mark.parametrize(
    "source",
    [
        "import matplotlib.pyplot as plt",
        "from matplotlib import pyplot",
        "import matplotlib\nmatplotlib.pyplot.figure()",
        "from matplotlib.pyplot import subplots",
        "def f(figure):\n    figure.show()",
    ],
)
def test_pyplot_is_found(source):
    assert pyplot_state({"plots": source}) != []
    assert pyplot_state({"plots": "from matplotlib.figure import Figure"}) == []


def test_lines_of_code_are_neither_comments_nor_docstrings():
    top = '"""A.\n\nB.\n"""\n\n# why\nx = """two\nlines"""\n'
    source = f'{top}\n\ndef f():\n    """D."""\n    return x\n'
    assert code_lines(source) == {7, 8, 11, 13}
    assert function_lengths(source) == [1]


def test_a_long_module_and_long_functions_are_found():
    assert too_long({"models": "x = 1\n" * 250}) == []
    assert too_long({"models": "x = 1\n" * 251}) == ["models has 251 lines of code: two ideas"]
    longer = "def f():\n" + "    x = 1\n" * 8
    assert median_function({"models": longer}) == MEDIAN_FUNCTION_LINES


@pytest.mark.parametrize("name", ["utils.py", "plot_utils.py", "vizlib/helpers.py", "common/x.py"])
def test_a_shapeless_name_is_found(name):
    assert shapeless([Path("tests/test_models.py"), Path(name)]) != []
    assert shapeless([Path("tests/test_models.py")]) == []


def test_large_files_and_mnist_are_found():
    assert never_committed({"a.ipynb": 299_999, "b.safetensors": 29_999_999, "c.png": 10**9}) == []
    assert len(never_committed({"a.ipynb": 300_000, "b.safetensors": 30_000_000})) == 2
    assert never_committed({"raw/t10k-labels-idx1-ubyte.gz": 1}) != []


def test_a_registry_is_found():
    assert (
        registry_hosts({"README.md": "pip install --index-url https://py" + "pi.org/simple"}) != []
    )


def test_conda_out_of_step_is_found(project, environment):
    lines = environment["dependencies"]
    assert out_of_step(project, {"dependencies": [*lines, "captum >=0.8,<1"]}) != []
    assert out_of_step(project, {"dependencies": [x for x in lines if "numpy" not in x]}) != []
    wider = ["numpy >=1,<3" if "numpy" in x else x for x in lines]
    assert out_of_step(project, {"dependencies": wider}) != []


def test_a_missing_reason_is_found():
    assert without_reason('    "torch>=2,<3",\n', r'\s+"') == ['    "torch>=2,<3",']
    assert without_reason('    "torch>=2,<3",  # why\n', r'\s+"') == []
