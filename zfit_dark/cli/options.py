"""Options that commands share, and what their texts mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zfit_dark.errors import InputError

if TYPE_CHECKING:
    from zfit_dark.searches import Search

Name = Annotated[str, typer.Argument(help="Name of a search, see 'list'.", show_default=False)]
Inject = Annotated[
    list[str] | None,
    typer.Option(
        "--inject",
        metavar="MASS:EVENTS",
        help="Put a signal into the pseudo-data, with so many events expected in the first mode. "
        "May be given again.",
        show_default=False,
    ),
]
Modes = Annotated[
    str | None,
    typer.Option(
        "--modes", "--channel", metavar="MODE,...", help="Decay modes.", show_default="all"
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="For long-lived particles: the theory that ties channels, or that limits are "
        "interpreted in.",
        show_default=False,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FILE",
        help="ROOT file with one tree per mode.",
        show_default="pseudo-data",
    ),
]
Level = Annotated[
    float | None,
    typer.Option("--level", help="Confidence level.", show_default="that of the search"),
]
Masses = Annotated[
    str | None,
    typer.Option(
        "--masses",
        metavar="M,M,...|LOW:HIGH",
        help="Mass hypotheses: single ones, or a range in steps of the resolution.",
        show_default="all",
    ),
]
MaxMasses = Annotated[
    int | None,
    typer.Option(
        "--max-masses",
        metavar="N",
        help="Scan N of the hypotheses, spread evenly.",
        show_default="all",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", help="Seed of the pseudo-data.", show_default="1"),
]
Blind = Annotated[bool, typer.Option("--blind", help="Expected limits only, from the sidebands.")]
Method = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help="How limits are found: asymptotic, toys, exact, or auto.",
        show_default="that of the search",
    ),
]
Ctau = Annotated[
    float | None,
    typer.Option(
        "--ctau",
        metavar="CM",
        help="For long-lived particles: the proper decay length in cm.",
        show_default="that of the search",
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="Show nothing but errors.", show_default=False)
]


def hypotheses(
    search: Search, ranges: list[tuple[float, float | None]], modes: list[str] | None
) -> list[float]:
    """Single masses, and those of a search in ranges."""
    masses: list[float] = []
    for low, high in ranges:
        masses += [low] if high is None else search.masses(low=low, high=high, modes=modes).tolist()
    return masses


def ranges(text: str | None) -> list[tuple[float, float | None]] | None:
    """Masses, and ranges of masses, of an option such as ``0.5,1:1.2``."""
    if text is None:
        return None
    found: list[tuple[float, float | None]] = []
    for part in text.split(","):
        low, colon, high = part.partition(":")
        found.append((number("--masses", low), number("--masses", high) if colon else None))
    return found


def shard(text: str | None) -> tuple[int, int] | None:
    """Number of a shard, and how many there are, of an option such as ``3/40``."""
    if text is None:
        return None
    k, slash, n = text.partition("/")
    if not (slash and k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        raise InputError(f"--shard {text!r}: give K/N, K from 1 to N")
    return int(k), int(n)


def signals(texts: list[str] | None) -> list[tuple[float, float]]:
    """Masses and events of options such as ``0.5:20``."""
    return [
        (number("--inject", mass), number("--inject", events))
        for mass, events in pairs("--inject", texts, ":", "MASS:EVENTS")
    ]


def pairs(option: str, texts: list[str] | None, sign: str, form: str) -> list[tuple[str, str]]:
    """What stands before and after a sign, in an option that may be given again."""
    found = []
    for text in texts or []:
        first, between, second = text.partition(sign)
        if not (between and first.strip() and second.strip()):
            raise InputError(f"{option} {text!r}: give {form}")
        found.append((first.strip(), second.strip()))
    return found


def names(text: str | None) -> list[str] | None:
    """Names between commas."""
    return None if text is None else [name.strip() for name in text.split(",")]


def number(option: str, text: str) -> float:
    """A number in the text of an option."""
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{option}: {text!r} is not a number") from error
