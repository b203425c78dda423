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

from zfit_dark.numbers import table_of_sources
from zfit_dark.searches.b2ks.control import Peak, control
from zfit_dark.searches.b2ks.couplings import interpret
from zfit_dark.searches.b2ks.limits import (
    LEVEL,
    METHOD,
    fits,
    likelihood,
    project,
    scan,
    scan_lifetimes,
)
from zfit_dark.searches.b2ks.samples import generate, masses, read
from zfit_dark.searches.b2ks.signal import (
    LIFETIMES,
    MODELS,
    MODES,
    NAME,
    NUMBERS,
    efficiency,
    least_displacement,
    mass_range,
    signal_events,
    tied_events,
)

__all__ = [
    "LEVEL",
    "LIFETIMES",
    "METHOD",
    "MODELS",
    "MODES",
    "NAME",
    "NUMBERS",
    "OBSERVABLE_LABEL",
    "TITLE",
    "Peak",
    "control",
    "efficiency",
    "fits",
    "generate",
    "interpret",
    "least_displacement",
    "likelihood",
    "mass_range",
    "masses",
    "project",
    "read",
    "scan",
    "scan_lifetimes",
    "signal_events",
    "sources",
    "tied_events",
]

TITLE = NUMBERS.title
OBSERVABLE_LABEL = r"$M'$ [GeV]"


def sources() -> str:
    """The numbers that go in, one line each: name, value, unit, status, source."""
    return table_of_sources(NUMBERS)
