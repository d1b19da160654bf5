"""Numbers and names as they stand in texts, spelled in one way everywhere.

>>> short(-1234.5), percent(0.995), share(0.9999), times((6, 24, 24)), counted(2, "layer")
('−1,230', '99.50 %', '>0.999', '6×24×24', '2 layers')
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Sequence

_LONG = 1e6  # from here on a number is shorter as a power of ten


def short(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits and a true minus sign.

    >>> [short(v) for v in (-0.0, -0.5, 12.345, 1234.5, 1e-7)]
    ['0', '−0.5', '12.3', '1,230', '1e−07']
    """
    text = f"{value + 0.0:.{digits}g}"  # minus zero plus zero is zero
    if "e+" in text and abs(value) < _LONG:
        text = f"{float(text):,.0f}"
    return text.replace("-", "−")


def percent(value: float | None) -> str:
    """Return a share in 0…1 in percent, with two decimals, and a dash for what is not known.

    Only 1 itself is 100.00 %, and only 0 is 0.00 %.

    >>> [percent(v) for v in (0.995, 0.999999, 1.0, 0.00001, None)]
    ['99.50 %', '>99.99 %', '100.00 %', '<0.01 %', '–']
    """
    if value is None:
        return "–"
    text = f"{value:.2%}".replace("%", " %")
    if text == "100.00 %" and value < 1:
        return ">99.99 %"
    return "<0.01 %" if text == "0.00 %" and value > 0 else text


def share(value: float) -> str:
    """Return a probability with three decimals; softmax gives no 0 and no 1, so neither do we.

    >>> share(0.25), share(0.00049), share(1.0)
    ('0.250', '<0.001', '>0.999')
    """
    text = f"{value:.3f}"
    return {"0.000": "<0.001", "1.000": ">0.999"}.get(text, text)


def times(sizes: Iterable[int]) -> str:
    """Return a shape as we say it.

    >>> times((6, 24, 24))
    '6×24×24'
    """
    return "×".join(map(str, sizes))


def counted(number: int, thing: str) -> str:
    """Return the number and the thing, in the plural where it is not one.

    >>> counted(1, "layer"), counted(12_000, "image")
    ('1 layer', '12,000 images')
    """
    return f"{number:,} {thing}{'s' * (number != 1)}"


def listed(names: Iterable[object], most: int = 40) -> str:
    """Return names with commas between them, and a count in place of those after the `most`-th.

    >>> listed(["conv1", "relu1", "pool1"], most=2), listed([])
    ('conv1, relu1 and 1 more', 'none')
    """
    texts = list(map(str, names))
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more or "none"


def table(rows: Iterable[Sequence[str]], texts: int | None = None) -> str:
    """Return rows of texts in aligned columns, those after the first `texts` to the right.

    >>> print(table([("network", "images"), ("lenet", "10,000"), ("mlp", "–")], texts=1))
    network  images
    lenet    10,000
    mlp           –
    """
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    places = [f"<{w}" if texts is None or n < texts else f">{w}" for n, w in enumerate(widths)]
    lines = ("  ".join(map(format, row, places)).rstrip() for row in rows)
    return "\n".join(lines)


def numbered(names: Iterable[str]) -> list[str]:
    """Return the names, with a number behind one that was there before.

    >>> numbered(["lenet", "mlp", "lenet"])
    ['lenet', 'mlp', 'lenet (2)']
    """
    found: list[str] = []
    for name in names:
        again = (f"{name} ({count})" for count in itertools.count(2))
        found.append(name if name not in found else next(n for n in again if n not in found))
    return found


def unknown(what: str, name: object, names: Sequence[str], tail: str = "choose from") -> str:
    """Return the sentence for a name that nothing has, with the closest one and a list of all.

    >>> unknown("network", "lenett", ["lenet", "mlp"])
    "no network is called 'lenett'; did you mean 'lenet'? choose from lenet, mlp"
    """
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"no {what} is called {name!r}; {hint}{tail} {listed(names)}"
