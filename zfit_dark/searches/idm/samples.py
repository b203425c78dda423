"""Candidates and mass hypotheses of idm: pseudo-data, and files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zfit_dark import __version__
from zfit_dark.searches import PseudoData, Sample
from zfit_dark.searches._generation import check_seed, check_signals, double_crystal_ball, smooth
from zfit_dark.searches._hypotheses import check_masses, check_range, where, whole_range
from zfit_dark.searches._samples import (
    check_nothing_injected,
    check_nothing_selected,
    chosen_modes,
    read_sample,
    write_pseudo_data,
)
from zfit_dark.searches.idm.signal import (
    MODES,
    NAME,
    NUMBERS,
    candidate_range,
    mass_range,
    resolution,
)

FloatArray = npt.NDArray[np.float64]


def masses(
    step: float = 1.0,
    low: float | None = None,
    high: float | None = None,
    *,
    modes: Iterable[str] | None = None,
) -> FloatArray:
    """The mass hypotheses, in GeV: each a number of resolutions above the one before.

    Those inside the veto are among them: a scan reports them as not scanned.

    Args:
        step: Distance in units of the resolution.
        low: First mass; where the final states begin if not given.
        high: No mass is above it; where the final states end if not given.
        modes: The final states, some of `MODES`; None for all. The masses are those of the one
            with the lowest threshold.

    Raises:
        InputError: the step is not positive, or low and high are not a range within that of the
            final states.

    >>> masses(low=1.0, high=1.01, modes=["mumu"]).round(4).tolist()
    [1.0, 1.003, 1.006, 1.009]
    """
    chosen = chosen_modes(modes, MODES)
    first, last = whole_range(map(mass_range, chosen))
    begin, end = first if low is None else low, last if high is None else high
    check_range(begin, end, where(NAME, chosen), first, last)
    return resolution(chosen[0]).grid(begin, end, step)


def generate(
    seed: int = 1,
    *,
    out: str | os.PathLike[str] | None = None,
    inject: Iterable[tuple[float, float]] = (),
    modes: Iterable[str] | None = None,
) -> PseudoData:
    """Pseudo-data: the few candidates of a smooth background, and signals if asked for.

    Every number of events is drawn from a Poisson distribution. The candidates of a final state
    depend on the seed alone, not on which others are made, and those of the background not on what
    is injected. None is inside the veto.

    Args:
        seed: Not negative.
        out: A ROOT file to write: one TTree per final state with the branch ``mass``, M(x⁺x⁻) in
            GeV, and a mark that says that these are pseudo-data.
        inject: Signals in the first of the final states: pairs of a mass in GeV and the number of
            selected events expected there.
        modes: Some of `MODES`; None for all.

    Returns:
        Final state to masses in GeV, with the record of how they were made.

    Raises:
        InputError: the seed, a final state or a signal is wrong, or the file cannot be written.
    """
    seed, signals = check_seed(seed), check_signals(inject)
    chosen = chosen_modes(modes, MODES)
    check_masses([mass for mass, _ in signals], where(NAME, chosen[:1]), *mass_range(chosen[0]))
    made = {mode: _generated(mode, seed, signals if mode == chosen[0] else []) for mode in chosen}
    record = {
        "search": NAME,
        "seed": seed,
        "inject": [list(signal) for signal in signals],
        "modes": list(chosen),
        "version": __version__,
    }
    if out is not None:
        write_pseudo_data(out, {mode: {"mass": values} for mode, values in made.items()}, record)
    return PseudoData(made, record)


def _generated(mode: str, seed: int, signals: Sequence[tuple[float, float]]) -> FloatArray:
    """The masses of the candidates of one final state."""
    background, signal, order = (
        np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(MODES.index(mode), k)))
        for k in range(3)
    )
    values = np.concatenate(
        [_smooth(background, mode), *(_peak(signal, mode, *s) for s in signals)]
    )
    low, high = candidate_range(mode)
    values = values[(values >= low) & (values <= high) & ~_is_rejected(mode, values)]
    order.shuffle(values)
    return values


def _smooth(rng: np.random.Generator, mode: str) -> FloatArray:
    """Background; those inside the veto are drawn again."""
    numbers, seen = NUMBERS.final_states[mode].background, candidate_range(mode)
    values = smooth(rng, rng.poisson(numbers.events), numbers.coefficients, *seen)
    while (rejected := _is_rejected(mode, values)).any():
        values[rejected] = smooth(rng, int(rejected.sum()), numbers.coefficients, *seen)
    return values


def _peak(rng: np.random.Generator, mode: str, mass: float, events: float) -> FloatArray:
    """Signal."""
    n, shape = rng.poisson(events), resolution(mode).parameters(mass)
    values: FloatArray = mass + shape["sigma"] * double_crystal_ball(rng, n, shape)
    return values


def _is_rejected(mode: str, values: FloatArray) -> npt.NDArray[np.bool_]:
    """Which candidates are rejected as K⁰_S."""
    inside = (values > NUMBERS.veto.low) & (values < NUMBERS.veto.high)
    return inside & (mode == "pipi")


def read(
    data: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    *,
    modes: Iterable[str] | None = None,
    seed: int = 1,
    inject: Iterable[tuple[float, float]] = (),
    branch: str = "mass",
    trees: Mapping[str, str] | None = None,
    cut: str | None = None,
) -> Sample:
    """The candidates of a search, ready for `likelihood`, `scan` and `fits`.

    Args:
        data: A ROOT file with one tree per final state, which holds M(x⁺x⁻) in GeV; a mapping of
            final state to masses; None for the pseudo-data of `generate`. Those inside the veto are
            not used.
        modes: Some of `MODES`; None for all.
        seed: Of the pseudo-data.
        inject: Signals in the pseudo-data.
        branch: The branch that holds the mass.
        trees: Final state to name of its tree, where that is another.
        cut: Selects entries.

    Raises:
        InputError: see `generate` and `zfit_dark.candidates.read`; or signals are to be injected
            into data.
    """
    chosen = chosen_modes(modes, MODES)
    if data is None:
        check_nothing_selected(branch, trees, cut)
        data = generate(seed, inject=inject, modes=chosen)
    else:
        check_nothing_injected(inject)
    limits = {mode: candidate_range(mode) for mode in chosen}
    return read_sample(data, chosen, limits=limits, branch=branch, trees=trees or None, cut=cut)
