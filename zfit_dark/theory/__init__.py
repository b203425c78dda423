"""From couplings to branching fractions and lifetimes, one module per model."""

from __future__ import annotations

from zfit_dark.theory import alp

__all__ = ["alp"]
