"""Likelihoods, limits and fits of idm."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zfit_dark import projecting, scanning
from zfit_dark.channel import CountingChannel, Nuisance, Veto
from zfit_dark.errors import InputError
from zfit_dark.frequentist import Toys
from zfit_dark.likelihood import Likelihood
from zfit_dark.projecting import LUMINOSITIES
from zfit_dark.results import Fit, LifetimeScan, Projection, Scan
from zfit_dark.searches import Sample
from zfit_dark.searches._hypotheses import chosen_masses, where, whole_range, within
from zfit_dark.searches._samples import made_folder, sample_of, unknown
from zfit_dark.searches._scans import (
    Asked,
    at_lifetime,
    check_poi,
    fits_of,
    provenance,
)
from zfit_dark.searches.idm.samples import masses as _grid
from zfit_dark.searches.idm.samples import read
from zfit_dark.searches.idm.signal import (
    LIFETIMES,
    MODELS,
    NAME,
    NUMBERS,
    best_lifetime,
    candidate_range,
    events_per_fb,
    lifetime_factor,
    mass_range,
    product_label,
    resolution,
    tied_events,
)

FloatArray = npt.NDArray[np.float64]

LEVEL = 0.95
METHOD = "auto"
_PRODUCT = "sigma_bf"
_SUM = "sigma_bf_sum"


def likelihood(
    data: Any,
    *,
    modes: Iterable[str] | None = None,
    ctau: float = 1.0,
    model: str | None = None,
) -> Likelihood:
    """The model of one final state, or of several that a scalar ties.

    Candidates near the hypothesis are counted, those in sidebands tell the background;
    K⁰_S → π⁺π⁻ is vetoed. Luminosity and efficiency are uncertain in all final states alike, the
    identification of the pair in each by itself.

    Args:
        data: A `Sample`, or what `read` takes.
        modes: Some of `MODES`; None for all.
        ctau: Proper decay length of the h′ in cm.
        model: "scalar" ties the final states: the parameter of interest is then the sum of their
            products, see `tied_events`. None for the product of a single one; several are tied.

    Raises:
        InputError: see `read`; or the model is unknown.
    """
    sample, chosen = sample_of(data, modes, read)
    model = _tie(chosen, model)
    events = _events(model)
    return _model(sample, chosen, model).rescaled(
        {mode: partial(events, mode, ctau=ctau) for mode in chosen}
    )


def _tie(modes: tuple[str, ...], model: str | None) -> str | None:
    """What ties the final states; None for a single one."""
    if model is not None and model not in MODELS:
        raise InputError(unknown("model", model, MODELS))
    return "scalar" if len(modes) > 1 else model


def _events(model: str | None) -> Callable[..., float]:
    """Signal events for a parameter of interest of 1 fb."""
    return events_per_fb if model is None else tied_events


@lru_cache(maxsize=2)
def _model(sample: Sample, modes: tuple[str, ...], model: str | None) -> Likelihood:
    """The model of a sample, for the best lifetime of the h′ at each mass."""
    events, poi = _events(model), _PRODUCT if model is None else _SUM
    return Likelihood([_channel(mode, sample.values[mode], events) for mode in modes], poi=poi)


def _channel(mode: str, values: FloatArray, events: Callable[..., float]) -> CountingChannel:
    numbers, veto = NUMBERS.final_states[mode], NUMBERS.veto
    return CountingChannel(
        mode,
        values,
        signal=resolution(mode),
        window=NUMBERS.window.value,
        sidebands=(NUMBERS.sidebands.low, NUMBERS.sidebands.high),
        signal_per_poi=partial(_at_best, events, mode),
        limits=candidate_range(mode),
        vetoes=(Veto(veto.low, veto.high, "K⁰_S → π⁺π⁻"),) if mode == "pipi" else (),
        nuisances=(
            Nuisance("luminosity", NUMBERS.luminosity_uncertainty.value),
            Nuisance("efficiency", NUMBERS.efficiency_uncertainty.value),
            Nuisance(f"identification_{mode}", numbers.identification.value),
        ),
        label=rf"$h' \to {numbers.tex}$",
    )


def _at_best(events: Callable[..., float], mode: str, mass: float) -> float:
    """Signal events at the best lifetime."""
    return events(mode, mass, best_lifetime(mass))


def scan(
    data: Any = None,
    *,
    level: float = LEVEL,
    masses: npt.ArrayLike | None = None,
    max_masses: int | None = None,
    modes: Iterable[str] | None = None,
    seed: int = 1,
    inject: Iterable[tuple[float, float]] = (),
    cut: str | None = None,
    blind: bool = False,
    method: str = METHOD,
    toys: Toys | None = None,
    global_toys: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = True,
    executor: Executor | None = None,
    shard: tuple[int, int] | None = None,
    ctau: float = 1.0,
    model: str | None = None,
) -> Scan:
    """Upper limits in fb against the mass for one lifetime of the h′, by CLs.

    Args:
        data: A `Sample` of `read`, or what `read` takes; None for pseudo-data.
        level: Confidence level.
        masses: Hypotheses in GeV; those of `masses` if not given.
        max_masses: Take so many of them, spread evenly, the first and the last among them.
        modes: Some of `MODES`; None for all.
        seed: See `read`, as for `inject` and `cut`; a `Sample` has been read already.
        inject: Signals in the pseudo-data.
        cut: Selects entries of the file.
        blind: Expected limits only, from the sidebands; an asymptotic method is needed.
        method: See `zfit_dark.upper_limit`, as for `toys`.
        toys: How many, and how precise, for the methods "toys" and "auto".
        global_toys: See `zfit_dark.scan`.
        checkpoint: A file that keeps each limit as it is found: the same call goes on from there.
        progress: Show a progress bar.
        executor: Where hypotheses are worked on, see `zfit_dark.scan`.
        shard: The part of them that is worked on, see `zfit_dark.scan`.
        ctau: Proper decay length of the h′ in cm.
        model: See `likelihood`, also for what the limits are on.

    Returns:
        The limits. Hypotheses in the veto are not scanned, and listed with the reason.

    Raises:
        InputError: see `read`; a mass is outside the range of the final states; the model is
            unknown; or no h′ of this lifetime decays where it is seen.
    """
    reader = partial(read, seed=seed, inject=inject, cut=cut)
    sample, chosen = sample_of(data, modes, reader)
    plan = Toys() if toys is None else toys
    asked = Asked(level, method, blind, plan, global_toys, progress, checkpoint, executor, shard)
    hypotheses = _hypotheses(chosen, masses, max_masses)
    found = _best_limits(sample, chosen, _tie(chosen, model), asked, hypotheses)
    return _at_lifetime(found, ctau)


def scan_lifetimes(
    data: Any = None,
    *,
    level: float = LEVEL,
    masses: npt.ArrayLike | None = None,
    max_masses: int | None = None,
    modes: Iterable[str] | None = None,
    seed: int = 1,
    inject: Iterable[tuple[float, float]] = (),
    cut: str | None = None,
    blind: bool = False,
    method: str = METHOD,
    toys: Toys | None = None,
    progress: bool = True,
    executor: Executor | None = None,
    shard: tuple[int, int] | None = None,
    lifetimes: npt.ArrayLike | None = None,
    model: str | None = None,
    parts: str | os.PathLike[str] | None = None,
) -> LifetimeScan:
    """Upper limits in fb against mass, lifetime of the h′ and final state.

    They are found once a mass, also where final states are combined: the lifetime changes all
    efficiencies by the same factor.

    Args:
        data: See `scan`, as for all up to `executor`. Of ``masses``, a final state takes those that
            are within its range.
        level: Confidence level.
        masses: Hypotheses in GeV; those of `masses` for each final state if not given.
        max_masses: Take so many of them, spread evenly.
        modes: Some of `MODES`; None for all.
        seed: Of the pseudo-data.
        inject: Signals in the pseudo-data.
        cut: Selects entries of the file.
        blind: Expected limits only.
        method: Of the limits.
        toys: How many, and how precise.
        progress: Show a progress bar.
        executor: Where hypotheses are worked on, see `zfit_dark.scan`.
        shard: The part of them that is worked on, see `zfit_dark.scan`.
        lifetimes: Proper decay lengths in cm; `LIFETIMES` if not given.
        model: "scalar" combines the final states; None takes each by itself.
        parts: A folder that keeps each limit as it is found, in one file a final state: the same
            call goes on from there.

    Returns:
        The limits of each final state; with a model, of one channel of its name.

    Raises:
        InputError: see `scan`; or a checkpoint in ``parts`` is of another scan.
    """
    reader = partial(read, seed=seed, inject=inject, cut=cut)
    sample, chosen = sample_of(data, modes, reader)
    times = LIFETIMES if lifetimes is None else np.unique(np.asarray(lifetimes, dtype=np.float64))
    plan = Toys() if toys is None else toys
    asked = Asked(level, method, blind, plan, progress=progress, executor=executor, shard=shard)
    folder = None if parts is None else made_folder(Path(parts))
    together = {mode: (mode,) for mode in chosen} if model is None else {model: chosen}
    scans = {}
    for name, of_name in together.items():
        tie = _tie(of_name, model)
        wanted = masses
        if masses is not None and tie is None:
            wanted = within(masses, *mass_range(name))
        hypotheses = _hypotheses(of_name, wanted, max_masses)
        kept = asked.kept_in(folder, name)
        found = _best_limits(sample, of_name, tie, kept, hypotheses)
        scans[name] = tuple(_at_lifetime(found, ctau) for ctau in times.tolist())
    return LifetimeScan(lifetimes=times, scans=scans)


def _hypotheses(
    modes: tuple[str, ...], wanted: npt.ArrayLike | None, max_masses: int | None
) -> FloatArray:
    found = _grid(modes=modes) if wanted is None else wanted
    return chosen_masses(
        found, max_masses, where(NAME, modes), *whole_range(map(mass_range, modes))
    )


def _best_limits(
    sample: Sample,
    modes: tuple[str, ...],
    model: str | None,
    asked: Asked,
    hypotheses: FloatArray,
) -> Scan:
    """Limits for the best lifetime of the h′ at each mass."""
    return scanning.scan(
        _model(sample, modes, model),
        hypotheses,
        **vars(asked),
        poi_label=product_label(modes[0] if model is None else None),
        poi_unit="fb",
        pseudo_data=sample.pseudo_data is not None,
        provenance=provenance(NAME, sample, asked, modes, model, None),
    )


def _at_lifetime(best: Scan, ctau: float) -> Scan:
    """Limits for a lifetime, of those for the best one at each mass."""
    factors = np.array([lifetime_factor(mass, ctau) for mass in best.masses.tolist()])
    if not factors.all():
        heaviest = best.masses[factors == 0][0]
        raise InputError(
            f"lifetime {ctau:g} cm: no h' of {heaviest:.6g} GeV decays where it is seen; "
            "give a longer one"
        )
    same = {name: getattr(best, name) for name in ("poi", "poi_label", "poi_unit")}
    return at_lifetime(best, factors, ctau, **same)


def project(
    data: Any = None,
    luminosities: npt.ArrayLike = LUMINOSITIES,
    *,
    level: float = LEVEL,
    masses: npt.ArrayLike | None = None,
    max_masses: int | None = None,
    modes: Iterable[str] | None = None,
    seed: int = 1,
    inject: Iterable[tuple[float, float]] = (),
    cut: str | None = None,
    blind: bool = False,
    method: str = METHOD,
    toys: Toys | None = None,
    progress: bool = True,
    floor: float = 0.0,
    ctau: float = 1.0,
    model: str | None = None,
) -> Projection:
    """Expected limits for one lifetime at other luminosities than that of the data.

    Args:
        data: See `scan`, as for ``level`` to ``progress``.
        luminosities: In fb⁻¹; that of the data stands in ``idm.yaml``.
        level: Confidence level.
        masses: Hypotheses in GeV.
        max_masses: Take so many of them, spread evenly.
        modes: Some of `MODES`; None for all.
        seed: Of the pseudo-data.
        inject: Signals in the pseudo-data; what is there counts as background.
        cut: Selects entries of the file.
        blind: Fit the background to the sidebands only.
        method: Of the limits.
        toys: How many, and how precise.
        progress: Show a progress bar.
        floor: Relative uncertainty of the background at any luminosity, see `zfit_dark.project`.
        ctau: Proper decay length of the h′ in cm.
        model: See `likelihood`.

    Raises:
        InputError: see `scan` and `zfit_dark.project`.
    """
    reader = partial(read, seed=seed, inject=inject, cut=cut)
    sample, chosen = sample_of(data, modes, reader)
    asked = Asked(level, method, blind, Toys() if toys is None else toys)
    model = _tie(chosen, model)
    return projecting.project(
        likelihood(sample, modes=chosen, ctau=ctau, model=model),
        _hypotheses(chosen, masses, max_masses),
        luminosities,
        NUMBERS.luminosity.value,
        level,
        method,
        floor=floor,
        blind=blind,
        toys=asked.toys,
        progress=progress,
        poi_label=product_label(chosen[0] if model is None else None),
        poi_unit="fb",
        pseudo_data=sample.pseudo_data is not None,
        provenance=provenance(NAME, sample, asked, chosen, model, ctau),
    )


def fits(sample: Sample, scan: Scan, *, count: int = 4, goodness_toys: int = 0) -> list[Fit]:
    """The fits at the most significant mass of a scan and at others, spread evenly.

    Args:
        sample: The candidates of the scan.
        scan: Of one lifetime. If it is blind, so are the fits.
        count: How many fits at most.
        goodness_toys: Toys that tell the goodness of each fit; 0 for none.

    Raises:
        InputError: the scan is not one of this search.
    """
    check_poi(scan, NAME, _PRODUCT, _SUM)
    settings = scan.provenance["settings"]
    made = likelihood(
        sample, modes=settings["modes"], ctau=settings["ctau"], model=settings["model"]
    )
    return fits_of(made, scan, count, goodness_toys)
