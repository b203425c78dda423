r"""B → K(*) a, a → γγ: a peak in M_γγ, in four kaon modes at once (Belle, arXiv:2507.01249).

The parameter of interest is B(B⁺ → K⁺ a); theory ties the other modes to it (`theory.alp`). The
signal yield of mode i at mass m is

    N_i = 2 N_BB f_i [B_i/B_K+](m) B_sub,i ε_i(m) B(B⁺ → K⁺ a),

f_i being f₊₋ or f₀₀, and 0 where the mode is not searched: for K* modes above 4.20 GeV. There they
stay in the fit with their background alone, so that the K modes can be scanned on.

The a is taken to be prompt. All numbers stand in ``b2kagg.yaml``, with value, unit, source and
status; most of those that describe the detector are assumed. Pseudo-data made from them are no
result of the experiment.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import model_validator
from scipy.interpolate import PchipInterpolator

from zfit_dark import __version__, fitting, projecting, scanning
from zfit_dark.channel import Nuisance, ShapeChannel, Veto, bernstein
from zfit_dark.errors import InputError
from zfit_dark.frequentist import Toys
from zfit_dark.likelihood import Likelihood
from zfit_dark.profile import compiled
from zfit_dark.projecting import LUMINOSITIES
from zfit_dark.results import Fit, Projection, Scan, new_provenance
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
    Background,
    Curve,
    Number,
    Range,
    Record,
    Selection,
    Shape,
    data_file,
    load_numbers,
    table_of_sources,
)
from zfit_dark.searches._samples import (
    check_nothing_injected,
    check_nothing_selected,
    chosen_modes,
    read_sample,
    sample_of,
    unknown,
    write_pseudo_data,
)
from zfit_dark.signal_shape import SignalShape
from zfit_dark.theory import alp

FloatArray = npt.NDArray[np.float64]

MODES = alp.MODES
WINDOW = 20.0
"""Half width of the fit window, in units of the resolution."""

_POI = "bf_kplus"
_COUPLING = "g_aW"


# -- the numbers ----------------------------------------------------------------------------


class _Mode(Record):
    label: str
    b_meson: Literal["charged", "neutral"]
    submode: Number
    masses: Range
    candidates: Range
    efficiency: Curve
    efficiency_uncertainty: Number
    background: Background

    @model_validator(mode="after")
    def _fits_together(self) -> _Mode:
        if not all(0 < value <= 1 for value in self.efficiency.value):
            raise ValueError("an efficiency is not between 0 and 1")
        seen, searched = self.candidates, self.masses
        if not seen.low <= searched.low < searched.high <= seen.high:
            raise ValueError("the masses reach outside the candidates")
        return self


class _Meson(Record):
    name: str
    tex: str
    mass: Number
    width: Number
    products: dict[str, Number]
    veto: Range


class Numbers(Record):
    """The content of ``b2kagg.yaml``."""

    title: str
    mass_label: str
    reference: str
    luminosity: Number
    n_bb: Number
    n_bb_uncertainty: Number
    charged_fraction: Number
    neutral_fraction: Number
    efficiency_uncertainty: Number
    resolution: Shape
    modes: dict[str, _Mode]
    mesons: dict[str, _Meson]
    selection: Selection

    @model_validator(mode="after")
    def _knows_all_modes(self) -> Numbers:
        there = {"modes": list(self.modes)}
        there |= {f"mesons.{name}.products": list(m.products) for name, m in self.mesons.items()}
        for where, modes in there.items():
            if set(modes) != set(MODES):
                raise ValueError(f"{where} must hold {', '.join(MODES)}, not {', '.join(modes)}")
        return self


NUMBERS = load_numbers(data_file("b2kagg"), Numbers)
NAME = "b2kagg"
TITLE = NUMBERS.title
POI_LABEL = r"$\mathcal{B}(B^+ \to K^+ a)$"
OBSERVABLE_LABEL = r"$M_{\gamma\gamma}$ [GeV]"
LEVEL = 0.90
METHOD = "asymptotic"

_RESOLUTION = SignalShape(
    np.array(NUMBERS.resolution.mass),
    {name: np.array(values) for name, values in NUMBERS.resolution.table.items()},
    source=NUMBERS.resolution.source,
    status=NUMBERS.resolution.status,
)
_EFFICIENCY = {
    name: PchipInterpolator(mode.efficiency.mass, mode.efficiency.value, extrapolate=False)
    for name, mode in NUMBERS.modes.items()
}
_NARROW = {name: meson for name, meson in NUMBERS.mesons.items() if meson.width.value == 0}
_LOW = min(mode.masses.low for mode in NUMBERS.modes.values())
_HIGH = max(mode.masses.high for mode in NUMBERS.modes.values())


def sources() -> str:
    """The numbers that go in, one line each: name, value, unit, status, source."""
    return table_of_sources(NUMBERS)


def signal_events(mode: str, mass: float) -> float:
    """Signal events of a mode for B(B⁺ → K⁺ a) = 1, in the whole peak; 0 where it is not searched.

    Args:
        mode: One of `MODES`.
        mass: Mass of the a, in GeV.

    Raises:
        InputError: the mode is unknown, or the mass not positive and finite.

    >>> round(signal_events("Kplus", 1.0) / 1e8, 3)
    1.587
    """
    chosen_modes(mode, MODES)
    searched = NUMBERS.modes[mode].masses
    reference = alp.branching_ratio_per_coupling_squared("Kplus", mass)
    if not searched.low <= mass <= searched.high:
        return 0.0
    ratio = alp.branching_ratio_per_coupling_squared(mode, mass) / reference
    return _events_per_branching_fraction(mode, mass) * ratio


def _events_per_branching_fraction(mode: str, mass: float) -> float:
    """Events of a mode for a branching fraction of 1 of the mode itself."""
    numbers = NUMBERS.modes[mode]
    charged = numbers.b_meson == "charged"
    fraction = NUMBERS.charged_fraction if charged else NUMBERS.neutral_fraction
    efficiency = float(_EFFICIENCY[mode](mass))
    return 2 * NUMBERS.n_bb.value * fraction.value * numbers.submode.value * efficiency


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
    low = _LOW if low is None else low
    high = _HIGH if high is None else high
    chosen_modes(modes, MODES)
    check_range(low, high, NAME, _LOW, _HIGH)
    return _RESOLUTION.grid(low, high, step)


# -- candidates -----------------------------------------------------------------------------


def generate(
    seed: int = 1,
    *,
    out: str | os.PathLike[str] | None = None,
    inject: Iterable[tuple[float, float]] = (),
    modes: Iterable[str] | None = None,
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
        inject: Signals: pairs of a mass in GeV and the number of events expected in K⁺. The other
            modes get what `signal_events` gives for the same B(B⁺ → K⁺ a).
        modes: Some of `MODES`; None for all.

    Returns:
        Mode to masses M_γγ in GeV, with the record of how they were made.

    Raises:
        InputError: the seed, a mode or a signal is wrong, or the file cannot be written.
    """
    seed, signals = check_seed(seed), check_signals(inject)
    chosen = chosen_modes(modes, MODES)
    check_masses([mass for mass, _ in signals], NAME, _LOW, _HIGH)
    trees = {mode: _generated(mode, seed, signals) for mode in chosen}
    record = {
        "search": NAME,
        "seed": seed,
        "inject": [list(signal) for signal in signals],
        "modes": list(chosen),
        "version": __version__,
    }
    if out is not None:
        write_pseudo_data(out, trees, record)
    return PseudoData({mode: tree["mass"] for mode, tree in trees.items()}, record)


def _generated(
    mode: str, seed: int, signals: Sequence[tuple[float, float]]
) -> dict[str, FloatArray]:
    """The branches of one mode."""
    background, mesons, signal, order = (
        np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(MODES.index(mode), k)))
        for k in range(4)
    )
    parts = [_smooth(background, mode)]
    for meson in NUMBERS.mesons.values():
        mass = meson.mass.value
        events = _events_per_branching_fraction(mode, mass) * meson.products[mode].value
        parts.append(_peak(mesons, mass, meson.width.value, events))
    for mass, events in signals:
        tied = events * signal_events(mode, mass) / signal_events("Kplus", mass)
        parts.append(_peak(signal, mass, 0.0, tied))
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


def _peak(
    rng: np.random.Generator, mass: float, width: float, events: float
) -> dict[str, FloatArray]:
    """B decays to a particle: its line shape, smeared with the resolution at its mass."""
    n = rng.poisson(events)
    true = mass + 0.5 * width * np.tan(np.pi * (rng.uniform(size=n) - 0.5))
    shape, chosen = _RESOLUTION.parameters(mass), NUMBERS.selection
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
    seen = {mode: NUMBERS.modes[mode].candidates for mode in chosen}
    limits = {mode: (interval.low, interval.high) for mode, interval in seen.items()}
    return read_sample(data, chosen, limits=limits, branch=branch, trees=trees or None, cut=cut)


# -- fits -----------------------------------------------------------------------------------


def likelihood(
    data: Any, *, modes: Iterable[str] | None = None, window: float = WINDOW
) -> Likelihood:
    """The simultaneous model of the modes. Its parameter of interest is B(B⁺ → K⁺ a).

    The background of a mode is a sum of Bernstein polynomials of second order in a window around
    the hypothesis; π⁰, η, η′ and η_c are vetoed. N_BB and a part of the efficiencies are uncertain
    in all modes alike, the rest of each efficiency by itself.

    Args:
        data: A `Sample`, or what `read` takes.
        modes: Some of `MODES`; None for all.
        window: Half width of the fit window, in units of the resolution.

    Raises:
        InputError: see `read`.
    """
    sample, chosen = sample_of(data, modes, read)
    return _model(sample, chosen, window)


@lru_cache(maxsize=1)
def _model(sample: Sample, modes: tuple[str, ...], window: float) -> Likelihood:
    """The model of a sample; the last one is kept, for compiling it takes long."""
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
            **_channel(mode, sample),
        )
        for mode in modes
    ]
    return Likelihood(channels, poi=_POI)


def _channel(mode: str, sample: Sample) -> dict[str, Any]:
    """What a mode has in common in the search and in its control sample."""
    numbers = NUMBERS.modes[mode]
    return {
        "data": sample.values[mode],
        "limits": (numbers.candidates.low, numbers.candidates.high),
        "signal": _RESOLUTION,
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
    progress: bool = True,
) -> Scan:
    """Upper limits on B(B⁺ → K⁺ a) against the mass, by CLs from the simultaneous fit.

    Args:
        data: A `Sample` of `read`, or what `read` takes; None for pseudo-data.
        level: Confidence level.
        masses: Hypotheses in GeV; those of `masses` if not given.
        max_masses: Take so many of them, spread evenly, the first and the last among them.
        modes: Some of `MODES`; None for all.
        seed: See `read`, as for `inject` and `cut`; a `Sample` has been read already.
        inject: Signals in the pseudo-data.
        cut: Selects entries of the file.
        blind: Expected limits only, from the sidebands.
        method: See `zfit_dark.upper_limit`, as for `toys`.
        toys: How many, and how precise, for the methods "toys" and "auto".
        global_toys: See `zfit_dark.scan`.
        progress: Show a progress bar.

    Returns:
        The limits. Hypotheses in a veto are not scanned, and listed with the reason.

    Raises:
        InputError: see `read`; or a mass is outside the range of the search.
    """
    wanted = _RESOLUTION.grid(_LOW, _HIGH) if masses is None else masses
    hypotheses = chosen_masses(wanted, max_masses, NAME, _LOW, _HIGH)
    if not isinstance(data, Sample):
        data = read(data, modes=modes, seed=seed, inject=inject, cut=cut)
    sample, chosen = sample_of(data, modes, read)
    made, plan = sample.pseudo_data, Toys() if toys is None else toys
    settings = {
        "level": level,
        "modes": list(chosen),
        "masses": None if masses is None else np.ravel(np.asarray(masses)).tolist(),
        "max_masses": max_masses,
        "window": WINDOW,
        "toys": asdict(plan) if method != "asymptotic" or global_toys else None,
        **sample.settings,
        "seed": None if made is None else made["seed"],
        "inject": None if made is None else made["inject"],
    }
    return scanning.scan(
        _model(sample, chosen, WINDOW),
        hypotheses,
        level=level,
        method=method,
        blind=blind,
        toys=plan,
        global_toys=global_toys,
        progress=progress,
        poi_label=POI_LABEL,
        pseudo_data=made is not None,
        provenance=new_provenance(search=NAME, settings=settings, inputs=sample.inputs),
    )


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

    Raises:
        InputError: see `scan` and `zfit_dark.project`.
    """
    wanted = _RESOLUTION.grid(_LOW, _HIGH) if masses is None else masses
    hypotheses = chosen_masses(wanted, max_masses, NAME, _LOW, _HIGH)
    if not isinstance(data, Sample):
        data = read(data, modes=modes, seed=seed, inject=inject, cut=cut)
    sample, chosen = sample_of(data, modes, read)
    made = sample.pseudo_data
    settings = {
        "level": level,
        "modes": list(chosen),
        "window": WINDOW,
        **sample.settings,
        "pseudo_data": None if made is None else dict(made),
    }
    return projecting.project(
        _model(sample, chosen, WINDOW),
        hypotheses,
        luminosities,
        NUMBERS.luminosity.value,
        level,
        method,
        floor=floor,
        blind=blind,
        toys=toys,
        progress=progress,
        poi_label=POI_LABEL,
        pseudo_data=made is not None,
        provenance=new_provenance(search=NAME, settings=settings, inputs=sample.inputs),
    )


def fits(sample: Sample, scan: Scan, *, count: int = 4, goodness_toys: int = 0) -> list[Fit]:
    """The fits at the most significant mass of a scan and at others, spread evenly.

    Args:
        sample: The candidates of the scan.
        scan: If it is blind, so are the fits.
        count: How many fits at most.
        goodness_toys: Toys that tell the goodness of each fit; 0 for none.
    """
    _check_poi(scan)
    modes = tuple(scan.provenance["settings"]["modes"])
    return [
        fitting.fit(
            _model(sample, modes, WINDOW),
            mass,
            blind=scan.blind,
            poi_label=scan.poi_label,
            pseudo_data=scan.pseudo_data,
            goodness_toys=goodness_toys,
        )
        for mass in masses_to_show(scan, count)
    ]


def interpret(result: Scan) -> Scan:
    """The limits on the coupling g_aW in GeV⁻¹, for a prompt a: g = √(B / (B/g²)).

    Not to be confused with a limit that takes the lifetime of the a into account: at low masses
    and small couplings it decays far away, the efficiency drops, and the true limit is weaker.

    Raises:
        InputError: the scan is not one of B(B⁺ → K⁺ a).
    """
    _check_poi(result)
    return result.map_poi(
        lambda mass, bf: alp.coupling_from_branching_fraction("Kplus", mass, bf),
        poi=_COUPLING,
        poi_label=r"$g_{aW}$ (prompt conversion)",
        poi_unit=r"GeV$^{-1}$",
    )


def _check_poi(scan: Scan) -> None:
    if scan.poi != _POI:
        raise InputError(f"a scan of {scan.poi}; give one of {_POI}, as {NAME} makes it")


def control(data: Any, meson: str, *, modes: Iterable[str] | None = None) -> Fit:
    """Validation: fit B → K(*) h, h → γγ, as if h were the a.

    No mass is vetoed. The fit gives B(B⁺ → K⁺ h) B(h → γγ); the other modes are tied to K⁺ by the
    products in ``b2kagg.yaml``, so that a fit of pseudo-data gives back what was put in,
    ``NUMBERS.mesons[meson].products["Kplus"]``.

    Args:
        data: A `Sample`, or what `read` takes.
        meson: "pi0", "eta" or "etap". The η_c is wider than the resolution and none of them.
        modes: Some of `MODES`; None for all.

    Returns:
        The fit: ``poi_hat`` and ``poi_error`` are the product and its uncertainty.

    Raises:
        InputError: the meson is none of these, or see `read`.
    """
    if meson not in _NARROW:
        raise InputError(unknown("control channel", meson, _NARROW))
    h = _NARROW[meson]
    sample, chosen = sample_of(data, modes, read)
    return fitting.fit(
        _control_model(sample, chosen),
        h.mass.value,
        poi_label=rf"$\mathcal{{B}}(B^+ \to K^+ {h.tex}) \mathcal{{B}}({h.tex} \to \gamma\gamma)$",
        pseudo_data=sample.pseudo_data is not None,
    )


@lru_cache(maxsize=1)
def _control_model(sample: Sample, modes: tuple[str, ...]) -> Likelihood:
    """One model for all control channels: their fit windows do not overlap."""
    channels = [
        ShapeChannel(
            mode,
            signal_per_poi=partial(_control_events, mode),
            window=WINDOW,
            label=NUMBERS.modes[mode].label.replace(" a$", " h$"),
            **_channel(mode, sample),
        )
        for mode in modes
    ]
    model = Likelihood(channels, poi=f"{_POI}_control")
    largest = model.largest_windows([meson.mass.value for meson in _NARROW.values()])
    compiled(model.loss).reserve(largest)
    return model


def _control_events(mode: str, mass: float) -> float:
    """Events of a mode for B(B⁺ → K⁺ h) B(h → γγ) = 1, h being the meson at this mass."""
    h = min(_NARROW.values(), key=lambda meson: abs(meson.mass.value - mass))
    ratio = h.products[mode].value / h.products["Kplus"].value
    return _events_per_branching_fraction(mode, mass) * ratio
