"""Likelihoods, limits and fits of b2kagg."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zfit

from zfit_dark import projecting, scanning
from zfit_dark.channel import Nuisance, ShapeChannel, Veto, bernstein
from zfit_dark.frequentist import Toys
from zfit_dark.likelihood import Likelihood
from zfit_dark.projecting import LUMINOSITIES
from zfit_dark.results import Fit, LifetimeScan, Projection, Scan
from zfit_dark.searches import Sample
from zfit_dark.searches._generation import check_ctau
from zfit_dark.searches._hypotheses import chosen_masses
from zfit_dark.searches._samples import made_folder, sample_of
from zfit_dark.searches._scans import Asked, check_poi, fits_of, provenance
from zfit_dark.searches.b2kagg.flight import flown
from zfit_dark.searches.b2kagg.samples import read
from zfit_dark.searches.b2kagg.signal import (
    HIGHEST,
    LIFETIMES,
    LOWEST,
    NAME,
    NUMBERS,
    RESOLUTION,
    signal_events,
)
from zfit_dark.signal_shape import SignalShape

FloatArray = npt.NDArray[np.float64]

LEVEL = 0.90
METHOD = "asymptotic"
WINDOW = 20.0
"""Half width of the fit window, in units of the resolution."""

CHANNEL = "combined"
"""The modes together, as limits of several lifetimes name them."""

POI = "bf_kplus"
POI_LABEL = r"$\mathcal{B}(B^+ \to K^+ a)$"


def likelihood(
    data: Any,
    *,
    modes: Iterable[str] | None = None,
    window: float = WINDOW,
    ctau: float = 0.0,
) -> Likelihood:
    """The simultaneous model of the modes. Its parameter of interest is B(B⁺ → K⁺ a).

    The background of a mode is a sum of Bernstein polynomials of second order in a window around
    the hypothesis; π⁰, η, η′ and η_c are vetoed. N_BB and a part of the efficiencies are uncertain
    in all modes alike, the rest of each efficiency by itself.

    Args:
        data: A `Sample`, or what `read` takes.
        modes: Some of `MODES`; None for all.
        window: Half width of the fit window, in units of the resolution.
        ctau: Proper decay length of the a in cm, 0 for a prompt one. It decides on the efficiencies
            and on the tails of the peaks; models of one sample share what is compiled.

    Raises:
        InputError: see `read`; or ctau is negative or not finite.
    """
    sample, chosen = sample_of(data, modes, read)
    if check_ctau(ctau) == 0:
        return _prompt(sample, chosen, window)
    made, lifetime = _flying(sample, chosen, window)
    yields = {mode: partial(signal_events, mode, ctau=ctau) for mode in chosen}
    return made.rescaled(yields, held={lifetime: ctau})


@lru_cache(maxsize=1)
def _prompt(sample: Sample, modes: tuple[str, ...], window: float) -> Likelihood:
    """The model of a prompt a; the last one is kept, for compiling it takes long."""
    return _model(sample, modes, window, dict.fromkeys(modes, RESOLUTION))


@lru_cache(maxsize=1)
def _flying(sample: Sample, modes: tuple[str, ...], window: float) -> tuple[Likelihood, Any]:
    """The model of an a that flies, and the parameter that is its cτ in cm."""
    ctau = zfit.Parameter("ctau", 1.0, floating=False)
    shapes = {mode: flown(mode, ctau) for mode in modes}
    return _model(sample, modes, window, shapes), ctau


def _model(
    sample: Sample,
    modes: tuple[str, ...],
    window: float,
    signals: Mapping[str, SignalShape],
) -> Likelihood:
    vetoes = [
        Veto(meson.veto.low, meson.veto.high, f"{meson.name} → γγ")
        for meson in NUMBERS.mesons.values()
    ]
    channels = [
        ShapeChannel(
            mode,
            signal_per_poi=partial(signal_events, mode),
            window=window,
            vetoes=tuple(vetoes),
            label=NUMBERS.modes[mode].label,
            signal=signals[mode],
            **channel(mode, sample),
        )
        for mode in modes
    ]
    return Likelihood(channels, poi=POI)


def channel(mode: str, sample: Sample) -> dict[str, Any]:
    """What a mode has in common in the search and in its control sample."""
    numbers = NUMBERS.modes[mode]
    return {
        "data": sample.values[mode],
        "limits": (numbers.candidates.low, numbers.candidates.high),
        "background": bernstein(2),
        "nuisances": (
            Nuisance("n_bb", NUMBERS.n_bb_uncertainty.value),
            Nuisance("efficiency", NUMBERS.efficiency_uncertainty.value),
            Nuisance(f"efficiency_{mode}", numbers.efficiency_uncertainty.value),
        ),
    }


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
    ctau: float = 0.0,
) -> Scan:
    """Upper limits on B(B⁺ → K⁺ a) against the mass, by CLs from the simultaneous fit.

    Args:
        data: A `Sample` of `read`, or what `read` takes; None for pseudo-data.
        level: Confidence level.
        masses: Hypotheses in GeV; those of `masses` if not given.
        max_masses: Take so many of them, spread evenly, the first and the last among them.
        modes: Some of `MODES`; None for all.
        seed: See `read`, as for `inject` and `cut`; a `Sample` has been read already.
        inject: Prompt signals in the pseudo-data.
        cut: Selects entries of the file.
        blind: Expected limits only, from the sidebands.
        method: See `zfit_dark.upper_limit`, as for `toys`.
        toys: How many, and how precise, for the methods "toys" and "auto".
        global_toys: See `zfit_dark.scan`.
        checkpoint: A file that keeps each limit as it is found: the same call goes on from there.
        progress: Show a progress bar.
        executor: Where hypotheses are worked on, see `zfit_dark.scan`.
        shard: The part of them that is worked on, see `zfit_dark.scan`.
        ctau: Proper decay length of the a in cm, see `likelihood`.

    Returns:
        The limits. Hypotheses in a veto are not scanned, and listed with the reason.

    Raises:
        InputError: see `read`; or a mass is outside the range of the search.
    """
    reader = partial(read, seed=seed, inject=inject, cut=cut)
    sample, chosen = sample_of(data, modes, reader)
    asked = Asked(
        level, method, blind, toys or Toys(), global_toys, progress, checkpoint, executor, shard
    )
    return _scanned(sample, chosen, _hypotheses(masses, max_masses), ctau, asked)


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
    parts: str | os.PathLike[str] | None = None,
) -> LifetimeScan:
    """Upper limits on B(B⁺ → K⁺ a) against mass and lifetime; `interpret` makes limits on g_aW.

    Args:
        data: See `scan`, as for all up to `executor`.
        level: Confidence level.
        masses: Hypotheses in GeV.
        max_masses: Take so many of them, spread evenly.
        modes: Some of `MODES`; None for all.
        seed: Of the pseudo-data.
        inject: Prompt signals in the pseudo-data.
        cut: Selects entries of the file.
        blind: Expected limits only.
        method: Of the limits.
        toys: How many, and how precise.
        progress: Show a progress bar.
        executor: Where hypotheses are worked on, see `zfit_dark.scan`.
        shard: The part of them that is worked on, see `zfit_dark.scan`.
        lifetimes: Proper decay lengths in cm; `LIFETIMES` if not given.
        parts: A folder that keeps each limit as it is found, in one file a lifetime: the same
            call goes on from there.

    Returns:
        The limits, of a single channel `CHANNEL`: the modes are fitted together.

    Raises:
        InputError: see `scan`; or a checkpoint in ``parts`` is of another scan.
    """
    reader = partial(read, seed=seed, inject=inject, cut=cut)
    sample, chosen = sample_of(data, modes, reader)
    times = LIFETIMES if lifetimes is None else np.unique(np.asarray(lifetimes, np.float64))
    asked = Asked(
        level, method, blind, toys or Toys(), progress=progress, executor=executor, shard=shard
    )
    folder = None if parts is None else made_folder(Path(parts))
    hypotheses = _hypotheses(masses, max_masses)
    scans = []
    for ctau in times.tolist():
        kept = asked.kept_in(folder, f"{ctau:g}cm")
        scans.append(_scanned(sample, chosen, hypotheses, ctau, kept))
    return LifetimeScan(lifetimes=times, scans={CHANNEL: tuple(scans)})


def _hypotheses(masses: npt.ArrayLike | None, max_masses: int | None) -> FloatArray:
    wanted = RESOLUTION.grid(LOWEST, HIGHEST) if masses is None else masses
    return chosen_masses(wanted, max_masses, NAME, LOWEST, HIGHEST)


def _scanned(
    sample: Sample, modes: tuple[str, ...], hypotheses: FloatArray, ctau: float, asked: Asked
) -> Scan:
    return scanning.scan(
        likelihood(sample, modes=modes, ctau=ctau),
        hypotheses,
        **vars(asked),
        poi_label=POI_LABEL,
        pseudo_data=sample.pseudo_data is not None,
        provenance=_provenance(sample, asked, modes, ctau),
    )


def _provenance(
    sample: Sample, asked: Asked, modes: tuple[str, ...], ctau: float
) -> dict[str, Any]:
    return provenance(NAME, sample, asked, modes, None, ctau, window=WINDOW)


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
    ctau: float = 0.0,
) -> Projection:
    """Expected limits on B(B⁺ → K⁺ a) at other luminosities than that of the data.

    Args:
        data: See `scan`, as for ``level`` to ``progress``.
        luminosities: In fb⁻¹; that of the data stands in ``b2kagg.yaml``.
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
        ctau: Proper decay length of the a in cm, see `likelihood`.

    Raises:
        InputError: see `scan` and `zfit_dark.project`.
    """
    reader = partial(read, seed=seed, inject=inject, cut=cut)
    sample, chosen = sample_of(data, modes, reader)
    asked = Asked(level, method, blind, toys or Toys())
    return projecting.project(
        likelihood(sample, modes=chosen, ctau=ctau),
        _hypotheses(masses, max_masses),
        luminosities,
        NUMBERS.luminosity.value,
        level,
        method,
        floor=floor,
        blind=blind,
        toys=asked.toys,
        progress=progress,
        poi_label=POI_LABEL,
        pseudo_data=sample.pseudo_data is not None,
        provenance=_provenance(sample, asked, chosen, ctau),
    )


def fits(sample: Sample, scan: Scan, *, count: int = 4, goodness_toys: int = 0) -> list[Fit]:
    """The fits at the most significant mass of a scan and at others, spread evenly.

    Args:
        sample: The candidates of the scan.
        scan: If it is blind, so are the fits.
        count: How many fits at most.
        goodness_toys: Toys that tell the goodness of each fit; 0 for none.
    """
    check_poi(scan, NAME, POI)
    settings = scan.provenance["settings"]
    made = likelihood(sample, modes=settings["modes"], ctau=settings["ctau"])
    return fits_of(made, scan, count, goodness_toys)
