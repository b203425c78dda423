"""From couplings to branching fractions, lifetimes and excluded couplings, one module per model."""

from __future__ import annotations

from zfit_dark.theory import (
    alp,
    couplings,
    decay_length,
    exclusion,
    fermion_alp,
    flavour,
    inelastic,
    scalar,
)
from zfit_dark.theory.couplings import coupling_limit
from zfit_dark.theory.exclusion import excluded_interval

__all__ = [
    "alp",
    "coupling_limit",
    "couplings",
    "decay_length",
    "excluded_interval",
    "exclusion",
    "fermion_alp",
    "flavour",
    "inelastic",
    "scalar",
]
