"""The fit of all channels at one mass, ready to be drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zfit_dark.errors import InputError
from zfit_dark.results.checks import FloatArray, check_hidden, frozen, interval_of, texts_of
from zfit_dark.results.goodness import GoodnessOfFit


@dataclass(frozen=True, eq=False)
class ChannelFit:
    """One channel of a fit: binned data and the fitted curves. Arrays are read-only.

    Attributes:
        name: Name of the channel.
        label: The same for a plot, may hold mathtext.
        edges: Bin edges in GeV, increasing, shape (b+1,).
        counts: Candidates in each bin, shape (b,); NaN where they are hidden.
        expected: Fitted number of candidates in each bin (outside holes), shape (b,).
        x: Where the curves are given, in GeV, shape (p,).
        total: Fitted density of candidates per GeV, shape (p,).
        background: The same without the signal, shape (p,).
        holes: Intervals left out of the fit, (low, high, reason) in GeV.
        window: The fitted range (low, high) in GeV.
        hidden: The range that was not looked at, None if there is none. Counts of bins that overlap
            with it are replaced by NaN here, whatever was passed.
    """

    name: str
    label: str
    edges: FloatArray
    counts: FloatArray
    expected: FloatArray
    x: FloatArray
    total: FloatArray
    background: FloatArray
    holes: tuple[tuple[float, float, str], ...]
    window: tuple[float, float]
    hidden: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        where = f"ChannelFit {self.name}"
        edges = frozen(f"{where}.edges", self.edges, (None,))
        if len(edges) < 2 or not np.all(np.diff(edges) > 0):
            raise InputError(f"{where}.edges must be two or more increasing numbers")
        object.__setattr__(self, "edges", edges)
        b = len(edges) - 1
        for name in ("counts", "expected"):
            object.__setattr__(self, name, frozen(f"{where}.{name}", getattr(self, name), (b,)))
        if np.any(self.counts < 0):
            raise InputError(f"{where}.counts must not be negative")
        x = frozen(f"{where}.x", self.x, (None,))
        object.__setattr__(self, "x", x)
        for name in ("total", "background"):
            values = frozen(f"{where}.{name}", getattr(self, name), (len(x),))
            object.__setattr__(self, name, values)
        holes = tuple((float(low), float(high), str(reason)) for low, high, reason in self.holes)
        object.__setattr__(self, "holes", holes)
        object.__setattr__(self, "window", interval_of(f"{where}.window", self.window))
        for low, high, _ in holes:
            interval_of(f"{where}.holes", (low, high))
        if self.hidden is None:
            return
        low, high = interval_of(f"{where}.hidden", self.hidden)
        object.__setattr__(self, "hidden", (low, high))
        inside = (edges[:-1] < high) & (edges[1:] > low)
        object.__setattr__(
            self, "counts", frozen(f"{where}.counts", np.where(inside, np.nan, self.counts), (b,))
        )


@dataclass(frozen=True, eq=False)
class Fit:
    """The fit of all channels at one mass hypothesis, ready to be drawn.

    Attributes:
        mass: The hypothesis in GeV.
        poi_label: Axis label of the parameter of interest, may hold mathtext.
        poi_unit: Its unit, "" if it has none.
        poi_hat: Best fit; NaN when blind.
        poi_error: Its uncertainty; NaN when blind.
        channels: The channels.
        valid: Whether the fit converged.
        warnings: What a reader has to know.
        pseudo_data: The data was generated, not recorded.
        blind: The data in `hidden` of the channels, required then, was not looked at.
        goodness: How well the fit describes the data, or the sidebands when blind; None if nobody
            asked.

    Raises:
        InputError: A blind fit has a best fit, or a channel that hides nothing.
    """

    mass: float
    poi_label: str
    poi_unit: str
    poi_hat: float
    poi_error: float
    channels: tuple[ChannelFit, ...]
    valid: bool
    warnings: tuple[str, ...]
    pseudo_data: bool
    blind: bool = False
    goodness: GoodnessOfFit | None = None

    def __post_init__(self) -> None:
        for name in ("mass", "poi_hat", "poi_error"):
            object.__setattr__(self, name, float(getattr(self, name)))
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "warnings", texts_of("Fit.warnings", self.warnings))
        if not self.blind:
            return
        for name in ("poi_hat", "poi_error"):
            check_hidden(f"Fit.{name}", np.array([getattr(self, name)]))
        for channel in self.channels:
            if channel.hidden is None:
                raise InputError(f"a blind Fit needs ChannelFit.hidden of {channel.name}")
