"""From couplings to branching fractions, lifetimes and excluded couplings, one module per model."""

from __future__ import annotations

from zfit_dark.theory import alp, exclusion, fermion_alp, flavour, scalar

__all__ = ["alp", "exclusion", "fermion_alp", "flavour", "scalar"]
