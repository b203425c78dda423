"""Excluded intervals against a dense grid of couplings, and by hand where they are known."""

from __future__ import annotations

import math
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfit_dark.errors import InputError
from zfit_dark.theory import scalar
from zfit_dark.theory.exclusion import ExcludedInterval, excluded_interval

NAN = float("nan")
LIFETIMES = [0.001, 0.01, 0.1, 1.0, 10.0, 100.0]
RANGE = (1e-8, 1.0)


def ctau(g: np.ndarray) -> np.ndarray:
    """1 cm at a coupling of 1e-4."""
    return 1e-8 / g**2


def bf(g: np.ndarray) -> np.ndarray:
    """1e-7 at a coupling of 1e-4."""
    return 10.0 * g**2


def is_excluded(g: np.ndarray, lifetimes: list[float], limits: list[float], power: float) -> Any:
    """Whether the prediction 10 g² exceeds the limit at cτ = 1e-8 g^power, coupling by coupling."""
    log_limit = np.interp(
        np.log(1e-8 * g**power), np.log(lifetimes), np.log(limits), left=NAN, right=NAN
    )
    return np.log(10.0 * g**2) > log_limit  # not, where that is NaN


def test_interval_with_a_crossing_at_both_ends() -> None:
    # the prediction is 1e-7 / cτ; the limit is 1e-8 cτ from 1 to 10 cm: they meet at √10 cm;
    # it is 1e-8 (cτ / 0.1)^-5 from 0.01 to 0.1 cm: they meet at 10^-1.5 cm
    limits = [1e-3, 1e-3, 1e-8, 1e-8, 1e-7, 1e-7]
    (interval,) = excluded_interval(bf, ctau, RANGE, LIFETIMES, limits)
    assert interval.low == pytest.approx(10**-4.25, rel=1e-10)
    assert interval.high == pytest.approx(10**-3.25, rel=1e-10)
    assert interval.low_edge == interval.high_edge == "crossing"


def test_ends_of_the_lifetimes_and_of_the_range_are_told() -> None:
    low = [1e-30] * 6
    assert excluded_interval(bf, ctau, RANGE, LIFETIMES, low) == [
        ExcludedInterval(
            pytest.approx(1e-5, rel=1e-10),
            pytest.approx(10**-2.5, rel=1e-10),
            "lifetimes",
            "lifetimes",
        )
    ]
    assert excluded_interval(bf, ctau, (1e-4, 1e-3), LIFETIMES, low) == [
        ExcludedInterval(pytest.approx(1e-4), pytest.approx(1e-3), "range", "range")
    ]


def test_a_lifetime_without_limit_is_a_gap() -> None:
    limits = [1e-30, 1e-30, NAN, 1e-30, 1e-30, NAN]
    assert excluded_interval(bf, ctau, RANGE, LIFETIMES, limits) == [
        # from 10 to 1 cm, and from 0.01 to 0.001 cm
        ExcludedInterval(pytest.approx(10**-4.5), pytest.approx(1e-4), "lifetimes", "lifetimes"),
        ExcludedInterval(pytest.approx(1e-3), pytest.approx(10**-2.5), "lifetimes", "lifetimes"),
    ]


@pytest.mark.parametrize(
    "limits",
    [
        [1.0] * 6,
        [NAN] * 6,
        [NAN, 1e-30, NAN, 1e-30, NAN, 1e-30],  # no two neighbours
    ],
)
def test_nothing_is_excluded(limits: list[float]) -> None:
    assert excluded_interval(bf, ctau, RANGE, LIFETIMES, limits) == []
    if not np.isnan(limits).any():
        beyond = excluded_interval(bf, ctau, (0.1, 1.0), LIFETIMES, [1e-30] * 6)
        assert beyond == []


def test_two_intervals() -> None:
    # strong limits at 0.01 and at 10 cm, weak ones between
    limits = [1e-3, 1e-8, 1e-3, 1e-3, 1e-10, 1e-3]
    first, second = excluded_interval(bf, ctau, RANGE, LIFETIMES, limits)
    assert ctau(first.low) > 10.0 > ctau(first.high)
    assert ctau(second.low) > 0.01 > ctau(second.high)
    assert {first.low_edge, first.high_edge, second.low_edge, second.high_edge} == {"crossing"}


@pytest.mark.parametrize("depth", [1e-2, 1e-5, 1e-8])
def test_no_interval_is_too_narrow(depth: float) -> None:
    """A limit that the prediction just exceeds, at one lifetime between two couplings looked at."""
    lifetime = 0.0123456
    prediction = 10.0 * 1e-8 / lifetime
    limits = [1.0, prediction * (1 - depth), 1.0]
    (interval,) = excluded_interval(bf, ctau, RANGE, [0.001, lifetime, 1.0], limits)
    node = math.sqrt(1e-8 / lifetime)
    assert interval.low < node < interval.high
    assert interval.high / interval.low - 1 < 2 * depth
    for edge in (interval.low, interval.high):
        for factor in (1 - 1e-10, 1 + 1e-10):
            inside = interval.low < edge * factor < interval.high
            assert is_excluded(edge * factor, [0.001, lifetime, 1.0], limits, -2.0) == inside


@given(
    lifetimes=st.lists(st.floats(-5, 5), min_size=2, max_size=8, unique_by=lambda t: round(2 * t)),
    data=st.data(),
    power=st.sampled_from([-2.0, -4.0, -1.0, 2.0]),
)
def test_dense_grid_finds_the_same(
    lifetimes: list[float], data: st.DataObject, power: float
) -> None:
    lifetimes = [10**t for t in sorted(lifetimes)]
    limit = st.one_of(st.just(NAN), st.floats(-16, 0).map(lambda e: 10**e))
    limits = [data.draw(limit) for _ in lifetimes]
    found = excluded_interval(bf, lambda g: 1e-8 * g**power, RANGE, lifetimes, limits)
    for before, after in pairwise(found):
        assert before.high < after.low
    couplings = np.geomspace(*RANGE, 3001)
    edges = [edge for interval in found for edge in interval[:2]]
    nodes = [(t / 1e-8) ** (1 / power) for t in lifetimes]
    marks = np.array([*edges, *nodes])  # where rounding decides
    couplings = couplings[np.all(np.abs(marks / couplings[:, np.newaxis] - 1) > 1e-8, axis=1)]
    inside = np.zeros(couplings.shape, dtype=bool)
    for interval in found:
        inside |= (interval.low < couplings) & (couplings < interval.high)
    np.testing.assert_array_equal(inside, is_excluded(couplings, lifetimes, limits, power))
    for interval in found:
        for edge, what, outward in (
            (interval.low, interval.low_edge, 1 - 1e-7),
            (interval.high, interval.high_edge, 1 + 1e-7),
        ):
            at = 1e-8 * edge**power
            is_end_of_range = min(abs(edge / end - 1) for end in RANGE) < 1e-9
            is_node = min(abs(at / t - 1) for t in lifetimes) < 1e-8
            if what == "range":
                assert is_end_of_range
            elif what == "lifetimes":
                assert is_node
            else:
                assert not is_excluded(edge * outward, lifetimes, limits, power)
            assert is_excluded(edge / outward, lifetimes, limits, power)


def test_functions_that_are_no_powers() -> None:
    """A prediction that saturates and a lifetime with a floor, looked at on a dense grid."""
    limits = [3e-7, 1e-7, 3e-8, 1e-8, 3e-8, 1e-6]

    def saturating(g: np.ndarray) -> np.ndarray:
        return 1e-4 * -np.expm1(-(g**2) / 1e-5)

    def with_floor(g: np.ndarray) -> np.ndarray:
        return 1e-8 / g**2 + 0.005

    (interval,) = excluded_interval(saturating, with_floor, RANGE, LIFETIMES, limits)
    g = np.geomspace(*RANGE, 400_001)
    log_limit = np.interp(
        np.log(with_floor(g)), np.log(LIFETIMES), np.log(limits), left=np.inf, right=np.inf
    )
    inside = g[np.log(saturating(g)) > log_limit]
    assert interval.low == pytest.approx(inside[0], rel=1e-4)
    assert interval.high == pytest.approx(inside[-1], rel=1e-4) == 1.0
    assert (interval.low_edge, interval.high_edge) == ("crossing", "range")


def test_a_prediction_of_zero_and_an_endless_lifetime_exclude_nothing() -> None:
    limits = [1e-9] * 6
    assert excluded_interval(np.zeros_like, ctau, RANGE, LIFETIMES, limits) == []
    stable = lambda g: np.full_like(g, np.inf)  # noqa: E731
    assert excluded_interval(bf, stable, RANGE, LIFETIMES, limits) == []
    # a coupling below which the mode is closed and the particle stable
    (interval,) = excluded_interval(
        lambda g: np.where(g < 2e-4, 0.0, bf(g)),
        lambda g: np.where(g < 1.5e-4, np.inf, ctau(g)),
        RANGE,
        LIFETIMES,
        limits,
    )
    assert interval.low == pytest.approx(2e-4, rel=1e-9)
    assert interval.high == pytest.approx(10**-2.5, rel=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coupling_range": (0.0, 1.0)}, "0 < low < high"),
        ({"coupling_range": (1.0, 1e-3)}, "0 < low < high"),
        ({"coupling_range": (1e-3, NAN)}, "0 < low < high"),
        ({"ctau_grid_cm": [1.0], "limits": [1e-7]}, "two or more lifetimes"),
        ({"limits": [1e-7] * 5}, r"shape \(6,\) and limits \(5,\)"),
        ({"ctau_grid_cm": [1.0, 0.1, 2.0, 3.0, 4.0, 5.0]}, "positive and ascending"),
        ({"ctau_grid_cm": [0.0, 0.1, 2.0, 3.0, 4.0, 5.0]}, "positive and ascending"),
        ({"limits": [1e-7, 0.0, 1e-7, 1e-7, 1e-7, 1e-7]}, r"limit 0 at cτ = 0\.01 cm"),
        ({"limits": [1e-7, 1e-7, math.inf, 1e-7, 1e-7, 1e-7]}, r"limit inf at cτ = 0\.1 cm"),
        (
            {"branching_fraction": lambda g: -g},
            "branching_fraction is -1e-08 at the coupling 1e-08",
        ),
        ({"ctau_cm": lambda g: NAN * g}, "ctau_cm is nan"),
        ({"ctau_cm": lambda g: 1.0}, r"ctau_cm returns an array of the shape \(\)"),
    ],
)
def test_bad_input_is_refused(change: dict[str, object], message: str) -> None:
    arguments = {
        "branching_fraction": bf,
        "ctau_cm": ctau,
        "coupling_range": RANGE,
        "ctau_grid_cm": LIFETIMES,
        "limits": [1e-7] * 6,
    }
    with pytest.raises(InputError, match=message):
        excluded_interval(**{**arguments, **change})


@pytest.fixture(scope="module")
def published() -> dict[float, np.ndarray]:
    """The published limits on B⁺ → K⁺ S, S → μμ, by lifetime, kept beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ZFIT_DARK_DATA", beside)) / "belle2_llp_limits" / "bkmumu"
    if not folder.is_dir():
        pytest.skip(
            "no belle2_llp_limits here: set ZFIT_DARK_DATA to the folder that holds them, or put "
            "them in shared/data beside the repository"
        )
    files = sorted(folder.glob("*.csv"), key=lambda path: float(path.stem))
    return {float(p.stem): np.loadtxt(p, delimiter=",", skiprows=1) for p in files}


def test_dark_scalar_from_published_limits(published: dict[float, np.ndarray]) -> None:
    mass, half_step = 0.30, 0.001
    nearest = [rows[np.argmin(np.abs(rows[:, 0] - mass))] for rows in published.values()]
    limits = [limit if abs(m - mass) < half_step else NAN for m, limit in nearest]
    assert len(limits) == 19
    fraction = scalar.decay_fraction("mumu", mass)
    (interval,) = excluded_interval(
        lambda theta: scalar.branching_fraction("Kplus", mass, theta) * fraction,
        lambda theta: scalar.lifetime_ctau_cm(mass, theta),
        (1e-6, 1.0),
        list(published),
        limits,
    )
    # from an evaluation outside this package
    assert interval.low == pytest.approx(9.7e-4, rel=0.1)
    assert interval.high == pytest.approx(7.4e-2, rel=0.1)
    assert interval.low_edge == "crossing"
    assert interval.high_edge == "lifetimes"  # no limit below 0.001 cm
