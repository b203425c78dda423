"""Likelihoods, limits and fits of b2ks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zfit_dark import projecting, scanning
from zfit_dark.channel import Nuisance, ShapeChannel, Veto, bernstein
from zfit_dark.errors import InputError
from zfit_dark.frequentist import Toys
from zfit_dark.kinematics import modified_mass
from zfit_dark.likelihood import Likelihood
from zfit_dark.projecting import LUMINOSITIES
from zfit_dark.results import Fit, LifetimeScan, Projection, Scan
from zfit_dark.searches import Sample
from zfit_dark.searches._hypotheses import chosen_masses, where, whole_range, within
from zfit_dark.searches._samples import made_folder, sample_of
from zfit_dark.searches._scans import (
    Asked,
    at_lifetime,
    check_poi,
    fits_of,
    provenance,
)
from zfit_dark.searches.b2ks.samples import masses as _grid
from zfit_dark.searches.b2ks.samples import read
from zfit_dark.searches.b2ks.signal import (
    LIFETIMES,
    MODELS,
    NAME,
    NUMBERS,
    candidate_range,
    daughter_of,
    kaon_and_final,
    label,
    mass_range,
    product_label,
    resolution,
    signal_events,
    theory_of,
    tied_events,
)

FloatArray = npt.NDArray[np.float64]

LEVEL = 0.95
METHOD = "auto"
WINDOW = 20.0
"""Half width of the fit window, in units of the resolution."""

TOYS = Toys(precision=0.08, most=8_000)
"""Enough for a limit of a few events, of which the efficiency is known to 5 %."""

_SYMBOL = {"scalar": "S", "alp": "a"}
_YIELD = "signal_events"
_PRODUCT = "bf_product"
_BF = "bf_kplus"


def likelihood(
    data: Any,
    *,
    modes: Iterable[str] | None = None,
    ctau: float = 1.0,
    model: str | None = None,
) -> Likelihood:
    """The model of one channel, or of several that a theory ties.

    The background is a straight line that is nowhere negative, in a window around the hypothesis;
    K⁰_S → π⁺π⁻ is vetoed. N_BB, the efficiency of tracks and of displaced vertices are uncertain in
    all channels alike, the identification of a particle in all channels that have it.

    Args:
        data: A `Sample`, or what `read` takes.
        modes: Some of `MODES`; None for all.
        ctau: Proper decay length of the S in cm.
        model: One of `MODELS`, which ties the channels: the parameter of interest is then
            B(B⁺ → K⁺ S). None for a single channel, whose parameter of interest is the product of
            its branching fractions.

    Raises:
        InputError: see `read`; or several channels have no model.
    """
    sample, chosen = sample_of(data, modes, read)
    if model is None:
        _check_single(chosen)
        per_poi = {chosen[0]: partial(signal_events, chosen[0], ctau=ctau)}
    else:
        theory_of(model)
        per_poi = {mode: partial(tied_events, model, mode, ctau=ctau) for mode in chosen}
    made = _model(sample, chosen, _PRODUCT if model is None else _BF)
    return made.rescaled(per_poi)


def _check_single(modes: Sequence[str]) -> None:
    if len(modes) > 1:
        raise InputError(
            f"{len(modes)} channels: choose one, or give model= ({', '.join(MODELS)}) to tie them"
        )


@lru_cache(maxsize=2)
def _model(sample: Sample, modes: tuple[str, ...], poi: str) -> Likelihood:
    """The model of a sample, for one signal event per channel; compiling it takes long."""
    return Likelihood([_channel(mode, sample.values[mode]) for mode in modes], poi=poi)


def _channel(mode: str, values: FloatArray) -> ShapeChannel:
    kaon, final = kaon_and_final(mode)
    daughter = daughter_of(final)
    numbers = NUMBERS.final_states[final]
    vetoes: tuple[Veto, ...] = ()
    if final == "pipi":
        edges = modified_mass([NUMBERS.veto.low, NUMBERS.veto.high], daughter).tolist()
        vetoes = (Veto(edges[0], edges[1], "K⁰_S → π⁺π⁻"),)
    low, high = modified_mass(candidate_range(mode), daughter).tolist()
    return ShapeChannel(
        mode,
        data=modified_mass(values, daughter),
        limits=(low, high),
        signal=resolution(final),
        signal_per_poi=partial(_one_event, mode),
        background=bernstein(1),
        window=WINDOW,
        vetoes=vetoes,
        nuisances=(
            Nuisance("n_bb", NUMBERS.n_bb_uncertainty.value),
            Nuisance("tracking", NUMBERS.tracking_uncertainty.value),
            Nuisance("displacement", NUMBERS.displacement.uncertainty.value),
            Nuisance(f"identification_{final}", numbers.identification.value),
            Nuisance(f"efficiency_{kaon}", NUMBERS.kaon_modes[kaon].uncertainty.value),
        ),
        daughter=daughter,
        label=label(mode),
    )


def _one_event(mode: str, mass: float) -> float:
    """One signal event where the channel is searched."""
    low, high = mass_range(mode)
    return float(low <= mass <= high)


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
    """Upper limits against the mass for one lifetime, by CLs.

    Args:
        data: A `Sample` of `read`, or what `read` takes; None for pseudo-data.
        level: Confidence level.
        masses: Hypotheses in GeV; those of `masses` if not given.
        max_masses: Take so many of them, spread evenly, the first and the last among them.
        modes: One of `MODES`, or several with a model; None for all.
        seed: See `read`, as for `inject` and `cut`; a `Sample` has been read already.
        inject: Signals in the pseudo-data.
        cut: Selects entries of the file.
        blind: Expected limits only, from the sidebands; an asymptotic method is needed.
        method: See `zfit_dark.upper_limit`, as for `toys`.
        toys: How many, and how precise, for the methods "toys" and "auto"; `TOYS` if not given.
        global_toys: See `zfit_dark.scan`.
        checkpoint: A file that keeps each limit as it is found: the same call goes on from there.
        progress: Show a progress bar.
        executor: Where hypotheses are worked on, see `zfit_dark.scan`.
        shard: The part of them that is worked on, see `zfit_dark.scan`.
        ctau: Proper decay length of the S in cm.
        model: One of `MODELS`, see `likelihood`.

    Returns:
        The limits. Hypotheses in the veto are not scanned, and listed with the reason.

    Raises:
        InputError: see `read`; a mass is outside the range of the channels; or several channels
            have no model.
    """
    reader = partial(read, seed=seed, inject=inject, cut=cut)
    sample, chosen = sample_of(data, modes, reader)
    plan = TOYS if toys is None else toys
    asked = Asked(level, method, blind, plan, global_toys, progress, checkpoint, executor, shard)
    hypotheses = _hypotheses(chosen, masses, max_masses)
    if model is None:
        _check_single(chosen)
        found = _yields(sample, chosen[0], hypotheses, asked)
        return _product_limits(found, chosen[0], ctau)
    return _tied_limits(sample, chosen, model, ctau, hypotheses, asked)


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
    """Upper limits against mass, lifetime and channel.

    Without a model, each channel is scanned by itself: the signal yield once a mass, which gives
    the limits of all lifetimes. With one, all channels are fitted at once, for each lifetime. The
    longest lifetimes have limits at low masses only, see ``long_lifetimes`` of the numbers.

    Args:
        data: See `scan`, as for all up to `executor`. Of ``masses``, a channel takes those that are
            within its range.
        level: Confidence level.
        masses: Hypotheses in GeV; those of `masses` for each channel if not given.
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
        model: One of `MODELS`, which ties the channels.
        parts: A folder that keeps each limit as it is found, in one file a channel or lifetime: the
            same call goes on from there.

    Returns:
        The limits of each channel; with a model, of one channel of its name.

    Raises:
        InputError: see `scan`; or a checkpoint in ``parts`` is of another scan.
    """
    reader = partial(read, seed=seed, inject=inject, cut=cut)
    sample, chosen = sample_of(data, modes, reader)
    times = LIFETIMES if lifetimes is None else np.unique(np.asarray(lifetimes, dtype=np.float64))
    plan = TOYS if toys is None else toys
    asked = Asked(level, method, blind, plan, progress=progress, executor=executor, shard=shard)
    folder = None if parts is None else made_folder(Path(parts))
    if model is not None:
        hypotheses = _hypotheses(chosen, masses, max_masses)
        longest = max(_reach_of_long_lifetimes(kaon_and_final(mode)[1]) for mode in chosen)
        of_model = []
        for ctau in times.tolist():
            here = _at_lifetime(hypotheses, ctau, longest)
            if not len(here):  # nor at longer ones
                break
            kept = asked.kept_in(folder, f"{model}_{ctau:g}cm")
            of_model.append(_tied_limits(sample, chosen, model, ctau, here, kept))
        return LifetimeScan(lifetimes=times[: len(of_model)], scans={model: tuple(of_model)})
    scans = {}
    for mode in chosen:
        wanted = None if masses is None else within(masses, *mass_range(mode))
        hypotheses = _hypotheses((mode,), wanted, max_masses)
        found = _yields(sample, mode, hypotheses, asked.kept_in(folder, mode))
        reach = _reach_of_long_lifetimes(kaon_and_final(mode)[1])
        scans[mode] = tuple(
            _product_limits(_with_lifetime(found, ctau, reach), mode, ctau)
            for ctau in times.tolist()
        )
    return LifetimeScan(lifetimes=times, scans=scans)


def _hypotheses(
    modes: tuple[str, ...], wanted: npt.ArrayLike | None, max_masses: int | None
) -> FloatArray:
    found = _grid(modes=modes) if wanted is None else wanted
    return chosen_masses(
        found, max_masses, where(NAME, modes), *whole_range(map(mass_range, modes))
    )


def _reach_of_long_lifetimes(final: str) -> float:
    """Up to which mass the longest lifetimes are looked at, in GeV."""
    return NUMBERS.long_lifetimes.below[final].value


def _at_lifetime(hypotheses: FloatArray, ctau: float, reach: float) -> FloatArray:
    """The masses that a lifetime is looked at."""
    if ctau < NUMBERS.long_lifetimes.start.value:
        return hypotheses
    return hypotheses[hypotheses < reach]


def _with_lifetime(found: Scan, ctau: float, reach: float) -> Scan:
    """The part of a scan that a lifetime is looked at."""
    return found if ctau < NUMBERS.long_lifetimes.start.value else found.between(0.0, reach)


def _yields(sample: Sample, mode: str, hypotheses: FloatArray, asked: Asked) -> Scan:
    """Limits on the signal events of a channel, for any lifetime."""
    return _scanned(
        _model(sample, (mode,), _YIELD),
        sample,
        hypotheses,
        asked,
        "Signal events",
        _provenance(sample, asked, (mode,), None, None),
    )


def _product_limits(found: Scan, mode: str, ctau: float) -> Scan:
    """Limits on the product of branching fractions of a channel, of those on its events."""
    events = np.array([signal_events(mode, mass, ctau) for mass in found.masses.tolist()])
    name = product_label(mode)
    return at_lifetime(found, events, ctau, poi=_PRODUCT, poi_label=name, poi_unit="")


def _tied_limits(
    sample: Sample,
    modes: tuple[str, ...],
    model: str,
    ctau: float,
    hypotheses: FloatArray,
    asked: Asked,
) -> Scan:
    """Limits on B(B⁺ → K⁺ S) of several channels at once."""
    return _scanned(
        likelihood(sample, modes=modes, ctau=ctau, model=model),
        sample,
        hypotheses,
        asked,
        _tied_label(model),
        _provenance(sample, asked, modes, model, ctau),
    )


def _tied_label(model: str) -> str:
    return rf"$\mathcal{{B}}(B^+ \to K^+ {_SYMBOL[model]})$"


def _scanned(
    model: Likelihood,
    sample: Sample,
    hypotheses: FloatArray,
    asked: Asked,
    label: str,
    provenance: Mapping[str, Any],
) -> Scan:
    return scanning.scan(
        model,
        hypotheses,
        **vars(asked),
        poi_label=label,
        pseudo_data=sample.pseudo_data is not None,
        provenance=provenance,
    )


def _provenance(
    sample: Sample,
    asked: Asked,
    modes: Sequence[str],
    model: str | None,
    ctau: float | None,
) -> dict[str, Any]:
    return provenance(NAME, sample, asked, modes, model, ctau, window=WINDOW)


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
        luminosities: In fb⁻¹; that of the data stands in ``b2ks.yaml``.
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
        ctau: Proper decay length of the S in cm.
        model: See `likelihood`.

    Raises:
        InputError: see `scan` and `zfit_dark.project`.
    """
    reader = partial(read, seed=seed, inject=inject, cut=cut)
    sample, chosen = sample_of(data, modes, reader)
    asked = Asked(level, method, blind, TOYS if toys is None else toys)
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
        poi_label=product_label(chosen[0]) if model is None else _tied_label(model),
        pseudo_data=sample.pseudo_data is not None,
        provenance=_provenance(sample, asked, chosen, model, ctau),
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
    check_poi(scan, NAME, _PRODUCT, _BF)
    settings = scan.provenance["settings"]
    made = likelihood(
        sample, modes=settings["modes"], ctau=settings["ctau"], model=settings["model"]
    )
    return fits_of(made, scan, count, goodness_toys)
