"""Texts of results as safe HTML: labels, tables and lists."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

_SIGNS = {
    "to": "→",
    "rightarrow": "→",
    "times": "×",
    "cdot": "·",
    "pm": "±",
    "leq": "≤",
    "geq": "≥",
    "approx": "≈",
    "ell": "ℓ",
    "prime": "′",
    "ast": "*",
    "lambda": "λ",
    "Lambda": "Λ",
    "varepsilon": "ε",
    "varphi": "φ",
    "left": "",
    "right": "",
}
_COMMAND = re.compile(r"\\([a-zA-Z]+) ?")
_FONT = re.compile(r"\\(?:math[a-z]+|text|operatorname|boldsymbol|bar|overline|hat|tilde) *")
_ROOT = re.compile(r"\\sqrt *\{([^{}]*)\}")
_RAISED = re.compile(r"([_^]) *(?:\{([^{}]*)\}|(&\w+;|[^\s{}]))")
_TAGS = {"_": "sub", "^": "sup"}
_MANY = 20
"""Of more values than that the first and the last are shown."""


def markup(text: str) -> str:
    r"""A label, which may hold mathtext, as HTML that is safe to show.

    Greek letters, arrows and the like become characters, indices and exponents become ``sub`` and
    ``sup``; fonts and unknown commands are dropped or shown by name. A label with an unpaired
    dollar sign is shown as it is.

    >>> markup(r"$\mathcal{B}(B^+ \to K^{*0} a)$ & more")
    'B(B<sup>+</sup> → K<sup>*0</sup> a) &amp; more'
    """
    parts = escape(text, quote=False).split("$")
    if len(parts) % 2 == 0:
        return "$".join(parts)
    return "".join(_formula(part) if k % 2 else part for k, part in enumerate(parts))


def _formula(text: str) -> str:
    """The formula between two dollar signs, which is escaped already."""
    text = re.sub(r"\\[,;: ]|~", " ", text.replace(r"\!", "")).replace("'", "′")
    text = _COMMAND.sub(_sign, _ROOT.sub(r"√(\1)", _FONT.sub("", text))).replace("-", "−")
    found = 1
    while found:
        text, found = _RAISED.subn(_raised, text)
    return re.sub(r"[{}\\]", "", text)


def _sign(command: re.Match[str]) -> str:
    name = command[1]
    if name in _SIGNS:
        return _SIGNS[name] + (" " if _SIGNS[name] == "→" else "")
    try:
        case = "CAPITAL" if name[0].isupper() else "SMALL"
        return unicodedata.lookup(f"GREEK {case} LETTER {name.upper()}")
    except KeyError:
        return name


def _raised(index: re.Match[str]) -> str:
    tag = _TAGS[index[1]]
    return f"<{tag}>{index[2] if index[2] is not None else index[3]}</{tag}>"


# -- parts of a page ------------------------------------------------------------------------


def items(lines: Iterable[str]) -> str:
    """A list of texts, which may hold mathtext; those that begin with a space are indented."""
    entries = (
        f"<li{' class=inner' if line.startswith(' ') else ''}>{markup(line)}</li>" for line in lines
    )
    return f"<ul>{''.join(entries)}</ul>"


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    classes: Sequence[str] | None = None,
) -> str:
    """A table of texts.

    Args:
        columns: Their headings.
        rows: The cells of each row.
        classes: The class of each row, "" if it has none.
    """
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = []
    for k, row in enumerate(rows):
        kind = f' class="{classes[k]}"' if classes is not None and classes[k] else ""
        body.append(f"<tr{kind}>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>")
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def numbered(rows: Iterable[Sequence[str]]) -> tuple[list[str], list[list[int]]]:
    """The distinct cells of rows, and the rows as numbers of them: long tables become short.

    >>> numbered([["1", "yes"], ["2", "yes"]])
    (['1', 'yes', '2'], [[0, 1], [2, 1]])
    """
    numbers: dict[str, int] = {}
    found = [[numbers.setdefault(cell, len(numbers)) for cell in row] for row in rows]
    return list(numbers), found


def script_json(content: Mapping[str, Any]) -> str:
    """JSON that may stand between script tags: nothing in it can end them."""
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def sources_table(text: str) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the table that ``sources()`` of a search prints.

    >>> sources_table("number  value  status   source" + chr(10) + "n_bb    7e8    read     a book")
    (['number', 'value', 'status', 'source'], [['n_bb', '7e8', 'read', 'a book']])
    """
    head, *lines = text.splitlines() or [""]
    columns = head.split()
    starts = [head.index(name) for name in columns]
    ends = [*starts[1:], None]
    return columns, [
        [line[start:end].strip() for start, end in zip(starts, ends, strict=True)] for line in lines
    ]


def settings_rows(provenances: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Where results come from: each entry by its name, with all values that it has."""
    values: dict[str, dict[str, None]] = {}
    for provenance in provenances:
        for name, value in _entries(provenance, ""):
            values.setdefault(name, {})[value] = None
    return [(name, _joined(list(distinct))) for name, distinct in values.items()]


def _entries(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """(dotted name, value) of all that is in a provenance."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _entries(part, f"{name}.{key}" if name else key)
    elif isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
        for part in value:
            yield from _entries(part, name)
    elif value not in (None, "", []):
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _joined(values: list[str]) -> str:
    if len(values) <= _MANY:
        return "; ".join(values)
    return f"{values[0]}; …; {values[-1]} ({len(values)} different ones)"
