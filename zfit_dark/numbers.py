"""The numbers of a search: a YAML file in which every one carries its unit, source and status."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from zfit_dark.errors import InputError
from zfit_dark.reading import read_yaml

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Record(BaseModel):
    """A part of a data file: the fields that it declares, and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Sourced(Record):
    """Numbers with their unit ("" if they have none), source and status.

    The status is "read" (in the source), "derived" (from it), or "assumed" (so that an example
    runs).
    """

    unit: str
    source: Annotated[str, Field(min_length=1)]
    status: Literal["read", "derived", "assumed"]


class Number(Sourced):
    """One number."""

    value: Finite


class Range(Sourced):
    """An interval, low < high."""

    low: Finite
    high: Finite

    @model_validator(mode="after")
    def _is_ordered(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        return self


class Values(Sourced):
    """Numbers in ascending order."""

    value: Annotated[list[Finite], Field(min_length=1)]

    @model_validator(mode="after")
    def _ascends(self) -> Values:
        if any(b <= a for a, b in pairwise(self.value)):
            raise ValueError("the values must ascend")
        return self


class Curve(Sourced):
    """Values at ascending masses in GeV."""

    mass: list[Finite]
    value: list[Finite]

    @model_validator(mode="after")
    def _is_a_curve(self) -> Curve:
        _check_table(self.mass, {"value": self.value})
        return self


class Shape(Sourced):
    """A double-sided Crystal Ball at ascending masses in GeV."""

    mass: list[Finite]
    sigma: list[Finite]
    alphal: list[Finite]
    nl: list[Finite]
    alphar: list[Finite]
    nr: list[Finite]

    @property
    def table(self) -> dict[str, list[float]]:
        """The parameters by name, each a list as long as `mass`."""
        return {name: getattr(self, name) for name in ("sigma", "alphal", "nl", "alphar", "nr")}

    @model_validator(mode="after")
    def _is_a_table(self) -> Shape:
        _check_table(self.mass, self.table)
        return self


class Background(Sourced):
    """Smooth background: events, and the Bernstein coefficients of their density."""

    events: Annotated[Finite, Field(ge=0)]
    coefficients: Annotated[list[Annotated[Finite, Field(ge=0)]], Field(min_length=1)]


class Selection(Record):
    """The two variables of a B candidate: what is selected, and their resolutions."""

    mbc: Range
    delta_e: Range
    mbc_resolution: Number
    delta_e_resolution: Number


def _check_table(mass: list[float], columns: dict[str, list[float]]) -> None:
    if len(mass) < 2 or any(b <= a for a, b in pairwise(mass)):
        raise ValueError("mass must hold two or more ascending numbers")
    for name, values in columns.items():
        if len(values) != len(mass):
            raise ValueError(f"{name} holds {len(values)} numbers for {len(mass)} masses")


_R = TypeVar("_R", bound=Record)


def data_file(search: str) -> Path:
    """The data file that is shipped with a search."""
    return Path(__file__).parent / "searches" / f"{search}.yaml"


def load_numbers(path: Path, form: type[_R]) -> _R:
    """Read a data file and check that it has the form of a search.

    Raises:
        InputError: the file is missing, is no YAML, or is not of that form; the message names the
            first place that is wrong.
    """
    content = read_yaml(path)
    try:
        return form.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(key) for key in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        given = first["input"]
        if isinstance(given, str | int | float):
            what += f", not {given!r}"
        if first["type"] == "float_type" and _is_number(given):
            what += " (YAML reads 7.72e+8 as a number, 772e6 as text)"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise InputError(f"{path}: {place or 'the file'}: {what}{more}") from error


def table_of_sources(numbers: Record) -> str:
    """One line per number or group of numbers: name, value, unit, status, source."""
    rows = [("number", "value", "unit", "status", "source")]
    rows += [
        (row, value, entry.unit, entry.status, entry.source)
        for name, entry in _sourced(numbers, "")
        for row, value in _values(name, entry)
    ]
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    return "\n".join(
        "  ".join([*(row[k].ljust(widths[k]) for k in range(4)), row[4]]) for row in rows
    )


def _sourced(part: Any, name: str) -> Iterator[tuple[str, Sourced]]:
    if isinstance(part, Sourced):
        yield name, part
        return
    entries = part.items() if isinstance(part, dict) else dict(part).items()
    for key, entry in entries:
        if isinstance(entry, Record | dict):
            yield from _sourced(entry, f"{name}.{key}" if name else str(key))


def _values(name: str, entry: Sourced) -> Iterator[tuple[str, str]]:
    """The rows of an entry: its name and value, or those of each of its parts."""
    if isinstance(entry, Number):
        yield name, f"{entry.value:.6g}"
        return
    if isinstance(entry, Range):
        yield name, f"{entry.low:.6g} to {entry.high:.6g}"
        return
    for part, value in dict(entry).items():
        if isinstance(value, list):
            yield f"{name}.{part}", ", ".join(f"{number:.4g}" for number in value)
        elif isinstance(value, float):
            yield f"{name}.{part}", f"{value:.6g}"


def _is_number(given: Any) -> bool:
    try:
        float(given)
    except (TypeError, ValueError):
        return False
    return True
