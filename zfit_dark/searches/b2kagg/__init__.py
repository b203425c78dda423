r"""B → K(*) a, a → γγ: a peak in M_γγ, in four kaon modes at once (Belle, arXiv:2507.01249).

The parameter of interest is B(B⁺ → K⁺ a); theory ties the other modes to it (`theory.alp`). The
signal yield of mode i at mass m is

    N_i = 2 N_BB f_i [B_i/B_K+](m) B_sub,i ε_i(m) B(B⁺ → K⁺ a),

f_i being f₊₋ or f₀₀, and 0 where the mode is not searched: for K* modes above 4.20 GeV. There they
stay in the fit with their background alone, so that the K modes can be scanned on.

The coupling g_aW fixes the branching fraction and the lifetime of the a. If it flies far, it may
decay behind the calorimeter, and if it decays before it, it seems lighter than it is (`flight`): a
loss of efficiency and a tail of the peak that depend on cτ. A limit on g_aW is a solution of
B(m, g) = B_limit(m, cτ(m, g)), from simultaneous fits at several lifetimes: `scan_lifetimes` finds
the limits, `interpret` the solutions. In such a fit B = (B/g²) g² is g_aW² itself up to a number,
with the shapes and efficiencies of the lifetime that this g_aW implies.

All numbers stand in ``b2kagg.yaml``, with value, unit, source and status; most of those that
describe the detector are assumed. Pseudo-data made from them are no result of the experiment.
"""

from __future__ import annotations

from zfit_dark.numbers import table_of_sources
from zfit_dark.searches.b2kagg.control import control
from zfit_dark.searches.b2kagg.couplings import interpret, theory_band
from zfit_dark.searches.b2kagg.limits import (
    LEVEL,
    METHOD,
    WINDOW,
    fits,
    likelihood,
    project,
    scan,
    scan_lifetimes,
)
from zfit_dark.searches.b2kagg.samples import generate, masses, read
from zfit_dark.searches.b2kagg.signal import (
    LIFETIMES,
    MODES,
    NAME,
    NUMBERS,
    Numbers,
    signal_events,
)

__all__ = [
    "LEVEL",
    "LIFETIMES",
    "METHOD",
    "MODES",
    "NAME",
    "NUMBERS",
    "OBSERVABLE_LABEL",
    "TITLE",
    "WINDOW",
    "Numbers",
    "control",
    "fits",
    "generate",
    "interpret",
    "likelihood",
    "masses",
    "project",
    "read",
    "scan",
    "scan_lifetimes",
    "signal_events",
    "sources",
    "theory_band",
]

TITLE = NUMBERS.title
OBSERVABLE_LABEL = r"$M_{\gamma\gamma}$ [GeV]"


def sources() -> str:
    """The numbers that go in, one line each: name, value, unit, status, source."""
    return table_of_sources(NUMBERS)
