"""Run the notebooks again and save them, so that running twice gives the same bytes.

    python tests/save_notebooks.py          all of them
    python tests/save_notebooks.py 00 06    those whose names begin so

What depends on the moment stays out: times, widget models that died with their kernel, the exact
Python. Every widget leaves its picture and its text.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from vizlib import data

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
# Who opens the notebook runs it with the Python that is there.
KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}


def chosen(beginnings: list[str]) -> list[Path]:
    """Return the notebooks whose names begin with one of these; all of them for none."""
    files = sorted(NOTEBOOKS.glob("**/[0-9]*.ipynb"))
    files = [file for file in files if ".ipynb_checkpoints" not in file.parts]
    if not beginnings:
        return files
    found = [file for file in files if file.name.startswith(tuple(beginnings))]
    return found or sys.exit(f"no notebook begins with {' or '.join(beginnings)}")


def execute(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Run every cell in a fresh kernel; raise nbclient's CellExecutionError where one fails."""
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
    )
    return client.execute()


def canonical(notebook: NotebookNode) -> NotebookNode:
    """Keep what the notebook says, and nothing of when and where it was run."""
    notebook.metadata = NotebookNode(kernelspec=KERNEL, language_info={"name": "python"})
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = NotebookNode({"tags": tags} if tags else {})
        if cell.cell_type == "code":
            cell.outputs = [kept for output in joined(cell.outputs) if (kept := lasting(output))]
    return notebook


def lasting(output: NotebookNode) -> NotebookNode | None:
    """Drop the view of a widget, which needs a kernel, and an output that was nothing else."""
    if "data" not in output:
        return output
    output.metadata.pop(WIDGET, None)
    output.data.pop(WIDGET, None)
    return output if output.data else None


def joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring pieces of one stream: where they are cut depends on the clock."""
    result: list[NotebookNode] = []
    for output in outputs:
        if result and is_same_stream(result[-1], output):
            result[-1].text += output.text
        else:
            result.append(output)
    return result


def is_same_stream(first: NotebookNode, second: NotebookNode) -> bool:
    """Whether both outputs are text of the same stream."""
    return first.output_type == second.output_type == "stream" and first.name == second.name


def save(path: Path) -> None:
    """Run one notebook and write it back."""
    notebook = execute(nbformat.read(path, as_version=4), path.parent)
    path.write_text(nbformat.writes(canonical(notebook)) + "\n", "utf-8")
    sys.stdout.write(f"{path.name}: {path.stat().st_size / 1000:.0f} kB\n")


def main() -> None:
    """Save the notebooks named on the command line; refuse without MNIST."""
    if data.load().name != "mnist":
        sys.exit("The notebooks are saved as they look on MNIST: set VIZLIB_DATA to its folder.")
    for path in chosen(sys.argv[1:]):
        save(path)


if __name__ == "__main__":
    main()
