"""Sixty candidates in windows and sidebands: a likelihood that only counts, so nothing compiles."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

import zfit_dark as zd
from zfit_dark.results import Scan


def per_poi(mass: float) -> float:
    return 2.0 * mass


def twice_per_poi(mass: float) -> float:
    return 2.0 * per_poi(mass)


def shape() -> zd.SignalShape:
    return zd.SignalShape([0.2, 3.0], {"sigma": [0.01, 0.02]}, source="a test", status="assumed")


@cache
def counting(signal_per_poi: Callable[[float], float] = per_poi) -> zd.Likelihood:
    """The same at every call, as making it takes a second or two."""
    channel = zd.CountingChannel(
        "mumu",
        masses=np.random.default_rng(3).uniform(0.2, 3.0, 60),
        signal=shape(),
        window=2,
        sidebands=(4, 20),
        signal_per_poi=signal_per_poi,
        limits=(0.2, 3.0),
    )
    return zd.Likelihood([channel], poi="sigma_fb")


def same(one: Scan, other: Scan) -> None:
    """To the last bit."""
    for name in ("masses", "observed", "expected", "poi_hat", "poi_error", "p0", "valid"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.warnings == other.warnings
    assert one.how == other.how
