# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A search of your own, in one file
#
# e⁺e⁻ → γ a with a → γγ: a peak in the mass of two of three photons, and a limit on the coupling
# g_aγγ. It is not in the package. What a search consists of: a data file in which every number has
# a unit, a source and a status; a signal shape and a channel; and functions that read, fit, scan
# and interpret. All data are pseudo-data, and most numbers are assumed: this is no experiment's
# result.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import mplhep
import numpy as np
from scipy.interpolate import PchipInterpolator

import zfit_dark as zd
from zfit_dark import candidates
from zfit_dark.channel import bernstein
from zfit_dark.numbers import (  # what the searches of the package are made with
    Background,
    Curve,
    Number,
    Range,
    Record,
    Shape,
    load_numbers,
    table_of_sources,
)

plt.style.use([mplhep.style.ROOT, {"font.size": 17}])

# %% [markdown]
# ## The numbers
#
# A YAML file. The status is *read* (in the source), *derived* (from it), or *assumed* (so that the
# example runs).

# %%
YAML = """
title: e+ e- -> gamma a, a -> gamma gamma at Belle II
reference: arXiv:2007.13071
luminosity: {value: 0.445, unit: fb^-1, status: read, source: "arXiv:2007.13071"}
luminosity_uncertainty: {value: 0.007, unit: relative, status: derived, source: "(445 +- 3) pb^-1"}
energy: {value: 10.58, unit: GeV, status: read, source: "PDG; mass of the Y(4S)"}
masses: {low: 0.5, high: 9.0, unit: GeV, status: assumed, source: "within 0.2 to 9.7 GeV"}
candidates: {low: 0.3, high: 9.7, unit: GeV, status: assumed, source: a choice}
efficiency:
  mass:  [0.3,  2.0,  6.0,  9.7]
  value: [0.20, 0.30, 0.35, 0.30]
  unit: ""
  status: assumed
  source: a choice
efficiency_uncertainty: {value: 0.05, unit: relative, status: assumed, source: of three photons}
resolution:
  mass:   [0.3,   1.0,   3.0,   6.0,   9.7]
  sigma:  [0.011, 0.018, 0.045, 0.080, 0.090]
  alphal: [1.2,   1.2,   1.2,   1.2,   1.2]
  nl:     [6.0,   6.0,   6.0,   6.0,   6.0]
  alphar: [1.8,   1.8,   1.8,   1.8,   1.8]
  nr:     [8.0,   8.0,   8.0,   8.0,   8.0]
  unit: GeV (sigma)
  status: assumed
  source: a calorimeter
background:
  events: 4000.0
  coefficients: [1.2, 0.6, 0.8, 1.6]
  unit: events
  status: assumed
  source: three photons, smoothly distributed
"""


class Numbers(Record):
    """What the file holds; anything missing, misspelt or out of place is an error."""

    title: str
    reference: str
    luminosity: Number
    luminosity_uncertainty: Number
    energy: Number
    masses: Range
    candidates: Range
    efficiency: Curve
    efficiency_uncertainty: Number
    resolution: Shape
    background: Background


def numbers_of(text: str) -> Numbers:
    """The numbers in a file with this text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ee2ga.yaml")
        path.write_text(text, encoding="utf-8")
        return load_numbers(path, Numbers)


NUMBERS = numbers_of(YAML)
print(table_of_sources(NUMBERS))  # the sources() of a search

# %%
try:
    numbers_of(YAML.replace("status: read", "status: known", 1))
except zd.InputError as error:
    complaint = str(error).rpartition("/")[2]
    print(complaint)

# %% [markdown]
# ## Theory
#
# σ(e⁺e⁻ → γa) = α g² (1 − m²/s)³ / 24, and B(a → γγ) = 1. A limit on σ becomes one on g. With Γ =
# g² m³ / 64π and g = 10⁻³ GeV⁻¹ cτ of an a of 0.5 GeV is 0.3 µm: it is prompt.

# %%
ALPHA, FB_PER_INVERSE_GEV2 = 1 / 137.036, 3.8938e11


def cross_section_fb(mass, coupling):
    """σ(e⁺e⁻ → γa) in fb."""
    phase_space = (1 - np.square(mass / NUMBERS.energy.value)) ** 3
    return ALPHA * np.square(coupling) * phase_space / 24 * FB_PER_INVERSE_GEV2


def coupling(mass, sigma_fb):
    """g_aγγ in GeV⁻¹, the inverse of `cross_section_fb`."""
    return np.sqrt(sigma_fb / cross_section_fb(mass, 1.0))


# %% [markdown]
# ## Candidates, model, scan
#
# The functions have the names and arguments of those in `zd.searches`.

# %%
SHAPE = zd.SignalShape(
    NUMBERS.resolution.mass,
    NUMBERS.resolution.table,
    source=NUMBERS.resolution.source,
    status=NUMBERS.resolution.status,
)
EFFICIENCY = PchipInterpolator(NUMBERS.efficiency.mass, NUMBERS.efficiency.value)
SEEN = (NUMBERS.candidates.low, NUMBERS.candidates.high)


def signal_events(mass: float) -> float:
    """Signal events for 1 fb."""
    return NUMBERS.luminosity.value * float(EFFICIENCY(mass))


def generate(seed: int, inject: tuple[tuple[float, float], ...] = ()) -> dict[str, np.ndarray]:
    """Pseudo-data: a smooth background, and Gaussian peaks of (mass, events)."""
    rng = np.random.default_rng(seed)
    weights = np.array(NUMBERS.background.coefficients)  # a Bernstein polynomial: a sum of Betas
    k = rng.choice(len(weights), rng.poisson(NUMBERS.background.events), p=weights / weights.sum())
    parts = [SEEN[0] + (SEEN[1] - SEEN[0]) * rng.beta(k + 1, len(weights) - k)]
    parts += [rng.normal(mass, SHAPE.sigma(mass), rng.poisson(events)) for mass, events in inject]
    return {"gg": np.concatenate(parts)}


def likelihood(data) -> zd.Likelihood:
    """The model of a ROOT file, or a mapping, with the masses of photon pairs."""
    read = candidates.read(data, ["gg"], limits=SEEN)
    channel = zd.ShapeChannel(
        "gg",
        read.values["gg"],
        limits=SEEN,
        signal=SHAPE,
        signal_per_poi=signal_events,
        background=bernstein(2),
        window=20,
        nuisances=(
            zd.Nuisance("luminosity", NUMBERS.luminosity_uncertainty.value),
            zd.Nuisance("efficiency", NUMBERS.efficiency_uncertainty.value),
        ),
        label=r"$a \to \gamma\gamma$",
    )
    return zd.Likelihood([channel], poi="sigma")


def scan(data, *, level: float = 0.95, **how) -> zd.Scan:
    """Limits on the cross section, in steps of the resolution; see `zd.scan` for `how`."""
    return zd.scan(
        likelihood(data),
        SHAPE.grid(NUMBERS.masses.low, NUMBERS.masses.high),
        level=level,
        poi_label=r"$\sigma(e^+e^- \to \gamma a)$",
        poi_unit="fb",
        **how,
    )


def interpret(limits: zd.Scan) -> zd.Scan:
    """Limits on the coupling."""
    return limits.map_poi(
        coupling, poi="g_agg", poi_label=r"$g_{a\gamma\gamma}$", poi_unit=r"GeV$^{-1}$"
    )


# %% [markdown]
# ## Use it

# %%
MASS, EVENTS = 3.0, 70.0
data = generate(7, inject=((MASS, EVENTS),))
limits = scan(data, pseudo_data=True, progress=False)
figure, ax = plt.subplots(figsize=(10, 7), layout="constrained")
zd.plot.brazil(interpret(limits), ax)
figure, ax = plt.subplots(figsize=(10, 7), layout="constrained")
zd.plot.p_values(limits, ax)
print(limits.summary())

# %% [markdown]
# ## Into the package
#
# Put the functions into `zfit_dark/searches/ee2ga.py` and the numbers beside it, into `ee2ga.yaml`:
# `zd.searches.load("ee2ga")` and `zfit-dark scan ee2ga` find it there, nothing is registered, and
# the tests of all searches run on it. What they ask for is the protocol `zd.searches.Search`:
# besides the above `masses`, `read`, `fits`, `project` and `sources`, a few lines each. `idm` is
# the shortest example.

# %%
# Every number is in the table with its source, and a status that is none is refused.
table = table_of_sources(NUMBERS).splitlines()
(luminosity,) = (line for line in table if line.startswith("luminosity "))
assert luminosity.split()[1:4] == ["0.445", "fb^-1", "read"]
assert "luminosity.status" in complaint
# The signal is found, where and as large as it was put in.
assert limits.valid.all()
top = int(np.argmin(limits.p0))
events, error = (
    x[top] * signal_events(limits.masses[top]) for x in (limits.poi_hat, limits.poi_error)
)
assert abs(limits.masses[top] - MASS) < SHAPE.sigma(MASS)
assert abs(events - EVENTS) < 3 * error
assert limits.global_significance().local > limits.global_significance().significance
# The expected limit is that of a count under the peak, made weaker by tails and fit.
sigma = SHAPE.sigma(limits.masses)
ordered = np.sort(data["gg"])
low, high = limits.masses - 10 * sigma, limits.masses + 10 * sigma
inside = np.searchsorted(ordered, high) - np.searchsorted(ordered, low)
per_gev = inside / (np.minimum(high, SEEN[1]) - np.maximum(low, SEEN[0]))
estimate = 1.96 * np.sqrt(2 * np.sqrt(np.pi) * sigma * per_gev)
per_fb = np.array([signal_events(mass) for mass in limits.masses])
assert 1.0 < np.median(limits.expected[:, 2] * per_fb / estimate) < 1.4
# A coupling at its limit predicts a cross section at its limit.
on_g = interpret(limits)
assert np.allclose(cross_section_fb(on_g.masses, on_g.observed), limits.observed, rtol=1e-9)
# Of the size of 1e-3 GeV^-1 that the source finds with this luminosity.
assert 2e-4 < np.median(on_g.expected[:, 2]) < 5e-3
