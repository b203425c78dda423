r"""e⁺e⁻ → h′ χ₁ χ₂, χ₂ → χ₁ e⁺e⁻, h′ → x⁺x⁻: two displaced vertices (Belle II, arXiv:2505.09705).

A dark Higgs h′ is made along with inelastic dark matter, and seen as a pair x⁺x⁻ of muons, pions or
kaons far from the beams. Hardly any background is left: candidates are counted within two
resolutions of the mass of a hypothesis, and sidebands in data tell how many are expected. The
parameter of interest of a final state is

    N = L ε(m, cτ) × σ(e⁺e⁻ → h′χ₁χ₂) B(χ₂ → χ₁e⁺e⁻) B(h′ → x⁺x⁻)

in fb, L being the luminosity. All final states together are tied by what a scalar that mixes with
the Higgs decays into; what is limited then is the sum of the three products.

The lifetimes of h′ and χ₂ change the efficiencies of all final states by the same factor, so one
limit a mass gives those of all lifetimes. The limits are those of the best lifetime of the χ₂;
`efficiency` tells what to divide them by for another.

All numbers stand in ``idm.yaml``, with value, unit, source and status; most of those that describe
the detector are assumed. Pseudo-data made from them are no result of the experiment.
"""

from __future__ import annotations

from zfit_dark.numbers import table_of_sources
from zfit_dark.searches.idm.couplings import benchmark, interpret, planes
from zfit_dark.searches.idm.limits import (
    LEVEL,
    METHOD,
    fits,
    likelihood,
    project,
    scan,
    scan_lifetimes,
)
from zfit_dark.searches.idm.samples import generate, masses, read
from zfit_dark.searches.idm.signal import (
    LIFETIMES,
    MODELS,
    MODES,
    NAME,
    NUMBERS,
    best_lifetime,
    efficiency,
    events_per_fb,
    lifetime_factor,
    mass_range,
    resolution,
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
    "benchmark",
    "best_lifetime",
    "efficiency",
    "events_per_fb",
    "fits",
    "generate",
    "interpret",
    "lifetime_factor",
    "likelihood",
    "mass_range",
    "masses",
    "planes",
    "project",
    "read",
    "resolution",
    "scan",
    "scan_lifetimes",
    "sources",
    "tied_events",
]

TITLE = NUMBERS.title
OBSERVABLE_LABEL = r"$M(x^+x^-)$ [GeV]"


def sources() -> str:
    """The numbers that go in, one line each: name, value, unit, status, source."""
    return table_of_sources(NUMBERS)
