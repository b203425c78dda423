"""Limits that experiments published, as the package alpaca-ALPs holds them.

It comes with the extra ``zfit-dark[published]`` (Python 3.11 or newer). Only its data files are
read: the package is not imported, which would take long, and none of its limits stands here. What
the files are, with the confidence levels and papers, stands in ``literature.yaml``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from zfit_dark.errors import InputError
from zfit_dark.results import Exclusion, Interval, Published, Scan, Skipped
from zfit_dark.theory import alp, scalar
from zfit_dark.theory.couplings import coupling_limit
from zfit_dark.theory.exclusion import excluded_interval

FloatArray = npt.NDArray[np.float64]

__all__ = ["comparable", "couplings", "missing", "mixing_angles", "published"]

_PACKAGE = "alpaca-ALPs"
_FOLDER = "alpaca/experimental_data/visible"
_CM_PER_PS = 0.0299792458  # the speed of light, exact
_THETAS = (1e-7, 1.0)  # those that make sense


def published(search: str | None = None) -> tuple[Published, ...]:
    """Limits that experiments published, as the package alpaca-ALPs holds them.

    They are BaBar's on B⁺ → K⁺ a(γγ), prompt and displaced, and those of Belle II (ee, μμ) and LHCb
    (μμ) on long-lived particles in B → K(*) S. Some were digitised from figures by the authors of
    that package: `Published.origin` says which.

    Args:
        search: Name of the search of this package that looks for the same; None for all.

    Returns:
        One result a table, with masses in GeV and lifetimes ctau in cm.

    Raises:
        InputError: The package is not installed, lacks a file or has a damaged one, or there is
            nothing published for the search.

    Source: J. Alda et al., arXiv:2508.08354 (alpaca-ALPs); the papers are named in each result.
    """
    content = _content()
    if search not in (None, *_searches()):
        there = ", ".join(_searches())
        raise InputError(f"no published limits for {search!r}; there are for {there}")
    if lacking := missing():
        raise InputError(lacking)
    source = metadata.distribution(_PACKAGE)
    return tuple(
        _read(source, name, table, content["experiments"][table["experiment"]])
        for name, table in content["tables"].items()
        if search in (None, table["search"])
    )


@lru_cache
def _content() -> dict[str, Any]:
    content = yaml.safe_load(Path(__file__).with_name("literature.yaml").read_text("utf-8"))
    assert isinstance(content, dict)
    return content


def _searches() -> tuple[str, ...]:
    """The searches with published limits."""
    return tuple(sorted({table["search"] for table in _content()["tables"].values()}))


def missing() -> str:
    """What published limits lack to be read, in one line for an error or a plot; "" if nothing."""
    try:
        metadata.distribution(_PACKAGE)
    except metadata.PackageNotFoundError:
        return (
            f"published limits are in the package {_PACKAGE}, which is not installed: "
            "pip install 'zfit-dark[published]' (Python 3.11 or newer)"
        )
    return ""


def _read(
    source: metadata.Distribution, name: str, table: dict[str, Any], paper: dict[str, Any]
) -> Published:
    """The limits of a file, with what is known of them."""
    path = Path(str(source.locate_file(f"{_FOLDER}/{table['file']}")))
    if not path.is_file():
        raise InputError(f"{path}: not in {_PACKAGE} {source.version}; install version 1.2")
    try:
        masses, lifetimes, limits = _FORMATS[table["format"]](path)
        return Published(
            name=name,
            masses=masses,
            lifetimes=lifetimes,
            limits=limits,
            **{key: table[key] for key in _OF_A_TABLE},
            **{key: paper[key] for key in ("experiment", "reference", "inspire")},
            level=paper["level"]["value"],
            level_source=f"{paper['level']['status']}: {paper['level']['source']}",
            package=f"{_PACKAGE} {source.version}",
        )
    except Exception as error:  # numpy raises many kinds for damaged files
        raise InputError(f"{path}: damaged ({error}); install {_PACKAGE} again") from error


_OF_A_TABLE = ("process", "search", "mode", "poi", "poi_label", "origin")


def _bins(path: Path) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Masses, lifetimes and limits of rows of low mass, high mass and limit; for a prompt a."""
    low, high, limits = np.loadtxt(path, ndmin=2).T
    return 0.5 * (low + high), np.zeros(1), limits[None]


def _grid(path: Path) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The same of log₁₀(limit), with the masses below and log₁₀(τ/ps) on the right."""
    content = np.load(path, allow_pickle=False)
    if not isinstance(content, np.ndarray) or content.ndim != 2 or not content.size:
        raise InputError("it holds no table")
    if np.any(content[:-1, :-1] > 0):
        raise InputError("a branching fraction is larger than 1")
    lifetimes = 10.0 ** content[:-1, -1] * _CM_PER_PS
    order = np.argsort(lifetimes)
    return content[-1, :-1], lifetimes[order], 10.0 ** content[order, :-1]


_FORMATS: dict[str, Callable[[Path], tuple[FloatArray, FloatArray, FloatArray]]] = {
    "bins": _bins,
    "grid": _grid,
}


# -- what to draw beside a scan -------------------------------------------------------------


def comparable(scan: Scan) -> tuple[Published, ...]:
    """The published limits on what a scan of one of the searches limits, at its lifetime.

    Args:
        scan: Limits of `b2kagg` (those on g_aW too), or of a channel of `b2ks`.

    Returns:
        The limits; none if nothing is published on this.

    Raises:
        InputError: See `published`.
    """
    search, settings = scan.provenance.get("search"), scan.provenance.get("settings", {})
    if search not in _searches():
        return ()
    if scan.poi == "g_aW":
        return (couplings(*published(search)),)
    ctau = settings.get("ctau") or 0.0
    return tuple(
        limits.at(ctau)
        for limits in published(search)
        if limits.poi == scan.poi
        and (search == "b2kagg" or [limits.mode] == settings.get("modes"))  # there all are tied
        and (0.0 in limits.lifetimes) == (ctau == 0.0)
    )


# -- couplings ------------------------------------------------------------------------------


def couplings(*tables: Published, prompt_below_cm: float = 0.01) -> Published:
    """Limits on g_aW, the lifetime in them, from those on B(B⁺ → K⁺ a) B(a → γγ).

    At each mass of the table for a prompt a, `zfit_dark.theory.coupling_limit` solves
    B(m, g) = B_UL(m, ctau(m, g)), with limits at other lifetimes interpolated in mass. Above the
    last mass with one of those, the a is taken as prompt.

    Args:
        tables: Limits of one experiment, as `published` gives them; those for a prompt a have the
            lifetime 0.
        prompt_below_cm: Up to this ctau in cm an a counts as prompt; it is assumed.

    Returns:
        The limits in GeV⁻¹, NaN where there is none: that of the branching fraction is missing, or
        the coupling would be found beyond the lifetimes of the tables.

    Raises:
        InputError: No table is for a prompt a, or they are of different things.
    """
    lifetimes, masses, limits = _joined(tables)
    others = np.flatnonzero(np.isfinite(limits[1:]).any(axis=0))
    end = others[-1] + 1 if len(others) else 0
    found = np.concatenate(
        [
            [
                _coupling(mass, column, lifetimes, prompt_below_cm)
                for mass, column in zip(masses[:end].tolist(), limits[:, :end].T, strict=True)
            ],
            alp.coupling_from_branching_fraction("Kplus", masses[end:], limits[0, end:]),
        ]
    )
    first = tables[0]
    prompt = f"so does any a above {masses[end - 1]:.3g} GeV, where other lifetimes have no limits"
    return Published(
        name=f"{first.experiment.lower()}_g_aW",
        masses=masses,
        lifetimes=np.empty(0),
        limits=found[None],
        poi="g_aW",
        poi_label=r"$g_{aW}$",
        poi_unit=r"GeV$^{-1}$",
        **{key: getattr(first, key) for key in _OF_ALL},
        origin=f"{first.origin}; turned here into a coupling, with the lifetime that it implies",
        assumptions=(
            "every a decays to two photons",
            f"an a with ctau < {prompt_below_cm:g} cm counts as prompt",
            prompt if end else "so does any other",
        ),
    )


_OF_ALL = (
    "experiment",
    "process",
    "search",
    "mode",
    "level",
    "level_source",
    "reference",
    "inspire",
    "package",
)


def _joined(tables: Sequence[Published]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Lifetimes, masses and limits of all tables, at the masses of those for a prompt a."""
    prompt = [table for table in tables if 0.0 in table.lifetimes]
    if len(prompt) != 1:
        raise InputError(f"{len(prompt)} of the tables are for a prompt a; give one, and others")
    for table in tables:
        if any(getattr(table, key) != getattr(tables[0], key) for key in (*_OF_ALL, "poi")):
            raise InputError(f"{table.name} and {tables[0].name} are not limits on the same")
    masses = prompt[0].masses
    lifetimes = np.concatenate([table.lifetimes for table in tables])
    limits = np.concatenate([table.limits_at(masses) for table in tables])
    order = np.argsort(lifetimes)
    return lifetimes[order], masses, limits[order]


def _coupling(mass: float, limits: FloatArray, lifetimes: FloatArray, prompt_below: float) -> float:
    """The limit at a mass; NaN if the tables do not tell it."""
    try:
        found = coupling_limit(mass, limits, ctau_cm=lifetimes, prompt_below_cm=prompt_below)
    except InputError:
        return np.nan
    return found.limit


def mixing_angles(limits: Published) -> Exclusion:
    """The mixing angles θ of a dark scalar that limits on a long-lived S exclude.

    θ is excluded if `zfit_dark.theory.scalar` predicts more than the limit at the lifetime that θ
    implies, see `zfit_dark.theory.excluded_interval`. Nothing is excluded outside the lifetimes of
    the table. It can be drawn beside an exclusion of ours, with ``zfit_dark.plot.exclusion(...,
    others=[(limits.citation, mixing_angles(limits))])``.

    Args:
        limits: Those of a channel of `b2ks`, for more than one lifetime.

    Returns:
        The excluded intervals of θ against mass; no expected ones, for none are published. Masses
        where the limits or the model say nothing are skipped with the reason.

    Raises:
        InputError: The limits are on something else, or for one lifetime only.
    """
    if limits.search != "b2ks" or len(limits.lifetimes) < 2:
        raise InputError(f"{limits.name}: give limits on a long-lived S, at several lifetimes")
    kaon, _, final = limits.mode.partition("_")
    factor = _content()["tables"][limits.name]["over_product"]["value"]
    found: dict[float, tuple[Interval, ...]] = {}
    skipped = []
    for mass, column in zip(limits.masses.tolist(), limits.limits.T, strict=True):
        try:
            produced = scalar.branching_ratio_per_coupling_squared(kaon, mass)
            rate = factor * produced * scalar.decay_fraction(final, mass)
            unit_ctau = scalar.lifetime_ctau_cm(mass, 1.0)
        except InputError:
            skipped.append(Skipped(mass, "rate or lifetime are not known in this model"))
            continue
        found[mass] = _excluded(rate, unit_ctau, limits.lifetimes, column)
    return Exclusion(
        masses=np.array(list(found)),
        observed=tuple(found.values()),
        expected=((),) * len(found),
        valid=np.ones(len(found), dtype=np.bool_),
        coupling="theta",
        coupling_label=r"$\sin\theta$",
        model="dark scalar that mixes with the Higgs boson",
        assumptions=(
            f"limits: {limits.package}, {limits.origin}",
            "widths to hadrons are known to 5 % below 1 GeV, 20 % below 2 GeV, 50 % above",
        ),
        channels=(limits.mode,),
        level=limits.level,
        pseudo_data=False,
        skipped=tuple(skipped),
        provenance={"published": limits.citation, "package": limits.package},
    )


def _excluded(
    rate: float, unit_ctau: float, lifetimes: FloatArray, limits: FloatArray
) -> tuple[Interval, ...]:
    """The excluded θ at a mass, for a rate of ``rate θ²`` and a lifetime of ``unit_ctau/θ²``."""
    low = max(_THETAS[0], 0.99 * float(np.sqrt(unit_ctau / lifetimes[-1])))
    high = min(_THETAS[1], 1.01 * float(np.sqrt(unit_ctau / lifetimes[0])))
    if not low < high:
        return ()
    found = excluded_interval(
        lambda theta: rate * theta**2,
        lambda theta: unit_ctau / theta**2,
        (low, high),
        lifetimes,
        limits,
    )
    return tuple(
        Interval(each.low, each.high, each.low_edge == "crossing", each.high_edge == "crossing")
        for each in found
    )
