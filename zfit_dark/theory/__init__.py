"""From couplings to branching fractions, lifetimes and excluded couplings, one module per model."""

from __future__ import annotations

from zfit_dark.theory import alp, exclusion, fermion_alp, flavour, inelastic, scalar
from zfit_dark.theory.exclusion import excluded_interval

__all__ = [
    "alp",
    "excluded_interval",
    "exclusion",
    "fermion_alp",
    "flavour",
    "inelastic",
    "scalar",
]
