"""Candidates and mass hypotheses of b2ks: pseudo-data, and files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zfit_dark import __version__
from zfit_dark.errors import InputError
from zfit_dark.kinematics import daughter_mass, invariant_mass, modified_mass
from zfit_dark.searches import PseudoData, Sample
from zfit_dark.searches._generation import (
    check_seed,
    check_signals,
    cut_normal,
    double_crystal_ball,
    smooth,
)
from zfit_dark.searches._hypotheses import check_masses, check_range, where, whole_range
from zfit_dark.searches._samples import (
    check_nothing_injected,
    check_nothing_selected,
    chosen_modes,
    read_sample,
    write_pseudo_data,
)
from zfit_dark.searches.b2ks.signal import (
    FINAL_STATES,
    LOWEST_M_PRIME,
    MESONS,
    MODES,
    NAME,
    NUMBERS,
    candidate_range,
    daughter_of,
    kaon_and_final,
    least_displacement,
    mass_range,
    resolution,
    theory_of,
    tied_events,
)

FloatArray = npt.NDArray[np.float64]


def masses(
    step: float = 0.5,
    low: float | None = None,
    high: float | None = None,
    *,
    modes: Iterable[str] | None = None,
) -> FloatArray:
    """The mass hypotheses, in GeV: each a number of resolutions in M′ above the one before.

    Those inside the veto are among them: a scan reports them as not scanned.

    Args:
        step: Distance in units of the resolution.
        low: First mass; where the channels begin if not given.
        high: No mass is above it; where the channels end if not given.
        modes: The channels, some of `MODES`; None for all. The masses are those of the final state
            with the lowest threshold.

    Raises:
        InputError: the step is not positive, or low and high are not a range within the channels'.

    >>> masses(low=1.0, high=1.006, modes=["Kplus_mumu"]).round(4).tolist()
    [1.0, 1.0015, 1.003, 1.0045]
    """
    chosen = chosen_modes(modes, MODES)
    first, last = whole_range(map(mass_range, chosen))
    begin, end = first if low is None else low, last if high is None else high
    check_range(begin, end, where(NAME, chosen), first, last)
    final = min((kaon_and_final(mode)[1] for mode in chosen), key=FINAL_STATES.index)
    daughter = daughter_of(final)
    begin = max(begin, invariant_mass(LOWEST_M_PRIME, daughter)) if low is None else begin
    start, stop = modified_mass([begin, end], daughter).tolist()
    positions = resolution(final).grid(start, stop, step)
    return np.clip(invariant_mass(positions, daughter), begin, end)


def generate(
    seed: int = 1,
    *,
    out: str | os.PathLike[str] | None = None,
    inject: Iterable[tuple[float, float]] = (),
    modes: Iterable[str] | None = None,
    scalar: tuple[float, float] | None = None,
) -> PseudoData:
    """Pseudo-data: smooth background, what is left of K⁰_S, φ and J/ψ, and signals if asked for.

    Every number of events is drawn from a Poisson distribution. The candidates of a channel depend
    on the seed alone, not on which other channels are made, and those of the background not on what
    is injected.

    Args:
        seed: Not negative.
        out: A ROOT file to write: one TTree per channel with the branches ``mass`` (M of the pair),
            ``Mbc`` and ``deltaE`` in GeV and ``displacement`` in cm, and a mark that says that
            these are pseudo-data. The harder selection of the displacement is left to `read`.
        inject: Signals in the first of the channels: pairs of a mass in GeV and the number of
            selected events expected there.
        modes: Some of `MODES`; None for all.
        scalar: Mass in GeV and mixing angle of a dark scalar, in all channels.

    Returns:
        Channel to masses M in GeV after the whole selection, with the record of how they were made.

    Raises:
        InputError: the seed, a channel or a signal is wrong, or the file cannot be written.
    """
    seed, signals = check_seed(seed), check_signals(inject)
    chosen = chosen_modes(modes, MODES)
    check_masses([m for m, _ in signals], where(NAME, chosen[:1]), *mass_range(chosen[0]))
    expected = {mode: [(m, n, 1.0) for m, n in signals] for mode in chosen[:1]}
    if scalar is not None:
        for mode in chosen:
            signal = _scalar_events(mode, *scalar)
            if signal[1] > 0:  # the channel is open
                expected.setdefault(mode, []).append(signal)
    trees = {mode: _generated(mode, seed, expected.get(mode, [])) for mode in chosen}
    record = {
        "search": NAME,
        "seed": seed,
        "inject": [list(signal) for signal in signals],
        "scalar": None if scalar is None else [float(value) for value in scalar],
        "modes": list(chosen),
        "version": __version__,
    }
    if out is not None:
        write_pseudo_data(out, trees, record)
    return PseudoData({mode: _selected(mode, tree) for mode, tree in trees.items()}, record)


def _scalar_events(mode: str, mass: float, theta: float) -> tuple[float, float, float]:
    """Mass, events and lifetime of a dark scalar in a channel."""
    check_masses([mass], NAME, *whole_range(map(mass_range, MODES)))
    theory = theory_of("scalar")
    ctau = float(theory.lifetime_ctau_cm(mass, theta))
    produced = float(theory.branching_fraction("Kplus", mass, theta))
    return mass, produced * tied_events("scalar", mode, mass, ctau), ctau


def _selected(mode: str, tree: Mapping[str, FloatArray]) -> FloatArray:
    """Masses of the candidates that pass the harder selection of the displacement."""
    _, final = kaon_and_final(mode)
    least = np.array([least_displacement(final, mass) for mass in tree["mass"].tolist()])
    return tree["mass"][tree["displacement"] > least]


def _generated(
    mode: str, seed: int, signals: Sequence[tuple[float, float, float]]
) -> dict[str, FloatArray]:
    """The branches of one channel; signals are a mass, a number of events and a lifetime."""
    background, leftovers, signal, order = (
        np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(MODES.index(mode), k)))
        for k in range(4)
    )
    parts = [_smooth(background, mode)]
    for leftover in NUMBERS.leftovers.values():
        if mode in leftover.events:
            events, away = leftover.events[mode].value, leftover.displacement.value
            at, width = leftover.mass.value, leftover.width.value
            parts.append(_peak(leftovers, mode, at, width, events, away))
    for mass, events, ctau in signals:
        parts.append(_peak(signal, mode, mass, 0.0, events, ctau))
    tree = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    low, high = candidate_range(mode)
    keep = np.flatnonzero((tree["mass"] >= low) & (tree["mass"] <= high))
    order.shuffle(keep)
    return {name: values[keep] for name, values in tree.items()}


def _smooth(rng: np.random.Generator, mode: str) -> dict[str, FloatArray]:
    numbers, daughter = NUMBERS.backgrounds[mode], daughter_of(kaon_and_final(mode)[1])
    n = rng.poisson(numbers.events)
    low, high = modified_mass(candidate_range(mode), daughter)
    mbc, delta_e = NUMBERS.selection.mbc, NUMBERS.selection.delta_e
    return {
        "mass": invariant_mass(smooth(rng, n, numbers.coefficients, low, high), daughter),
        "Mbc": rng.uniform(mbc.low, mbc.high, n),
        "deltaE": rng.uniform(delta_e.low, delta_e.high, n),
        "displacement": _displaced(rng, n, NUMBERS.background_displacement.value),
    }


def _displaced(rng: np.random.Generator, n: int, mean: float) -> FloatArray:
    return NUMBERS.displacement.least.value + rng.exponential(mean, n)


def _peak(
    rng: np.random.Generator, mode: str, mass: float, width: float, events: float, away: float
) -> dict[str, FloatArray]:
    """Decays of a particle: its line shape, smeared in M′ with the resolution at its mass."""
    kaon, final = kaon_and_final(mode)
    n, daughter, b_mass = rng.poisson(events), daughter_of(final), MESONS[kaon][0]
    true = mass + 0.5 * width * np.tan(np.pi * (rng.uniform(size=n) - 0.5))
    position = modified_mass(np.maximum(true, 2 * daughter_mass(daughter)), daughter)
    shape = resolution(final).parameters(modified_mass(mass, daughter))
    smeared = position + shape["sigma"] * double_crystal_ball(rng, n, shape)
    while (below := smeared < 0).any():  # no pair is reconstructed below threshold
        again = double_crystal_ball(rng, int(below.sum()), shape)
        smeared[below] = position[below] + shape["sigma"] * again
    chosen = NUMBERS.selection
    return {
        "mass": invariant_mass(smeared, daughter),
        "Mbc": cut_normal(rng, n, b_mass, chosen.mbc_resolution.value, chosen.mbc),
        "deltaE": cut_normal(rng, n, 0.0, chosen.delta_e_resolution.value, chosen.delta_e),
        "displacement": _displaced(rng, n, away),
    }


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
        data: A ROOT file with one tree per channel, which holds the masses M of the pairs in GeV
            and a branch ``displacement`` in cm, by which it is selected, harder in some regions of
            the mass; a mapping of channel to the masses of selected candidates; None for the
            pseudo-data of `generate`.
        modes: Some of `MODES`; None for all.
        seed: Of the pseudo-data.
        inject: Signals in the pseudo-data.
        branch: The branch that holds M in GeV.
        trees: Channel to name of its tree, where that is another.
        cut: Selects entries besides, e.g. ``"Mbc > 5.275"``.

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
    cuts = None
    if not isinstance(data, Mapping):
        cuts = {mode: _cut(mode, branch, cut) for mode in chosen}
    elif cut is not None:
        raise InputError("cut selects from a file; select the candidates beforehand")
    return read_sample(data, chosen, limits=limits, branch=branch, trees=trees or None, cut=cuts)


def _cut(mode: str, branch: str, more: str | None) -> str:
    """The selection of the displacement as an expression of branches."""
    _, final = kaon_and_final(mode)
    tight = NUMBERS.displacement.tight.value
    parts = [f"(displacement > {NUMBERS.displacement.least.value})"]
    parts += [
        f"((displacement > {tight}) | ({branch} < {region.low}) | ({branch} > {region.high}))"
        for region in NUMBERS.tight_regions
        if final in region.final_states
    ]
    return " & ".join([*parts, *([] if more is None else [f"({more})"])])
