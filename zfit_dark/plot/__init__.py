"""Plots of scans and fits, from result objects only.

Every function draws on an Axes or Figure of its own unless one is given, returns it, and leaves
matplotlib's global state alone. ``axes.figure.savefig("limit.pdf")`` writes a plot to a file.
"""

from __future__ import annotations

from zfit_dark.plot.fits import fit
from zfit_dark.plot.goodness import goodness
from zfit_dark.plot.impacts import correlations, impacts
from zfit_dark.plot.plane import plane
from zfit_dark.plot.planes import against_lifetime, exclusion, lifetimes
from zfit_dark.plot.projections import projection, projections
from zfit_dark.plot.scans import brazil, p_values
from zfit_dark.plot.validation import bias, coverage, spurious_signal

__all__ = [
    "against_lifetime",
    "bias",
    "brazil",
    "correlations",
    "coverage",
    "exclusion",
    "fit",
    "goodness",
    "impacts",
    "lifetimes",
    "p_values",
    "plane",
    "projection",
    "projections",
    "spurious_signal",
]
