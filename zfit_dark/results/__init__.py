"""Results of limits, scans and fits: plain numbers with what is needed to read them.

Nothing here knows how a result was computed: these are frozen dataclasses of numpy arrays and
text, which can be written to a file, read back, merged, tabulated and drawn. Masses are in GeV.
"""

from __future__ import annotations

from zfit_dark.results.exclusion import Exclusion, Interval
from zfit_dark.results.fit import ChannelFit, Fit
from zfit_dark.results.goodness import GoodnessOfFit
from zfit_dark.results.impacts import Impacts
from zfit_dark.results.lifetimes import LifetimeScan
from zfit_dark.results.plane import Plane, Region
from zfit_dark.results.projection import Projection
from zfit_dark.results.published import Published
from zfit_dark.results.scan import GlobalSignificance, Limit, Scan, Skipped, new_provenance
from zfit_dark.results.validation import BackgroundComparison, Validation

__all__ = [
    "BackgroundComparison",
    "ChannelFit",
    "Exclusion",
    "Fit",
    "GlobalSignificance",
    "GoodnessOfFit",
    "Impacts",
    "Interval",
    "LifetimeScan",
    "Limit",
    "Plane",
    "Projection",
    "Published",
    "Region",
    "Scan",
    "Skipped",
    "Validation",
    "new_provenance",
]
