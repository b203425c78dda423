"""Dark-sector searches on zfit and hepstats: signal shapes, simultaneous fits, limits, couplings.

Names are loaded on first use, so that `import zfit_dark` is quick and brings in no TensorFlow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zfit_dark import pdf, plot, searches, theory
    from zfit_dark.calculators import AsymptoticCalculator, FrequentistCalculator
    from zfit_dark.channel import CountingChannel, Nuisance, ShapeChannel
    from zfit_dark.citation import cite
    from zfit_dark.errors import InputError
    from zfit_dark.frequentist import Toys
    from zfit_dark.goodness import goodness_of_fit
    from zfit_dark.kinematics import invariant_mass, modified_mass
    from zfit_dark.likelihood import Likelihood
    from zfit_dark.limits import significance, upper_limit
    from zfit_dark.literature import published
    from zfit_dark.projecting import project
    from zfit_dark.ranking import impacts
    from zfit_dark.results import Exclusion, LifetimeScan, Limit, Plane, Projection, Scan
    from zfit_dark.scanning import scan
    from zfit_dark.signal_shape import SignalShape
    from zfit_dark.validation import compare_backgrounds, validate

__version__ = "0.1.0"

__all__ = [
    "AsymptoticCalculator",
    "CountingChannel",
    "Exclusion",
    "FrequentistCalculator",
    "InputError",
    "LifetimeScan",
    "Likelihood",
    "Limit",
    "Nuisance",
    "Plane",
    "Projection",
    "Scan",
    "ShapeChannel",
    "SignalShape",
    "Toys",
    "__version__",
    "cite",
    "compare_backgrounds",
    "goodness_of_fit",
    "impacts",
    "invariant_mass",
    "modified_mass",
    "pdf",
    "plot",
    "project",
    "published",
    "scan",
    "searches",
    "significance",
    "theory",
    "upper_limit",
    "validate",
]

_SUBMODULES = ("pdf", "plot", "searches", "theory")
_HOME = {
    "AsymptoticCalculator": "calculators",
    "CountingChannel": "channel",
    "Exclusion": "results",
    "FrequentistCalculator": "calculators",
    "InputError": "errors",
    "LifetimeScan": "results",
    "Likelihood": "likelihood",
    "Limit": "results",
    "Nuisance": "channel",
    "Plane": "results",
    "Projection": "results",
    "Scan": "results",
    "ShapeChannel": "channel",
    "SignalShape": "signal_shape",
    "Toys": "frequentist",
    "cite": "citation",
    "compare_backgrounds": "validation",
    "goodness_of_fit": "goodness",
    "impacts": "ranking",
    "invariant_mass": "kinematics",
    "modified_mass": "kinematics",
    "project": "projecting",
    "published": "literature",
    "scan": "scanning",
    "significance": "limits",
    "upper_limit": "limits",
    "validate": "validation",
}


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
