"""In the kernel of a lesson: what a cell shows as a view is written as a page, and framed.

The site is built so (`make_site.py`): a first cell of its own calls `keep`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from weakref import WeakKeyDictionary

from IPython import get_ipython

from vizlib.explore import _explorer

LARGEST = 12 << 20  # bytes of a page that a phone still opens
STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)
# A frame is as high as its page, and so the page may not measure itself by the frame: in one, a
# hundredth of the height of a "screen" is fixed, and the height that comes of it is told.
FRAMED = """<style>:root { --vh: 1vh; }</style>
<script>
if (parent !== window) {
  const root = document.documentElement;
  root.style.setProperty("--vh", `${Math.min(Math.max(screen.availHeight, 600), 900) / 100}px`);
  root.style.overflowY = "hidden";  // a bar would make the page narrower, and so lower
  const height = () => Math.ceil(root.getBoundingClientRect().height);
  const tell = () => parent.postMessage({ height: height() }, "*");
  new ResizeObserver(tell).observe(root);
}
</script>
"""


def keep(folder: str, lesson: str) -> None:
    """Write each view that a cell shows from now on into `folder`."""
    names: WeakKeyDictionary[_explorer.Explorer, str] = WeakKeyDictionary()

    def framed(view: _explorer.Explorer) -> str | None:
        name = names.setdefault(view, unused(Path(folder), f"{lesson}_{kind(view)}"))
        page = Path(folder) / f"{name}.html"
        return frame(page, repr(view)) if written(page, view.to_html) else None

    formatters = get_ipython().display_formatter.formatters
    formatters["text/html"].for_type(_explorer.Explorer, framed)
    # Nobody runs a cell here: the picture is the view's alone.
    formatters["image/png"].for_type(_explorer.Explorer, lambda view: view.figure().to_png())


def kind(view: _explorer.Explorer) -> str:
    """`layers` for a view that calls itself layers(lenet, 10 images)."""
    return re.match(r"\w+", repr(view)).group()


def unused(folder: Path, name: str) -> str:
    """A name that no page has yet: layers, layers-2, layers-3."""
    count = len(list(folder.glob(f"{name}.html"))) + len(list(folder.glob(f"{name}-*.html")))
    return f"{name}-{count + 1}" if count else name


def written(page: Path, write: Callable[..., object]) -> bool:
    """Write the page of a view, which computes or else shows what was recorded.

    Where both would be too large there is none, and the picture of the view stands in its place.
    """
    for how in ({}, {"recorded": True}):
        try:
            write(page, **how)
        except ValueError:  # the view itself says that it is too large
            continue
        if page.stat().st_size <= LARGEST:
            page.write_text(STYLE.sub(measured, page.read_text("utf-8")) + FRAMED, "utf-8")
            return True
        page.unlink()
    return False


def measured(style: re.Match[str]) -> str:
    """Return a style whose heights are shares of what a frame calls a screen."""
    return re.sub(r"\b([\d.]+)vh\b", r"calc(\1 * var(--vh))", style.group())


def frame(page: Path, title: str) -> str:
    """The page in a frame of the lesson's, and the way to it alone."""
    address = f"{page.parent.name}/{page.name}"
    return (
        f'<figure class="view"><iframe src="{address}" title="{escape(title)}" loading="lazy">'
        f'</iframe><figcaption><a href="{address}">this view alone</a></figcaption></figure>'
    )
