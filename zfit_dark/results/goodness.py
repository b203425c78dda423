"""How well a fit describes its data, by toys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zfit_dark.errors import InputError
from zfit_dark.results.checks import FloatArray, frozen, texts_of

if TYPE_CHECKING:
    import pandas

_TIE = 1e-6
"""Statistics that differ by less are equal: fits end that far from their minimum."""


@dataclass(frozen=True, eq=False)
class GoodnessOfFit:
    """Two statistics of a fit and how often toys of the fitted model exceed them.

    Both have no unit, and are larger where the fit describes the data worse. Arrays are read-only.
    See ``zfit_dark.goodness_of_fit`` for what they are.

    Attributes:
        channels: Names of the channels.
        events: Events in the data of each channel, shape (c,).
        channel_saturated: Saturated-model statistic of each channel, shape (c,); NaN if the data
            could not be fitted.
        channel_anderson_darling: Anderson-Darling statistic of each channel, shape (c,); NaN also
            for a binned loss, which has none.
        toy_saturated: The same of the toys that could be fitted, shape (t, c).
        toy_anderson_darling: The same of the toys that could be fitted, shape (t, c).
        toys: How many toys were drawn.
        failed: How many of them could not be fitted, and were left out.
        seed: Of the random numbers.
        with_signal: Whether the parameter of interest was fitted, or held at zero.
        valid: Whether the data could be fitted, and 99 % of the toys.
        warnings: What a reader of the numbers has to know.
        pseudo_data: The data was generated, not recorded.

    Raises:
        InputError: The arrays do not belong together.
    """

    channels: tuple[str, ...]
    events: FloatArray
    channel_saturated: FloatArray
    channel_anderson_darling: FloatArray
    toy_saturated: FloatArray
    toy_anderson_darling: FloatArray
    toys: int
    failed: int
    seed: int
    with_signal: bool
    valid: bool
    warnings: tuple[str, ...] = ()
    pseudo_data: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", texts_of("GoodnessOfFit.channels", self.channels))
        object.__setattr__(self, "warnings", texts_of("GoodnessOfFit.warnings", self.warnings))
        c = len(self.channels)
        t = len(self.toy_saturated)
        for name, shape in (
            ("events", (c,)),
            ("channel_saturated", (c,)),
            ("channel_anderson_darling", (c,)),
            ("toy_saturated", (t, c)),
            ("toy_anderson_darling", (t, c)),
        ):
            values = frozen(f"GoodnessOfFit.{name}", getattr(self, name), shape)
            object.__setattr__(self, name, values)
        if t + self.failed > self.toys:
            raise InputError(f"{t} toys and {self.failed} failed ones are more than {self.toys}")

    @property
    def saturated(self) -> float:
        """Saturated-model statistic of all channels."""
        return float(self.channel_saturated.sum())

    @property
    def saturated_p(self) -> float:
        """Its p-value, (1 + toys that are at least as large) / (1 + toys); NaN without toys."""
        return _p_value(self.saturated, self.toy_saturated.sum(axis=1))

    @property
    def saturated_p_error(self) -> float:
        """Binomial error of that."""
        return self._error(self.saturated_p)

    @property
    def anderson_darling(self) -> float:
        """Anderson-Darling statistic, the sum of those of all channels; NaN for a binned loss."""
        return float(self.channel_anderson_darling.sum())

    @property
    def anderson_darling_p(self) -> float:
        """Its p-value, (1 + toys that are at least as large) / (1 + toys); NaN if there is none."""
        return _p_value(self.anderson_darling, self.toy_anderson_darling.sum(axis=1))

    @property
    def anderson_darling_p_error(self) -> float:
        """Binomial error of that."""
        return self._error(self.anderson_darling_p)

    def _error(self, p: float) -> float:
        return float(np.sqrt(p * (1 - p) / max(len(self.toy_saturated), 1)))

    def summary(self) -> str:
        """The statistics and their p-values in one line, and the warnings in another."""
        parts = [
            f"{name} {value:.4g}, p = {p:.3f} +- {error:.3f}"
            for name, value, p, error in (
                ("saturated", self.saturated, self.saturated_p, self.saturated_p_error),
                (
                    "Anderson-Darling",
                    self.anderson_darling,
                    self.anderson_darling_p,
                    self.anderson_darling_p_error,
                ),
            )
            if np.isfinite(value)
        ]
        text = "; ".join(parts) or "none"
        lines = [f"goodness of fit: {text} ({len(self.toy_saturated)} toys)"]
        return "\n".join(lines + (["; ".join(self.warnings)] if self.warnings else []))

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame with one row a channel, each with p-values of its own, and one for all."""
        import pandas

        rows = [
            (
                name,
                self.events[c].sum(),
                self.channel_saturated[c].sum(),
                _p_value(self.channel_saturated[c].sum(), self.toy_saturated[:, c].sum(axis=1)),
                self.channel_anderson_darling[c].sum(),
                _p_value(
                    self.channel_anderson_darling[c].sum(),
                    self.toy_anderson_darling[:, c].sum(axis=1),
                ),
            )
            for name, c in [
                *((name, slice(c, c + 1)) for c, name in enumerate(self.channels)),
                ("all", slice(None)),
            ]
        ]
        columns = ["channel", "events", "saturated", "saturated_p"]
        return pandas.DataFrame(rows, columns=[*columns, "anderson_darling", "anderson_darling_p"])


def _p_value(observed: float, toys: FloatArray) -> float:
    """Chance of a statistic at least as large; the data themselves count as one toy."""
    if not (np.isfinite(observed) and toys.size):
        return np.nan
    return float((1 + np.sum(toys >= observed - _TIE)) / (1 + toys.size))
