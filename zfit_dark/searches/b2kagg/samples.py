"""Candidates and mass hypotheses of b2kagg: pseudo-data, and files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zfit_dark import __version__
from zfit_dark.kinematics import two_body_momentum
from zfit_dark.searches import PseudoData, Sample
from zfit_dark.searches._generation import (
    check_ctau,
    check_seed,
    check_signals,
    cut_normal,
    double_crystal_ball,
    smooth,
)
from zfit_dark.searches._hypotheses import check_masses, check_range
from zfit_dark.searches._samples import (
    check_nothing_injected,
    check_nothing_selected,
    chosen_modes,
    read_sample,
    write_pseudo_data,
)
from zfit_dark.searches.b2kagg.signal import (
    FLIGHT,
    HIGHEST,
    LOWEST,
    MODES,
    NAME,
    NUMBERS,
    RESOLUTION,
    events_per_branching_fraction,
    signal_events,
)
from zfit_dark.theory import alp
from zfit_dark.theory.flavour import kinematic_end

FloatArray = npt.NDArray[np.float64]


def masses(
    step: float = 1.0,
    low: float | None = None,
    high: float | None = None,
    *,
    modes: Iterable[str] | None = None,
) -> FloatArray:
    """The mass hypotheses, in GeV: each a number of resolutions above the one before.

    Those inside a veto are among them: a scan reports them as not scanned.

    Args:
        step: Distance in units of the resolution.
        low: First mass; where the search begins if not given.
        high: No mass is above it; where the search ends if not given.
        modes: Some of `MODES`; all have the same masses.

    Raises:
        InputError: the step is not positive, low and high are not a range within the search's, or a
            mode is unknown.

    >>> masses(low=1.0, high=1.03).round(4).tolist()
    [1.0, 1.01, 1.02]
    """
    low = LOWEST if low is None else low
    high = HIGHEST if high is None else high
    chosen_modes(modes, MODES)
    check_range(low, high, NAME, LOWEST, HIGHEST)
    return RESOLUTION.grid(low, high, step)


def generate(
    seed: int = 1,
    *,
    out: str | os.PathLike[str] | None = None,
    inject: Iterable[tuple[float, float]] = (),
    modes: Iterable[str] | None = None,
    ctau: float = 0.0,
) -> PseudoData:
    """Pseudo-data: smooth background, peaks of π⁰, η, η′ and η_c, and signals if asked for.

    Every number of events is drawn from a Poisson distribution. The events of a mode depend on
    the seed alone, not on which other modes are made, and those of background and mesons not on
    what is injected.

    Args:
        seed: Not negative.
        out: A ROOT file to write: one TTree per mode with the branches ``mass`` (M_γγ), ``Mbc``
            and ``deltaE`` in GeV, after the selection, and a mark that says that these are
            pseudo-data.
        inject: Signals: pairs of a mass in GeV and the number of events expected in K⁺, if the a
            is prompt. The other modes get what `signal_events` gives for the same B(B⁺ → K⁺ a).
        modes: Some of `MODES`; None for all.
        ctau: Proper decay length of the signals in cm.

    Returns:
        Mode to masses M_γγ in GeV, with the record of how they were made.

    Raises:
        InputError: the seed, a mode or a signal is wrong, or the file cannot be written.
    """
    seed, signals, ctau = check_seed(seed), check_signals(inject), check_ctau(ctau)
    chosen = chosen_modes(modes, MODES)
    check_masses([mass for mass, _ in signals], NAME, LOWEST, HIGHEST)
    trees = {mode: _generated(mode, seed, signals, ctau) for mode in chosen}
    record = {
        "search": NAME,
        "seed": seed,
        "inject": [list(signal) for signal in signals],
        "ctau": ctau,
        "modes": list(chosen),
        "version": __version__,
    }
    if out is not None:
        write_pseudo_data(out, trees, record)
    return PseudoData({mode: tree["mass"] for mode, tree in trees.items()}, record)


def _generated(
    mode: str, seed: int, signals: Sequence[tuple[float, float]], ctau: float
) -> dict[str, FloatArray]:
    """The branches of one mode."""
    background, mesons, signal, order = (
        np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(MODES.index(mode), k)))
        for k in range(4)
    )
    parts = [_smooth(background, mode)]
    for meson in NUMBERS.mesons.values():
        mass = meson.mass.value
        events = events_per_branching_fraction(mode, mass) * meson.products[mode].value
        n = mesons.poisson(events)
        parts.append(_peak(mesons, mass, _breit_wigner(mesons, n, mass, meson.width.value)))
    for mass, events in signals:
        n = signal.poisson(events * signal_events(mode, mass) / signal_events("Kplus", mass))
        parts.append(_peak(signal, mass, _flown(signal, n, mode, mass, ctau)))
    tree = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    seen = NUMBERS.modes[mode].candidates
    keep = np.flatnonzero((tree["mass"] >= seen.low) & (tree["mass"] <= seen.high))
    order.shuffle(keep)
    return {name: values[keep] for name, values in tree.items()}


def _smooth(rng: np.random.Generator, mode: str) -> dict[str, FloatArray]:
    """Background."""
    numbers, seen = NUMBERS.modes[mode].background, NUMBERS.modes[mode].candidates
    n = rng.poisson(numbers.events)
    mass = smooth(rng, n, numbers.coefficients, seen.low, seen.high)
    mbc, delta_e = NUMBERS.selection.mbc, NUMBERS.selection.delta_e
    return {
        "mass": mass,
        "Mbc": rng.uniform(mbc.low, mbc.high, n),
        "deltaE": rng.uniform(delta_e.low, delta_e.high, n),
    }


def _breit_wigner(rng: np.random.Generator, n: int, mass: float, width: float) -> FloatArray:
    return mass + 0.5 * width * np.tan(np.pi * (rng.uniform(size=n) - 0.5))


def _flown(rng: np.random.Generator, n: int, mode: str, mass: float, ctau: float) -> FloatArray:
    """What M_γγ would be without resolution, of those a of n that decay before the calorimeter."""
    if ctau == 0:
        return np.full(n, mass)
    flown = _momenta(rng, n, mode, mass) / mass * ctau * rng.exponential(size=n)
    part = flown / NUMBERS.flight.calorimeter.value
    return mass * (1 - part[part < 1])


def _momenta(rng: np.random.Generator, n: int, mode: str, mass: float) -> FloatArray:
    """Momenta of a in the laboratory, in GeV: B at sin²θ_B, isotropic decays, moving Υ(4S)."""
    charged = NUMBERS.modes[mode].b_meson == "charged"
    b_mass = FLIGHT.bplus_mass if charged else FLIGHT.b0_mass
    kaon_mass = b_mass - kinematic_end(mode, inputs=FLIGHT)
    rest = two_body_momentum(b_mass, kaon_mass, mass) * _directions(rng, rng.uniform(-1, 1, n))
    along_b = _directions(rng, 2 * rng.beta(2, 2, n) - 1)
    momentum = _boosted(rest, mass, along_b, FLIGHT.b_momentum / b_mass)
    beams = np.array([[0.0], [0.0], [1.0]])
    found: FloatArray = np.linalg.norm(_boosted(momentum, mass, beams, FLIGHT.boost), axis=0)
    return found


def _directions(rng: np.random.Generator, cosine: FloatArray) -> FloatArray:
    """Unit vectors at polar angles to the beams, shape (3, n)."""
    azimuth, sine = rng.uniform(0, 2 * np.pi, len(cosine)), np.sqrt(1 - cosine**2)
    return np.array([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine])


def _boosted(momentum: FloatArray, mass: float, along: FloatArray, boost: float) -> FloatArray:
    """Momenta, shape (3, n), in a frame that βγ = boost along unit vectors leads to."""
    energy = np.sqrt(np.sum(momentum**2, axis=0) + mass**2)
    parallel = np.sum(momentum * along, axis=0)
    gained: FloatArray = (np.hypot(1, boost) - 1) * parallel + boost * energy
    return momentum + along * gained


def _peak(rng: np.random.Generator, mass: float, true: FloatArray) -> dict[str, FloatArray]:
    """B decays to particles of a mass: what M_γγ would be, smeared with the resolution there."""
    n = len(true)
    shape, chosen = RESOLUTION.parameters(mass), NUMBERS.selection
    b_mass = alp.DEFAULT_INPUTS.bplus_mass
    return {
        "mass": true + shape["shift"] + shape["sigma"] * double_crystal_ball(rng, n, shape),
        "Mbc": cut_normal(rng, n, b_mass, chosen.mbc_resolution.value, chosen.mbc),
        "deltaE": cut_normal(rng, n, 0.0, chosen.delta_e_resolution.value, chosen.delta_e),
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
    ctau: float = 0.0,
) -> Sample:
    """The candidates of a search, ready for `likelihood`, `scan`, `fits` and `control`.

    Args:
        data: A ROOT file with one tree per mode; a mapping of mode to masses in GeV; None for the
            pseudo-data of `generate`.
        modes: Some of `MODES`; None for all.
        seed: Of the pseudo-data.
        inject: Signals in the pseudo-data.
        branch: The branch that holds M_γγ in GeV.
        trees: Mode to name of its tree, where that is another.
        cut: Selects entries, e.g. ``"Mbc > 5.275"``.
        ctau: Proper decay length of the signals in the pseudo-data, in cm.

    Raises:
        InputError: see `generate` and `zfit_dark.candidates.read`; or signals are to be injected
            into data.
    """
    chosen = chosen_modes(modes, MODES)
    if data is None:
        check_nothing_selected(branch, trees, cut)
        data = generate(seed, inject=inject, modes=chosen, ctau=ctau)
    else:
        check_nothing_injected(inject)
    seen = {mode: NUMBERS.modes[mode].candidates for mode in chosen}
    limits = {mode: (interval.low, interval.high) for mode, interval in seen.items()}
    return read_sample(data, chosen, limits=limits, branch=branch, trees=trees or None, cut=cut)
