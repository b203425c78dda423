r"""B → K(*) S, S → x⁺x⁻ far from the B: peaks in the modified mass (Belle II, arXiv:2306.02830).

There are eight channels: B⁺ → K⁺ S and B⁰ → K*⁰(→ K⁺π⁻) S, with x = e, μ, π or K. Each is searched
for a peak in M′ = √(M² − 4 m_x²), for many masses and lifetimes of the S. The parameter of interest
of a channel is the product B(B⁺ → K⁺ S) B(S → x⁺x⁻), or B(B⁰ → K*⁰ S) B(S → x⁺x⁻) B(K*⁰ → K⁺π⁻),

    N = 2 N_BB f ε(m, cτ) × product,

f being f₊₋ or f₀₀. A model of the S (`MODELS`) ties the channels: then all of them are fitted at
once, and the parameter of interest is B(B⁺ → K⁺ S).

The candidates and their selection do not depend on the lifetime that is asked for, only the
efficiency does. So the signal yield of a channel is found once for each mass, and its limit divided
by 2 N_BB f ε(m, cτ) is that on the product, for all lifetimes: CLs limits follow such a factor
exactly. Where channels are combined their relative efficiencies do depend on the lifetime, and each
lifetime is fitted.

All numbers stand in ``b2ks.yaml``, with value, unit, source and status; most of those that describe
the detector are assumed, the efficiency such that windows without candidates have limits like the
published ones. Pseudo-data made from them are no result of the experiment.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial, reduce
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import zfit
from pydantic import Field, model_validator
from scipy.interpolate import PchipInterpolator

from zfit_dark import __version__, fitting, scanning
from zfit_dark.channel import Nuisance, ShapeChannel, Veto, bernstein
from zfit_dark.errors import InputError
from zfit_dark.frequentist import Toys
from zfit_dark.kinematics import (
    daughter_mass,
    invariant_mass,
    modified_mass,
    two_body_momentum,
)
from zfit_dark.likelihood import Likelihood
from zfit_dark.pdf import DoubleCB, ModifiedMass
from zfit_dark.profile import CompiledLoss
from zfit_dark.results import (
    Exclusion,
    Fit,
    Interval,
    LifetimeScan,
    Scan,
    Skipped,
    new_provenance,
)
from zfit_dark.searches import PseudoData, Sample, masses_to_show
from zfit_dark.searches._generation import (
    check_seed,
    check_signals,
    cut_normal,
    double_crystal_ball,
    smooth,
)
from zfit_dark.searches._hypotheses import check_masses, check_range, chosen_masses
from zfit_dark.searches._numbers import (
    Curve,
    Finite,
    Number,
    Range,
    Record,
    Sourced,
    data_file,
    load_numbers,
    table_of_sources,
)
from zfit_dark.searches._samples import (
    chosen_modes,
    made_folder,
    read_sample,
    unknown,
    write_pseudo_data,
)
from zfit_dark.signal_shape import SignalShape
from zfit_dark.theory import fermion_alp, flavour, scalar
from zfit_dark.theory.exclusion import ExcludedInterval, excluded_intervals

FloatArray = npt.NDArray[np.float64]

KAONS = ("Kplus", "Kst0")
FINAL_STATES = ("ee", "mumu", "pipi", "KK")
MODES = tuple(f"{kaon}_{final}" for kaon in KAONS for final in FINAL_STATES)
MODELS = {"scalar": scalar, "alp": fermion_alp}
"""What ties the channels: a scalar that mixes with the Higgs, an ALP that couples to fermions."""

WINDOW = 20.0
"""Half width of the fit window, in units of the resolution."""

PART = 100
"""Masses of a piece that is kept."""

TOYS = Toys(precision=0.08, most=8_000)
"""Enough for a limit of a few events, of which the efficiency is known to 5 %."""

_SHORT_OF_THE_END = 1e-3
"""Of the kinematic end, in GeV, hypotheses end."""

_NODES = 80
"""Masses of the table of the resolution."""

_MESONS = {
    "Kplus": (flavour.DEFAULT_INPUTS.bplus_mass, flavour.DEFAULT_INPUTS.kplus_mass),
    "Kst0": (flavour.DEFAULT_INPUTS.b0_mass, flavour.DEFAULT_INPUTS.kst0_mass),
}
_SYMBOL = {"scalar": "S", "alp": "a"}
_YIELD = "signal_events"
_PRODUCT = "bf_product"
_BF = "bf_kplus"


# -- the numbers ----------------------------------------------------------------------------


class _Values(Sourced):
    value: Annotated[list[Finite], Field(min_length=1)]


class _Polynomial(Sourced):
    coefficients: Annotated[list[Finite], Field(min_length=1)]


class _LongLifetimes(Record):
    start: Annotated[Number, Field(alias="from")]
    below: dict[str, Number]


class _FinalState(Record):
    daughter: Literal["e", "mu", "pi", "K"]
    tex: str
    resolution: _Polynomial
    efficiency: Curve
    identification: Number


class _Tails(Record):
    alphal: Number
    nl: Number
    alphar: Number
    nr: Number


class _Displacement(Record):
    least: Number
    tight: Number
    prompt: Number
    boost: Number
    outer: Curve
    uncertainty: Number


class _TightRegion(Range):
    final_states: list[Literal["ee", "mumu", "pipi", "KK"]]


class _Kaon(Record):
    b_meson: Literal["charged", "neutral"]
    tex: str
    efficiency: Number
    uncertainty: Number


class _Background(Sourced):
    events: Annotated[Finite, Field(ge=0)]
    coefficients: Annotated[list[Annotated[Finite, Field(ge=0)]], Field(min_length=1)]


class _Leftover(Record):
    tex: str
    mass: Number
    width: Number
    displacement: Number
    events: dict[str, Number]


class _Selection(Record):
    mbc: Range
    delta_e: Range
    mbc_resolution: Number
    delta_e_resolution: Number


class Numbers(Record):
    """The content of ``b2ks.yaml``."""

    title: str
    reference: str
    luminosity: Number
    n_bb: Number
    n_bb_uncertainty: Number
    charged_fraction: Number
    neutral_fraction: Number
    kst0_to_kpi: Number
    lowest_mass: Number
    highest_mass: Number
    lifetimes: _Values
    long_lifetimes: _LongLifetimes
    final_states: dict[str, _FinalState]
    tails: _Tails
    displacement: _Displacement
    tight_regions: list[_TightRegion]
    kaon_modes: dict[str, _Kaon]
    tracking_uncertainty: Number
    backgrounds: dict[str, _Background]
    background_displacement: Number
    leftovers: dict[str, _Leftover]
    veto: Range
    selection: _Selection

    @model_validator(mode="after")
    def _knows_all_channels(self) -> Numbers:
        there: dict[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
            "kaon_modes": (self.kaon_modes, KAONS),
            "final_states": (self.final_states, FINAL_STATES),
            "long_lifetimes.below": (self.long_lifetimes.below, FINAL_STATES),
            "backgrounds": (self.backgrounds, MODES),
        }
        for where, (found, known) in there.items():
            if tuple(found) != known:
                raise ValueError(f"{where} must hold {', '.join(known)}, not {', '.join(found)}")
        for name, leftover in self.leftovers.items():
            if strange := set(leftover.events) - set(MODES):
                raise ValueError(f"leftovers.{name}.events: no channel {', '.join(strange)}")
        if any(b <= a for a, b in pairwise(self.lifetimes.value)):
            raise ValueError("lifetimes must ascend")
        return self


NUMBERS = load_numbers(data_file("b2ks"), Numbers)
NAME = "b2ks"
TITLE = NUMBERS.title
OBSERVABLE_LABEL = r"$M'$ [GeV]"
LEVEL = 0.95
METHOD = "auto"
LIFETIMES = np.array(NUMBERS.lifetimes.value)
"""Proper decay lengths cτ in cm."""

_LOWEST_M_PRIME = modified_mass(NUMBERS.lowest_mass.value, "e")
_OUTER = PchipInterpolator(
    NUMBERS.displacement.outer.mass, NUMBERS.displacement.outer.value, extrapolate=False
)
_EFFICIENCY = {
    name: PchipInterpolator(final.efficiency.mass, final.efficiency.value, extrapolate=False)
    for name, final in NUMBERS.final_states.items()
}


def sources() -> str:
    """The numbers that go in, one line each: name, value, unit, status, source."""
    return table_of_sources(NUMBERS)


def _parts(mode: str) -> tuple[str, str]:
    """Kaon and final state of a channel."""
    kaon, _, final = mode.partition("_")
    return kaon, final


def label(mode: str) -> str:
    """A channel as a plot names it."""
    kaon, final = _parts(mode)
    b = "B^+" if NUMBERS.kaon_modes[kaon].b_meson == "charged" else "B^0"
    pair = NUMBERS.final_states[final].tex
    return rf"${b} \to {NUMBERS.kaon_modes[kaon].tex} S(\to {pair})$"


def _poi_label(mode: str) -> str:
    kaon, final = _parts(mode)
    pair = NUMBERS.final_states[final].tex
    if kaon == "Kplus":
        return rf"$\mathcal{{B}}(B^+ \to K^+ S)\,\mathcal{{B}}(S \to {pair})$"
    return (
        rf"$\mathcal{{B}}(B^0 \to K^{{*0}} S)\,\mathcal{{B}}(S \to {pair})\,"
        r"\mathcal{B}(K^{*0} \to K^+\pi^-)$"
    )


def mass_range(mode: str) -> tuple[float, float]:
    """The masses that a channel is searched for, in GeV: above threshold, below the kinematic end.

    Args:
        mode: One of `MODES`.

    >>> [round(mass, 3) for mass in mass_range("Kst0_pipi")]
    [0.279, 4.383]
    """
    kaon, final = _parts(mode)
    low = max(2 * daughter_mass(_daughter(final)), NUMBERS.lowest_mass.value)
    end = flavour.kinematic_end(kaon) - _SHORT_OF_THE_END
    return low, min(end, NUMBERS.highest_mass.value)


def _daughter(final: str) -> str:
    return NUMBERS.final_states[final].daughter


@lru_cache
def _resolution(final: str) -> SignalShape:
    """The peak in M′, a table against M′."""
    numbers = NUMBERS.final_states[final]
    highest = max(mass for mode in MODES for mass in _candidates(mode))
    positions = np.linspace(0.0, modified_mass(highest, numbers.daughter), _NODES)
    masses = invariant_mass(positions, numbers.daughter)
    sigma = 1e-3 * np.polynomial.polynomial.polyval(masses, numbers.resolution.coefficients)
    tails = {name: np.full(_NODES, number.value) for name, number in dict(NUMBERS.tails).items()}
    return SignalShape(
        positions,
        {"sigma": sigma} | tails,
        source=numbers.resolution.source,
        status=numbers.resolution.status,
    )


def _candidates(mode: str) -> tuple[float, float]:
    """The masses of the candidates of a channel: up to the end, and as far as ΔE lets them go."""
    kaon, final = _parts(mode)
    return 2 * daughter_mass(_daughter(final)), (
        flavour.kinematic_end(kaon) + NUMBERS.selection.delta_e.high
    )


# -- the signal -----------------------------------------------------------------------------


def least_displacement(final: str, mass: float) -> float:
    """The least distance of the vertex from the beams, in cm, that is selected at a mass."""
    for region in NUMBERS.tight_regions:
        if final in region.final_states and region.low <= mass <= region.high:
            return NUMBERS.displacement.tight.value
    return NUMBERS.displacement.least.value


def efficiency(mode: str, mass: float, ctau: float) -> float:
    """Efficiency for a signal; 0 where the channel is closed.

    With the mean decay length L = √((p/m)² + boost²) cτ, p being the momentum of the S in the rest
    frame of the B, it is ε₀(m) [exp(−least/L) + prompt] / (1 + L/outer).

    Args:
        mode: One of `MODES`.
        mass: Mass of the S, in GeV.
        ctau: Its proper decay length, in cm.

    Raises:
        InputError: the channel is unknown, or mass or lifetime not positive and finite.

    >>> round(efficiency("Kplus_mumu", 1.0, 1.0), 3)
    0.246
    """
    chosen_modes(mode, MODES)
    for name, value, unit in (("mass", mass, "GeV"), ("lifetime", ctau, "cm")):
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} {value:g} {unit}: give a positive number")
    kaon, final = _parts(mode)
    low, high = mass_range(mode)
    if not low <= mass <= high:
        return 0.0
    numbers = NUMBERS.displacement
    momentum = two_body_momentum(*_MESONS[kaon], mass)
    length = math.hypot(momentum / mass, numbers.boost.value) * ctau
    seen = math.exp(-least_displacement(final, mass) / length) + numbers.prompt.value
    whole = float(_EFFICIENCY[final](mass)) * NUMBERS.kaon_modes[kaon].efficiency.value
    return whole * seen / (1 + length / float(_OUTER(mass)))


def signal_events(mode: str, mass: float, ctau: float) -> float:
    """Signal events of a channel for a product of branching fractions of 1, in the whole peak.

    Args:
        mode: One of `MODES`.
        mass: Mass of the S, in GeV.
        ctau: Its proper decay length, in cm.

    Raises:
        InputError: see `efficiency`.
    """
    charged = NUMBERS.kaon_modes[_parts(mode)[0]].b_meson == "charged"
    fraction = NUMBERS.charged_fraction if charged else NUMBERS.neutral_fraction
    return 2 * NUMBERS.n_bb.value * fraction.value * efficiency(mode, mass, ctau)


def tied_events(model: str, mode: str, mass: float, ctau: float) -> float:
    """Signal events of a channel for B(B⁺ → K⁺ S) = 1, the other branching fractions of a model.

    It is 0 where the channel is closed, vetoed, or not to be interpreted in this model.

    Args:
        model: One of `MODELS`.
        mode: One of `MODES`.
        mass: Mass of the S, in GeV.
        ctau: Its proper decay length, in cm.
    """
    theory = _theory(model)
    kaon, final = _parts(mode)
    low, high = mass_range(mode)
    if not low <= mass <= high or _is_vetoed(final, mass):
        return 0.0
    try:
        decay = theory.decay_fraction(final, mass)
    except InputError:  # such as pairs of pions above 2 GeV: the others go on without it
        return 0.0
    produced, reference = (
        theory.branching_ratio_per_coupling_squared(each, mass) for each in (kaon, "Kplus")
    )
    submode = NUMBERS.kst0_to_kpi.value if kaon == "Kst0" else 1.0
    return float(signal_events(mode, mass, ctau) * decay * produced / reference * submode)


def _theory(model: str) -> Any:
    if model not in MODELS:
        raise InputError(unknown("model", model, MODELS))
    return MODELS[model]


def _is_vetoed(final: str, mass: float) -> bool:
    return final == "pipi" and NUMBERS.veto.low < mass < NUMBERS.veto.high


# -- candidates -----------------------------------------------------------------------------


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
    first, last = _range_of(chosen)
    begin, end = first if low is None else low, last if high is None else high
    check_range(begin, end, _where(chosen), first, last)
    final = min((_parts(mode)[1] for mode in chosen), key=FINAL_STATES.index)
    daughter = _daughter(final)
    begin = max(begin, invariant_mass(_LOWEST_M_PRIME, daughter)) if low is None else begin
    start, stop = modified_mass([begin, end], daughter).tolist()
    positions = _resolution(final).grid(start, stop, step)
    return np.clip(invariant_mass(positions, daughter), begin, end)


def _range_of(modes: Sequence[str]) -> tuple[float, float]:
    """The masses at which at least one of the channels is open."""
    ranges = [mass_range(mode) for mode in modes]
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _where(modes: Sequence[str]) -> str:
    return f"{NAME}, {modes[0]}" if len(modes) == 1 else NAME


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
    check_masses([m for m, _ in signals], _where(chosen[:1]), *mass_range(chosen[0]))
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
    check_masses([mass], NAME, *_range_of(MODES))
    theory = _theory("scalar")
    ctau = float(theory.lifetime_ctau_cm(mass, theta))
    produced = float(theory.branching_fraction("Kplus", mass, theta))
    return mass, produced * tied_events("scalar", mode, mass, ctau), ctau


def _selected(mode: str, tree: Mapping[str, FloatArray]) -> FloatArray:
    """Masses of the candidates that pass the harder selection of the displacement."""
    _, final = _parts(mode)
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
    low, high = _candidates(mode)
    keep = np.flatnonzero((tree["mass"] >= low) & (tree["mass"] <= high))
    order.shuffle(keep)
    return {name: values[keep] for name, values in tree.items()}


def _smooth(rng: np.random.Generator, mode: str) -> dict[str, FloatArray]:
    numbers, daughter = NUMBERS.backgrounds[mode], _daughter(_parts(mode)[1])
    n = rng.poisson(numbers.events)
    low, high = modified_mass(_candidates(mode), daughter)
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
    kaon, final = _parts(mode)
    n, daughter, b_mass = rng.poisson(events), _daughter(final), _MESONS[kaon][0]
    true = mass + 0.5 * width * np.tan(np.pi * (rng.uniform(size=n) - 0.5))
    position = modified_mass(np.maximum(true, 2 * daughter_mass(daughter)), daughter)
    shape = _resolution(final).parameters(modified_mass(mass, daughter))
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
        if trees or cut is not None or branch != "mass":
            raise InputError("branch, trees and cut select from a file; give data")
        data = generate(seed, inject=inject, modes=chosen)
    elif tuple(inject):
        raise InputError(
            "signals are injected into generated pseudo-data only, not into given data"
        )
    limits = {mode: _candidates(mode) for mode in chosen}
    cuts = None
    if not isinstance(data, Mapping):
        cuts = {mode: _cut(mode, branch, cut) for mode in chosen}
    elif cut is not None:
        raise InputError("cut selects from a file; select the candidates beforehand")
    return read_sample(data, chosen, limits=limits, branch=branch, trees=trees or None, cut=cuts)


def _cut(mode: str, branch: str, more: str | None) -> str:
    """The selection of the displacement as an expression of branches."""
    _, final = _parts(mode)
    tight = NUMBERS.displacement.tight.value
    parts = [f"(displacement > {NUMBERS.displacement.least.value})"]
    parts += [
        f"((displacement > {tight}) | ({branch} < {region.low}) | ({branch} > {region.high}))"
        for region in NUMBERS.tight_regions
        if final in region.final_states
    ]
    return " & ".join([*parts, *([] if more is None else [f"({more})"])])


# -- fits -----------------------------------------------------------------------------------


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
    sample, chosen = _sample(data, modes)
    if model is None:
        _check_single(chosen)
        per_poi = {chosen[0]: partial(signal_events, chosen[0], ctau=ctau)}
    else:
        _theory(model)
        per_poi = {mode: partial(tied_events, model, mode, ctau=ctau) for mode in chosen}
    made = _model(sample, chosen, _PRODUCT if model is None else _BF)
    return made.rescaled(per_poi)


def _check_single(modes: Sequence[str]) -> None:
    if len(modes) > 1:
        raise InputError(
            f"{len(modes)} channels: choose one, or give model= ({', '.join(MODELS)}) to tie them"
        )


def _sample(data: Any, modes: Iterable[str] | None) -> tuple[Sample, tuple[str, ...]]:
    """The candidates and the channels to take of them."""
    if not isinstance(data, Sample):
        data = read(data, modes=modes)
        return data, tuple(data.values)
    return data, chosen_modes(modes, tuple(data.values))


@lru_cache(maxsize=2)
def _model(sample: Sample, modes: tuple[str, ...], poi: str) -> Likelihood:
    """The model of a sample, for one signal event per channel; compiling it takes long."""
    return Likelihood([_channel(mode, sample.values[mode]) for mode in modes], poi=poi)


def _channel(mode: str, values: FloatArray) -> ShapeChannel:
    kaon, final = _parts(mode)
    daughter = _daughter(final)
    numbers = NUMBERS.final_states[final]
    vetoes: tuple[Veto, ...] = ()
    if final == "pipi":
        edges = modified_mass([NUMBERS.veto.low, NUMBERS.veto.high], daughter).tolist()
        vetoes = (Veto(edges[0], edges[1], "K⁰_S → π⁺π⁻"),)
    low, high = modified_mass(_candidates(mode), daughter).tolist()
    return ShapeChannel(
        mode,
        data=modified_mass(values, daughter),
        limits=(low, high),
        signal=_resolution(final),
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
    progress: bool = True,
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
        progress: Show a progress bar.
        ctau: Proper decay length of the S in cm.
        model: One of `MODELS`, see `likelihood`.

    Returns:
        The limits. Hypotheses in the veto are not scanned, and listed with the reason.

    Raises:
        InputError: see `read`; a mass is outside the range of the channels; or several channels
            have no model.
    """
    if not isinstance(data, Sample):
        data = read(data, modes=modes, seed=seed, inject=inject, cut=cut)
    sample, chosen = _sample(data, modes)
    asked = {
        "level": level,
        "blind": blind,
        "method": method,
        "toys": TOYS if toys is None else toys,
        "global_toys": global_toys,
        "progress": progress,
    }
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
    lifetimes: npt.ArrayLike | None = None,
    model: str | None = None,
    parts: str | os.PathLike[str] | None = None,
) -> LifetimeScan:
    """Upper limits against mass, lifetime and channel.

    Without a model, each channel is scanned by itself: the signal yield once a mass, which gives
    the limits of all lifetimes. With one, all channels are fitted at once, for each lifetime. The
    longest lifetimes have limits at low masses only, see ``long_lifetimes`` of the numbers.

    Args:
        data: See `scan`, as for all up to `progress`. Of ``masses``, a channel takes those that are
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
        lifetimes: Proper decay lengths in cm; `LIFETIMES` if not given.
        model: One of `MODELS`, which ties the channels.
        parts: A folder that keeps what is done, in pieces of `PART` masses: the same call goes on
            from there.

    Returns:
        The limits of each channel; with a model, of one channel of its name.

    Raises:
        InputError: see `scan`; or a piece in ``parts`` is of another scan.
    """
    if not isinstance(data, Sample):
        data = read(data, modes=modes, seed=seed, inject=inject, cut=cut)
    sample, chosen = _sample(data, modes)
    times = LIFETIMES if lifetimes is None else np.unique(np.asarray(lifetimes, dtype=np.float64))
    asked = {
        "level": level,
        "blind": blind,
        "method": method,
        "toys": TOYS if toys is None else toys,
        "global_toys": 0,
        "progress": progress,
    }
    folder = None if parts is None else made_folder(Path(parts))
    if model is not None:
        hypotheses = _hypotheses(chosen, masses, max_masses)
        longest = max(_reach_of_long_lifetimes(_parts(mode)[1]) for mode in chosen)
        of_model = []
        for ctau in times.tolist():
            here = _at_lifetime(hypotheses, ctau, longest)
            if not len(here):  # nor at longer ones
                break

            def tied(part: FloatArray, ctau: float = ctau) -> Scan:
                return _tied_limits(sample, chosen, model, ctau, part, asked)

            record = _provenance(sample, asked, chosen, model, ctau)
            of_model.append(_in_parts(tied, here, folder, f"{model}_{ctau:g}cm", record))
        return LifetimeScan(lifetimes=times[: len(of_model)], scans={model: tuple(of_model)})
    scans = {}
    for mode in chosen:
        low, high = mass_range(mode)
        wanted = masses
        if masses is not None:
            given = np.ravel(np.asarray(masses, dtype=np.float64))
            wanted = given[(given >= low) & (given <= high)]
        found = _in_parts(
            partial(_yields, sample, mode, asked=asked),
            _hypotheses((mode,), wanted, max_masses),
            folder,
            mode,
            _provenance(sample, asked, (mode,), None, None),
        )
        reach = _reach_of_long_lifetimes(_parts(mode)[1])
        scans[mode] = tuple(
            _product_limits(_with_lifetime(found, ctau, reach), mode, ctau)
            for ctau in times.tolist()
        )
    return LifetimeScan(lifetimes=times, scans=scans)


def _hypotheses(
    modes: tuple[str, ...], wanted: npt.ArrayLike | None, max_masses: int | None
) -> FloatArray:
    found = _grid(modes=modes) if wanted is None else wanted
    return chosen_masses(found, max_masses, _where(modes), *_range_of(modes))


_grid = masses  # where an argument has its name


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


def _yields(sample: Sample, mode: str, hypotheses: FloatArray, asked: Mapping[str, Any]) -> Scan:
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
    record = dict(found.provenance)
    record["settings"] = {**record["settings"], "ctau": ctau}
    made = found.scaled(1 / events, poi=_PRODUCT, poi_label=_poi_label(mode), poi_unit="")
    return replace(made, provenance=record)


def _tied_limits(
    sample: Sample,
    modes: tuple[str, ...],
    model: str,
    ctau: float,
    hypotheses: FloatArray,
    asked: Mapping[str, Any],
) -> Scan:
    """Limits on B(B⁺ → K⁺ S) of several channels at once."""
    return _scanned(
        likelihood(sample, modes=modes, ctau=ctau, model=model),
        sample,
        hypotheses,
        asked,
        rf"$\mathcal{{B}}(B^+ \to K^+ {_SYMBOL[model]})$",
        _provenance(sample, asked, modes, model, ctau),
    )


def _scanned(
    model: Likelihood,
    sample: Sample,
    hypotheses: FloatArray,
    asked: Mapping[str, Any],
    label: str,
    provenance: Mapping[str, Any],
) -> Scan:
    return scanning.scan(
        model,
        hypotheses,
        **asked,
        poi_label=label,
        pseudo_data=sample.pseudo_data is not None,
        provenance=provenance,
    )


def _provenance(
    sample: Sample,
    asked: Mapping[str, Any],
    modes: Sequence[str],
    model: str | None,
    ctau: float | None,
) -> dict[str, Any]:
    """Where limits come from; no lifetime where they are those on the signal events."""
    made = sample.pseudo_data
    settings = {
        "modes": list(modes),
        "model": model,
        "ctau": ctau,
        **{name: asked[name] for name in ("level", "method", "blind")},
        "toys": None if asked["method"] == "asymptotic" else asdict(asked["toys"]),
        "window": WINDOW,
        **sample.settings,
        "pseudo_data": None if made is None else dict(made),
    }
    return new_provenance(search=NAME, settings=settings, inputs=sample.inputs)


def _in_parts(
    work: Callable[[FloatArray], Scan],
    hypotheses: FloatArray,
    folder: Path | None,
    name: str,
    provenance: Mapping[str, Any],
) -> Scan:
    """A scan in pieces that are kept in a folder; those that are there are not made again.

    Args:
        work: Makes a piece.
        hypotheses: All masses.
        folder: Where the pieces are; None to keep none.
        name: Begins the names of their files.
        provenance: What the pieces say of their origin.
    """
    if folder is None:
        return work(hypotheses)
    found: list[Scan] = []
    for first in range(0, len(hypotheses), PART):
        part, path = hypotheses[first : first + PART], folder / f"{name}_{first:05d}.json"
        if path.exists():
            found.append(Scan.from_json(path))
            _check_same(found[-1], part, provenance, path)
        else:
            found.append(work(part))
            found[-1].to_json(path)
    return reduce(Scan.merge, found)


def _check_same(
    found: Scan, hypotheses: FloatArray, provenance: Mapping[str, Any], path: Path
) -> None:
    """Refuse a piece of another scan."""
    for name in ("settings", "inputs", "versions"):
        if found.provenance.get(name) != json.loads(json.dumps(provenance[name])):
            raise InputError(f"{path}: a piece of a scan with other {name}; choose another folder")
    there = np.sort([*found.masses, *(skipped.mass for skipped in found.skipped)])
    if not np.array_equal(there, hypotheses):
        raise InputError(f"{path}: a piece of a scan of other masses; choose another folder")


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
    _check_poi(scan, _PRODUCT, _BF)
    settings = scan.provenance["settings"]
    made = likelihood(
        sample, modes=settings["modes"], ctau=settings["ctau"], model=settings["model"]
    )
    return [
        fitting.fit(
            made,
            mass,
            blind=scan.blind,
            poi_label=scan.poi_label,
            pseudo_data=scan.pseudo_data,
            goodness_toys=goodness_toys,
        )
        for mass in masses_to_show(scan, count)
    ]


def interpret(
    result: LifetimeScan, *, model: str = "scalar", channel: str | None = None
) -> Exclusion:
    """The couplings that limits exclude, the lifetime of the S moving along with its coupling.

    A coupling is excluded if it predicts more than the upper limit at the lifetime that it implies.
    Between the lifetimes of the scan the logarithm of the limit is interpolated in that of the
    lifetime; outside them nothing is excluded.

    Args:
        result: The limits, of `scan_lifetimes`.
        model: "scalar", a dark scalar with the mixing angle θ, see `theory.scalar`; or "alp", an
            axion-like particle with the coupling g_Y = 2v/f_a to fermions, see
            `theory.fermion_alp`.
        channel: Which of the channels, if there are several: one of `MODES`, or the model that
            they were combined with.

    Returns:
        The excluded intervals against mass. Masses at which the model does not tell the channel's
        branching fraction, or the lifetime, are skipped with the reason.

    Raises:
        InputError: the model or the channel is unknown, or the channels were combined with another
            model.
    """
    theory, coupling = _theory(model), _COUPLINGS[model]
    name = _channel_of(result, channel)
    if name in MODELS and name != model:
        raise InputError(f"the channels were combined with the model {name!r}; interpret it so")
    skipped = {each.mass: each.reason for scan in result.scans[name] for each in scan.skipped}
    found: dict[str, list[tuple[Interval, ...]]] = {"observed": [], "expected": []}
    used, valid = [], []
    for mass in result.masses(name).tolist():
        try:
            per_coupling2 = _predicted(model, name, mass)
            unit_ctau = float(theory.lifetime_ctau_cm(mass, 1.0))
        except InputError as error:
            skipped[mass] = str(error)
            continue
        limits = {
            "observed": result.limits_at(name, mass),
            "expected": result.expected_at(name, mass)[:, 2],
        }
        for which, of_which in limits.items():
            intervals = excluded_intervals(
                lambda g: per_coupling2 * g**2,  # noqa: B023 (used at once)
                lambda g: unit_ctau / g**2,  # noqa: B023
                coupling.reach,
                result.lifetimes,
                of_which,
            )
            found[which].append(tuple(_interval(each) for each in intervals))
        used.append(mass)
        valid.append(_is_valid(result, name, mass))
    modes = [name] if name in MODES else result.scans[name][0].provenance["settings"]["modes"]
    return Exclusion(
        masses=np.array(used),
        observed=tuple(found["observed"]),
        expected=tuple(found["expected"]),
        valid=np.array(valid, bool),
        coupling=coupling.name,
        coupling_label=coupling.label,
        model=coupling.model,
        assumptions=(*_ASSUMED, *coupling.assumed),
        channels=tuple(modes),
        level=result.level,
        blind=result.blind,
        pseudo_data=result.pseudo_data,
        skipped=tuple(Skipped(mass, reason) for mass, reason in skipped.items()),
        provenance=result.scans[name][0].provenance,
    )


class _Coupling(NamedTuple):
    name: str
    label: str
    model: str
    reach: tuple[float, float]
    assumed: tuple[str, ...]


_COUPLINGS = {
    "scalar": _Coupling(
        "theta",
        r"$\sin\theta$",
        "dark scalar that mixes with the Higgs boson",
        (1e-7, 1.0),
        ("widths to hadrons are known to 5 % below 1 GeV, 20 % below 2 GeV, 50 % above",),
    ),
    "alp": _Coupling(
        "g_Y",
        r"$g_Y = 2v/f_a$",
        "axion-like particle that couples to fermions",
        (1e-7, 10.0),
        ("the couplings are universal at 1 TeV", "decays to hadrons are neglected"),
    ),
}
_ASSUMED = ("the efficiency is assumed, it is not that of the experiment",)


def _channel_of(result: LifetimeScan, channel: str | None) -> str:
    if channel is None and len(result.channels) > 1:
        raise InputError(f"give channel=, one of {', '.join(result.channels)}")
    name = result.channels[0] if channel is None else channel
    if name not in result.channels:
        raise InputError(unknown("channel", name, result.channels))
    if name not in (*MODES, *MODELS):
        raise InputError(unknown("channel", name, (*MODES, *MODELS)))
    return name


def _predicted(model: str, channel: str, mass: float) -> float:
    """What a channel limits, over the square of the coupling."""
    theory = _theory(model)
    if channel in MODELS:
        return float(theory.branching_ratio_per_coupling_squared("Kplus", mass))
    kaon, final = _parts(channel)
    submode = NUMBERS.kst0_to_kpi.value if kaon == "Kst0" else 1.0
    produced = theory.branching_ratio_per_coupling_squared(kaon, mass)
    return float(produced * theory.decay_fraction(final, mass) * submode)


def _interval(found: ExcludedInterval) -> Interval:
    return Interval(
        low=found.low,
        high=found.high,
        low_is_crossing=found.low_edge == "crossing",
        high_is_crossing=found.high_edge == "crossing",
    )


def _is_valid(result: LifetimeScan, channel: str, mass: float) -> bool:
    """Whether all limits of a mass are valid."""
    flags = [scan.valid[scan.masses == mass] for scan in result.scans[channel]]
    return bool(np.concatenate(flags).all())


def _check_poi(scan: Scan, *known: str) -> None:
    if scan.poi not in known:
        raise InputError(
            f"a scan of {scan.poi}; give one of {' or '.join(known)}, as {NAME} makes it"
        )


# -- the K0S as a control -------------------------------------------------------------------


@dataclass(frozen=True)
class Peak:
    """A fitted peak.

    Attributes:
        variable: "M" or "M'".
        mass: Its mass, in GeV.
        mass_error: The uncertainty of that.
        width_scale: Its width over that of the signal's table.
        width_scale_error: The uncertainty of that.
        events: Candidates in the peak.
        events_error: The uncertainty of that.
        valid: Whether the fit converged.
    """

    variable: str
    mass: float
    mass_error: float
    width_scale: float
    width_scale_error: float
    events: float
    events_error: float
    valid: bool


def control(data: Any, mode: str = "Kplus_pipi") -> list[Peak]:
    """Validation: fit the K⁰_S that are left in M(ππ), in M and in M′.

    In M′ the peak is that in M seen through `pdf.ModifiedMass`, on a background of its own. The
    natural width of the K⁰_S, 7 × 10⁻¹⁵ GeV, is nothing beside the resolution: the peak is a
    Breit–Wigner line of no width folded with it, which is the resolution itself.

    Args:
        data: A `Sample`, or what `read` takes.
        mode: "Kplus_pipi" or "Kst0_pipi".

    Returns:
        The fits in M and in M′.

    Raises:
        InputError: the channel has no pions, or see `read`.
    """
    if mode not in NUMBERS.leftovers["KS"].events:
        raise InputError(unknown("control channel", mode, NUMBERS.leftovers["KS"].events))
    sample, _ = _sample(data, [mode])
    low, high = (NUMBERS.leftovers["KS"].mass.value + x for x in (-_AROUND_KS, _AROUND_KS))
    values = sample.values[mode]
    values = values[(values >= low) & (values <= high)]
    if not len(values):
        raise InputError(f"{mode}: no candidate around the K⁰_S, {low:.3f} to {high:.3f} GeV")
    edges = modified_mass([low, high], "pi").tolist()
    return [
        _control_fit("M", values, (low, high)),
        _control_fit("M'", np.clip(modified_mass(values, "pi"), *edges), (edges[0], edges[1])),
    ]


_AROUND_KS = 0.05
"""Half width of the control fit, in GeV."""


def _control_fit(variable: str, values: FloatArray, limits: tuple[float, float]) -> Peak:
    """The fit of the peak on a straight line."""
    at = NUMBERS.leftovers["KS"].mass.value
    position = modified_mass(at, "pi")
    shape = _resolution("pipi").parameters(position)
    width = shape["sigma"] * position / at  # of M, from that of M'
    obs = zfit.Space(f"control_{variable}", *limits)
    mass = zfit.Parameter("control_mass", at, at - 0.02, at + 0.02)
    scale = zfit.Parameter("control_width_scale", 1.0, 0.1, 10.0)
    sigma = zfit.ComposedParameter(
        "control_sigma", lambda p: width * p["scale"], params={"scale": scale}, unpack_params=False
    )
    tails: dict[str, Any] = {name: shape[name] for name in dict(NUMBERS.tails)}
    events = zfit.Parameter("control_events", 0.8 * len(values), 0.0)
    if variable == "M":
        peak = DoubleCB(mass, sigma, **tails, obs=obs, extended=events)
    else:
        in_mass = zfit.Space("control_mass_of_pair", *invariant_mass(limits, "pi"))
        peak = ModifiedMass(
            DoubleCB(mass, sigma, **tails, obs=in_mass), "pi", obs=obs, extended=events
        )
    backgrounds = [
        zfit.pdf.Bernstein(
            obs, coefficients, extended=zfit.Parameter(f"control_background_{i}", 5.0, 0.0)
        )
        for i, coefficients in enumerate(([1.0, 0.0], [0.0, 1.0]))
    ]
    ours = CompiledLoss(
        zfit.loss.ExtendedUnbinnedNLL(
            zfit.pdf.SumPDF([peak, *backgrounds]), zfit.Data.from_numpy(obs=obs, array=values)
        )
    )
    start = ours.values()[None]
    found = ours.fit(ours.observed(), start, np.ones(start.shape, bool))
    theta = found.theta[0]
    bend = ours.evaluate(found.theta, ours.observed())[2][0]
    errors = np.sqrt(np.diag(np.linalg.pinv(bend)))
    at_mass, at_scale, at_events = (ours.index(each) for each in (mass, scale, events))
    return Peak(
        variable,
        mass=float(theta[at_mass]),
        mass_error=float(errors[at_mass]),
        width_scale=float(theta[at_scale]),
        width_scale_error=float(errors[at_scale]),
        events=float(theta[at_events]),
        events_error=float(errors[at_events]),
        valid=bool(found.converged[0]),
    )
