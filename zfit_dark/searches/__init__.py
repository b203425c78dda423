"""The searches: one module each, with a data file of the same name beside it.

A module in this folder is a search if its name has no leading underscore; nothing is registered.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from zfit_dark.errors import InputError
from zfit_dark.numbers import data_file
from zfit_dark.reading import read_yaml
from zfit_dark.searches._samples import PseudoData, Sample, unknown

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import numpy as np
    import numpy.typing as npt

    from zfit_dark.frequentist import Toys
    from zfit_dark.likelihood import Likelihood
    from zfit_dark.results import Exclusion, Fit, LifetimeScan, Plane, Projection, Scan

    FloatArray = npt.NDArray[np.float64]

__all__ = [
    "LifetimeSearch",
    "ModelSearch",
    "PlaneSearch",
    "PseudoData",
    "Sample",
    "Search",
    "load",
    "names",
    "title",
]


class Search(Protocol):
    """What every search module holds.

    ``data`` is a ROOT file, a mapping of mode to masses in GeV, a `Sample` of ``read``, or None
    for pseudo-data.
    """

    @property
    def NAME(self) -> str:  # noqa: N802 (a constant of the module)
        """Name of the module."""

    @property
    def TITLE(self) -> str:  # noqa: N802
        """What is searched for, in one line."""

    @property
    def MODES(self) -> tuple[str, ...]:  # noqa: N802
        """The decay modes."""

    @property
    def OBSERVABLE_LABEL(self) -> str:  # noqa: N802
        """Axis label of the mass of the candidates."""

    @property
    def LEVEL(self) -> float:  # noqa: N802
        """Confidence level if none is given."""

    @property
    def METHOD(self) -> str:  # noqa: N802
        """How limits are found if nothing else is said."""

    def generate(
        self,
        seed: int = ...,
        *,
        out: str | os.PathLike[str] | None = ...,
        inject: Iterable[tuple[float, float]] = ...,
        modes: Iterable[str] | None = ...,
    ) -> PseudoData:
        """Pseudo-data; written to a ROOT file if ``out`` is given."""

    def read(
        self,
        data: Any = ...,
        *,
        modes: Iterable[str] | None = ...,
        seed: int = ...,
        inject: Iterable[tuple[float, float]] = ...,
        branch: str = ...,
        trees: Mapping[str, str] | None = ...,
        cut: str | None = ...,
    ) -> Sample:
        """The candidates."""

    def likelihood(self, data: Any, *, modes: Iterable[str] | None = ...) -> Likelihood:
        """The simultaneous model of the modes with these candidates."""

    def masses(
        self,
        step: float = ...,
        low: float | None = ...,
        high: float | None = ...,
        *,
        modes: Iterable[str] | None = ...,
    ) -> FloatArray:
        """The mass hypotheses, in GeV."""

    def scan(
        self,
        data: Any = ...,
        *,
        level: float = ...,
        masses: npt.ArrayLike | None = ...,
        max_masses: int | None = ...,
        modes: Iterable[str] | None = ...,
        seed: int = ...,
        inject: Iterable[tuple[float, float]] = ...,
        cut: str | None = ...,
        blind: bool = ...,
        method: str = ...,
        toys: Toys | None = ...,
        global_toys: int = ...,
        checkpoint: str | os.PathLike[str] | None = ...,
        progress: bool = ...,
        executor: Executor | None = ...,
        shard: tuple[int, int] | None = ...,
    ) -> Scan:
        """The limits."""

    def project(
        self,
        data: Any = ...,
        luminosities: npt.ArrayLike = ...,
        *,
        level: float = ...,
        masses: npt.ArrayLike | None = ...,
        max_masses: int | None = ...,
        modes: Iterable[str] | None = ...,
        seed: int = ...,
        inject: Iterable[tuple[float, float]] = ...,
        cut: str | None = ...,
        blind: bool = ...,
        method: str = ...,
        toys: Toys | None = ...,
        progress: bool = ...,
        floor: float = ...,
    ) -> Projection:
        """The expected limits at other luminosities, in fb^-1."""

    def fits(
        self, sample: Sample, scan: Scan, *, count: int = ..., goodness_toys: int = ...
    ) -> list[Fit]:
        """The fits at a few masses of a scan of this sample."""

    def interpret(self, result: Any) -> Any:
        """The limits on a coupling of those of ``scan``, or of ``scan_lifetimes``."""

    def sources(self) -> str:
        """The numbers that went in, with their sources, as a table."""


@runtime_checkable
class LifetimeSearch(Search, Protocol):
    """A search for a particle of any lifetime; ``ctau`` is its proper decay length in cm."""

    def scan_lifetimes(
        self,
        data: Any = ...,
        *,
        level: float = ...,
        masses: npt.ArrayLike | None = ...,
        max_masses: int | None = ...,
        modes: Iterable[str] | None = ...,
        seed: int = ...,
        inject: Iterable[tuple[float, float]] = ...,
        cut: str | None = ...,
        blind: bool = ...,
        method: str = ...,
        toys: Toys | None = ...,
        progress: bool = ...,
        executor: Executor | None = ...,
        shard: tuple[int, int] | None = ...,
        lifetimes: npt.ArrayLike | None = ...,
        parts: str | os.PathLike[str] | None = ...,
    ) -> LifetimeScan:
        """The limits of all lifetimes."""


@runtime_checkable
class ModelSearch(LifetimeSearch, Protocol):
    """A search whose limits against lifetime are interpreted in more than one theory.

    Its scans take ``model``, one of `MODELS`, which ties the channels.
    """

    @property
    def MODELS(self) -> Mapping[str, Any]:  # noqa: N802
        """Theories that tie the channels."""

    def interpret(
        self, result: LifetimeScan, *, model: str = ..., channel: str | None = ...
    ) -> Exclusion:
        """The couplings that the limits exclude."""


@runtime_checkable
class PlaneSearch(ModelSearch, Protocol):
    """A search whose model has more parameters than a coupling and a mass."""

    def planes(
        self, result: LifetimeScan, *, model: str = ..., channel: str | None = ...
    ) -> list[Plane]:
        """What the limits exclude in planes of two parameters."""


def names() -> list[str]:
    """The names of all searches.

    >>> "b2kagg" in names()
    True
    """
    folder = str(Path(__file__).parent)
    return sorted(m.name for m in iter_modules([folder]) if not m.name.startswith("_"))


def load(name: str) -> Search:
    """The module of a search.

    Raises:
        InputError: there is no search of this name.
    """
    _check(name)
    return cast(Search, import_module(f"{__name__}.{name}"))


def title(name: str) -> str:
    """What a search looks for, in one line; its module is not loaded for that.

    Raises:
        InputError: there is no search of this name.
    """
    _check(name)
    return str(read_yaml(data_file(name))["title"])


def mass_label(name: str) -> str:
    """The mass that a search scans, as an axis names it; its module is not loaded for that.

    Raises:
        InputError: there is no search of this name.
    """
    _check(name)
    return str(read_yaml(data_file(name))["mass_label"])


def masses_to_show(scan: Scan, count: int) -> list[float]:
    """Up to ``count`` masses of a scan: the most significant one, and others spread evenly.

    A blind scan has no most significant one. Ascending, in GeV.
    """
    import numpy as np

    known = np.flatnonzero(scan.valid & np.isfinite(scan.p0))
    top = {int(known[np.argmin(scan.p0[known])])} if known.size else set()
    chosen = top | set(spread(len(scan.masses), count - len(top)))
    return [float(scan.masses[k]) for k in sorted(chosen)]


def spread(n: int, count: int) -> list[int]:
    """Up to ``count`` different indices below n, evenly spread from the first to the last.

    >>> spread(9, 3)
    [0, 4, 8]
    """
    import numpy as np

    if count >= n:
        return list(range(n))
    return [int(k) for k in np.linspace(0, n - 1, max(count, 0)).round()]


def _check(name: str) -> None:
    there: Sequence[str] = names()
    if name not in there:
        raise InputError(unknown("search", name, there))
