"""Projections to other luminosities, against counts and normal errors written out."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm
from test_results import make_blind_scan, make_scan

from zfit_dark import plot, searches
from zfit_dark.channel import CountingChannel, Veto
from zfit_dark.counting import Count, exact_limit
from zfit_dark.errors import InputError
from zfit_dark.frequentist import Toys
from zfit_dark.likelihood import Likelihood
from zfit_dark.limits import upper_limit
from zfit_dark.projecting import LUMINOSITIES, _competing, _scaled_count, project
from zfit_dark.results import Projection, Skipped
from zfit_dark.signal_shape import SignalShape

SIGMA, PER_POI, LUMINOSITY = 0.004, 30.0, 365.0
EMPTY, FEW, MANY, VETOED = 0.5, 1.0, 2.0, 1.5
EVENTS = 10_000
"""Candidates in the window at 2 GeV, and as many in the sidebands, which are as wide: tau is 1."""

ON, OFF = (float(norm.cdf(b) - norm.cdf(a)) for a, b in ((-2, 2), (4, 6)))
OFF *= 2


def evenly(low: float, high: float, n: int) -> np.ndarray:
    """Candidates in an interval given in resolutions around 2 GeV."""
    return MANY + SIGMA * (low + (high - low) * (np.arange(n) + 0.5) / n)


@pytest.fixture(scope="module")
def likelihood() -> Likelihood:
    few = FEW + SIGMA * np.array([0.5, -4.5, 4.5, 5.5])  # one in the window, three beside it
    halves = EVENTS // 2
    data = [few, evenly(-2, 2, EVENTS), evenly(-6, -4, halves), evenly(4, 6, halves)]
    shape = SignalShape(
        np.array([0.3, 3.0]),
        {"sigma": np.full(2, SIGMA)},
        source="these tests",
        status="assumed",
    )
    channel = CountingChannel(
        "one",
        np.concatenate(data),
        signal=shape,
        window=2.0,
        sidebands=(4.0, 6.0),
        signal_per_poi=PER_POI,
        limits=(0.3, 3.0),
        vetoes=(Veto(1.4, 1.6, "vetoed"),),
    )
    return Likelihood([channel])


def projected(likelihood: Likelihood, masses: Any, factors: Any, **asked: Any) -> Projection:
    luminosities = LUMINOSITY * np.asarray(factors, float)
    return project(likelihood, masses, luminosities, LUMINOSITY, progress=False, **asked)


def asimov_limits(b: float, s_on: float, s_off: float, level: float = 0.95) -> list[float]:
    """Expected CLs limits of a window and a sideband with tau = 1 and b events each.

    Cowan et al., arXiv:1007.1727, with the profile likelihood minimised by number.
    """

    def nll(mu: float, at: float) -> float:
        return sum(mu * s + at - b * math.log(mu * s + at) for s in (s_on, s_off))

    def root_of_q(mu: float) -> float:
        around = (0.5 * b, 1.5 * b)
        best = minimize_scalar(
            lambda at: nll(mu, at), bounds=around, method="bounded", options={"xatol": 1e-9 * b}
        )
        return math.sqrt(max(2 * (best.fun - nll(0.0, b)), 0.0))

    sigma = math.sqrt(2 * b) / (s_on - s_off)
    return [
        brentq(
            lambda mu, n=n: root_of_q(mu) - norm.isf((1 - level) * norm.cdf(n)) - n,
            1e-3 * sigma,
            9 * sigma,
        )
        for n in (-2, -1, 0, 1, 2)
    ]


# -- the limits -----------------------------------------------------------------------------


def test_nothing_seen_means_three_events_at_any_luminosity(likelihood: Likelihood) -> None:
    factors = np.array([1.0, 2.0, 137.0])
    found = projected(likelihood, [EMPTY], factors)
    limits = found.expected_at(EMPTY)
    right = math.log(20) / (PER_POI * factors * (ON + OFF))
    # the sums find the place of a jump to 1e-7 or so
    np.testing.assert_allclose(limits, np.tile(right[:, None], 5), rtol=1e-5)
    np.testing.assert_allclose(limits * factors[:, None], np.tile(limits[0], (3, 1)), rtol=1e-6)
    assert all("exact" in scan.how[0] and scan.method == "auto" for scan in found.scans)
    np.testing.assert_array_equal(
        projected(likelihood, [EMPTY], factors, floor=0.1).expected_at(EMPTY), limits
    )


def test_many_events_are_limited_as_the_root_of_the_luminosity(likelihood: Likelihood) -> None:
    factors = np.array([1.0, 4.0, 100.0])
    found = projected(likelihood, [MANY], factors, method="asymptotic")
    limits = found.expected_at(MANY)
    for factor, of_one in zip(factors, limits, strict=True):
        right = asimov_limits(factor * EVENTS, factor * PER_POI * ON, factor * PER_POI * OFF)
        np.testing.assert_allclose(of_one, right, rtol=2e-4)
    np.testing.assert_allclose(limits[:, 2] * np.sqrt(factors), limits[0, 2], rtol=5e-3)
    assert all(scan.valid.all() and not scan.flagged.any() for scan in found.scans)


def test_few_counts_are_scaled_and_summed(likelihood: Likelihood) -> None:
    """Four candidates, tau = 1: two expected in the window, of the whole numbers nearest to it."""
    found = projected(likelihood, [FEW], [1.0, 1.25, 4.0], level=0.9)
    for limits, on, off, factor in zip(
        found.expected_at(FEW), (2, 2, 8), (2.0, 3.0, 8.0), (1.0, 1.25, 4.0), strict=True
    ):
        signal, beside = factor * PER_POI * ON, factor * PER_POI * OFF
        count = Count(on=on, per_poi=signal, off=off, tau=1.0, off_per_poi=beside)
        np.testing.assert_allclose(limits, exact_limit([count], 0.9).expected, rtol=1e-5)
    assert found.scans[2].how == ("exact: sums over the counts; 8 expected in windows",)
    blind = projected(likelihood, [FEW], [1.0], level=0.9, blind=True)
    assert blind.sidebands_only
    count = Count(on=3, per_poi=PER_POI * ON, off=3.0, tau=1.0, off_per_poi=PER_POI * OFF)
    right = exact_limit([count], 0.9).expected
    np.testing.assert_allclose(blind.expected_at(FEW)[0], right, rtol=1e-5)


@given(
    on=st.integers(0, 50),
    off=st.integers(0, 500),
    tau=st.floats(0.01, 100.0),
    factor=st.floats(1e-3, 1e4),
    blind=st.booleans(),
)
def test_a_scaled_count_has_the_scaled_background(
    on: int, off: int, tau: float, factor: float, blind: bool
) -> None:
    count = Count(on=on, per_poi=2.0, off=off, tau=tau, off_per_poi=0.5 * tau)
    scaled = _scaled_count(count, factor, blind)  # refuses what is no whole number, or negative
    assert scaled.off is not None
    background = factor * (off / tau if blind else (on + off) / (1 + tau))
    assert (scaled.on + scaled.off) / (1 + tau) == pytest.approx(background, rel=1e-9)
    assert scaled.on <= background + 0.5
    assert (scaled.per_poi, scaled.off_per_poi) == (2 * factor, 0.5 * tau * factor)


def test_what_competes_in_two_windows_is_the_variance_of_the_fit() -> None:
    """The inverse of the Fisher information of signal and both backgrounds."""
    signal, b, tau = np.array([3.0, 7.0]), np.array([20.0, 90.0]), np.array([4.0, 0.5])
    information = np.zeros((3, 3))
    for c in range(2):
        in_window, beside = np.eye(3)[c + 1], tau[c] * np.eye(3)[c + 1]
        in_window[0] = signal[c]
        information += np.outer(in_window, in_window) / b[c]
        information += np.outer(beside, beside) / (tau[c] * b[c])
    right = signal.sum() ** 2 * np.linalg.inv(information)[0, 0]
    counts = [
        Count(on=n, per_poi=s, off=n * t, tau=t) for n, s, t in zip(b, signal, tau, strict=True)
    ]
    assert _competing(counts) == pytest.approx(right, rel=1e-9)
    assert _competing([*counts, Count(on=0, per_poi=1.0, off=0, tau=2.0)]) == 0


@pytest.mark.parametrize("mass", [FEW, MANY])
@pytest.mark.parametrize("blind", [True, False])
def test_at_the_luminosity_of_the_data_limits_are_those_expected(
    likelihood: Likelihood, mass: float, blind: bool
) -> None:
    found = projected(likelihood, [mass], [1.0, 7.0], method="asymptotic", blind=blind)
    # no move: the signal yields are those of the data again
    right = upper_limit(likelihood, method="asymptotic", blind=blind).expected
    np.testing.assert_allclose(found.expected_at(mass)[0], right, rtol=1e-6)


@pytest.mark.parametrize("method", ["asymptotic", "auto"])
def test_a_floor_adds_in_quadrature(likelihood: Likelihood, method: str) -> None:
    """The fitted signal varies by b (1 + 1 / tau) = 2 b, and by a part of that which stays."""
    floor, mass = 0.03, {"asymptotic": MANY, "auto": FEW}[method]
    b = {"asymptotic": EVENTS, "auto": 2.0}[method]
    factors = np.array([1.0, 10.0])
    plain = projected(likelihood, [mass], factors, method=method).expected_at(mass)
    found = projected(likelihood, [mass], factors, method=method, floor=floor)
    assert found.floor == floor
    competing = 2 * b * factors
    errors = np.sqrt(competing + (floor * competing) ** 2)
    ratio = np.tile((errors / np.sqrt(competing))[:, None], 5)
    # the signal in the sidebands changes what competes by 1e-4
    np.testing.assert_allclose(found.expected_at(mass) / plain, ratio, rtol=3e-4)
    if method == "asymptotic":  # normal limits; at b = 10 000 they are off by 0.5 %
        normal = norm.isf(0.025) * errors / (factors * PER_POI * (ON - OFF))
        np.testing.assert_allclose(found.expected_at(mass)[:, 2], normal, rtol=1e-2)
        far = projected(likelihood, [mass], [1e3, 1e4], method=method, floor=floor)
        first, second = far.expected_at(mass)[:, 2]
        assert second == pytest.approx(first, rel=1e-3)  # no luminosity helps any more


@pytest.mark.slow
def test_toys_tell_few_events(likelihood: Likelihood) -> None:
    """By toys and by sums the limits are the same, but for the toys' error of 10 %: with this seed
    they are 8 % off at most. Those below the median are not: these toys keep the background as it
    is without signal, the sums profile it.
    """
    plan = Toys(precision=0.1, most=10_000)
    toys = projected(likelihood, [FEW], [4.0], method="toys", toys=plan)
    sums = projected(likelihood, [FEW], [4.0])
    assert toys.scans[0].method == "toys"
    right = sums.expected_at(FEW)[0, 2:]
    np.testing.assert_allclose(toys.expected_at(FEW)[0, 2:], right, rtol=0.1)


def test_masses_that_cannot_be_are_skipped(likelihood: Likelihood) -> None:
    found = projected(likelihood, [MANY, VETOED, EMPTY], [2.0, 1.0], method="asymptotic")
    assert found.masses.tolist() == [EMPTY, MANY]
    assert [skipped.mass for skipped in found.skipped] == [VETOED]
    assert found.luminosities.tolist() == [LUMINOSITY, 2 * LUMINOSITY]
    assert found.poi == likelihood.poi.name
    assert found.provenance["versions"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"luminosities": [100.0, 0.0]}, "luminosity 0 fb"),
        ({"luminosities": [math.inf]}, "luminosity inf fb"),
        ({"luminosities": []}, "at least one luminosity"),
        ({"luminosity": -1.0}, "luminosity -1 fb"),
        ({"floor": -0.1}, "floor=-0.1"),
        ({"masses": []}, "at least one mass"),
        ({"masses": [math.nan]}, "only finite ones"),
        ({"masses": [VETOED]}, "none of the masses can be a hypothesis: vetoed"),
        ({"level": 95.0}, "level=95"),
        ({"method": "formula"}, "method='formula' is not known"),
    ],
)
def test_wrong_questions(likelihood: Likelihood, changes: dict[str, Any], message: str) -> None:
    asked = {"masses": [FEW], "luminosities": [100.0], "luminosity": LUMINOSITY} | changes
    with pytest.raises(InputError, match=message):
        project(likelihood, progress=False, **asked)


# -- the result -----------------------------------------------------------------------------

KNOWN = make_blind_scan()


def made_up(**changes: Any) -> Projection:
    second = dataclasses.replace(KNOWN, expected=KNOWN.expected / 3)
    asked: dict[str, Any] = {"luminosities": [100.0, 1000.0], "scans": (KNOWN, second)}
    return Projection(**asked | {"luminosity": 100.0, "floor": 0.02} | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"luminosities": [1000.0, 100.0]}, "positive and increasing"),
        ({"luminosities": [0.0, 100.0]}, "positive and increasing"),
        ({"luminosities": []}, "positive and increasing"),
        ({"luminosities": [100.0]}, "2 scans for 1 luminosities"),
        ({"luminosity": 0.0}, "luminosity of the data"),
        ({"floor": -0.1}, "floor=-0.1"),
        ({"scans": (KNOWN, make_scan())}, "at 1000 fb.-1 is not blind"),
        ({"scans": (KNOWN, KNOWN.between(0.0, KNOWN.masses[0]))}, "other masses"),
        ({"scans": (KNOWN, dataclasses.replace(KNOWN, level=0.5))}, "another level"),
    ],
)
def test_a_projection_that_is_none(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        made_up(**changes)


def test_numbers_of_a_projection() -> None:
    found = made_up()
    mass = float(found.masses[0])
    limits = found.expected_at(mass)
    assert limits.shape == (2, 5)
    np.testing.assert_array_equal(limits[0], KNOWN.expected[0])
    np.testing.assert_array_equal(limits[1], KNOWN.expected[0] / 3)
    with pytest.raises(InputError, match="no limit at 77 GeV"):
        found.expected_at(77.0)
    failed = np.zeros(len(KNOWN.masses), bool)
    second = dataclasses.replace(KNOWN, valid=failed)
    found = made_up(scans=(KNOWN, second))
    assert np.isnan(found.expected_at(mass)[1]).all()
    assert found.flagged_at(mass).tolist() == [KNOWN.flagged[0], True]
    assert "best expected limit at 1000 fb^-1: no valid limit" in found.summary()
    assert "fitted to all candidates of 100 fb^-1" in found.summary()


def test_files_hold_everything(tmp_path: Path) -> None:
    skipped = (Skipped(0.01, "vetoed: π⁰"),)
    scans = tuple(dataclasses.replace(s, skipped=skipped) for s in made_up().scans)
    found = made_up(scans=scans, sidebands_only=True)
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    found.to_json(one)
    again = Projection.from_json(one)
    again.to_json(two)
    assert one.read_bytes() == two.read_bytes()
    for mine, theirs in zip(found.scans, again.scans, strict=True):
        np.testing.assert_array_equal(mine.expected, theirs.expected, strict=True)
        assert (mine.warnings, mine.how, mine.skipped) == (
            theirs.warnings,
            theirs.how,
            theirs.skipped,
        )
    assert (again.luminosity, again.floor, again.sidebands_only) == (100.0, 0.02, True)
    found.to_csv(tmp_path / "table.csv")
    table = pd.read_csv(tmp_path / "table.csv", comment="#")
    assert table.columns[:3].tolist() == ["luminosity_fb", "mass_GeV", "expected_m2"]
    assert len(table) == 2 * (len(KNOWN.masses) + 1)
    assert "# background fitted to: sidebands only\n" in (tmp_path / "table.csv").read_text()
    content = json.loads(one.read_text(encoding="utf-8"))
    for damage, message in (
        ({"format": "zfit_dark scan 1"}, "not a zfit_dark projection file"),
        ({"format": "zfit_dark projection 99"}, "newer zfit_dark"),
        ({"expected": content["expected"][:1]}, "damaged projection file"),
        ({"luminosity": "many"}, "damaged projection file"),
    ):
        two.write_text(json.dumps(content | damage))
        with pytest.raises(InputError, match=message):
            Projection.from_json(two)


# -- plots ----------------------------------------------------------------------------------


def test_the_plot_of_one_mass() -> None:
    found = made_up()
    ax = plot.projection(found, float(found.masses[0]))
    lines = {line.get_label(): line for line in ax.get_lines()}
    np.testing.assert_allclose(
        lines["Expected, median"].get_ydata(), found.expected_at(found.masses[0])[:, 2]
    )
    for label, ratio in ((r"$\propto 1/L$", 10.0), (r"$\propto 1/\sqrt{L}$", math.sqrt(10))):
        first, last = lines[label].get_ydata()
        assert first / last == pytest.approx(ratio)
    words = ax.texts[0].get_text()
    assert ("Pseudo-data" in words) == found.pseudo_data
    assert "Projection from 100 fb" in words
    assert "Background known to 2 %" in words
    with pytest.raises(InputError, match="no limit at 77 GeV"):
        plot.projection(found, 77.0)
    bad = dataclasses.replace(KNOWN, valid=np.zeros(len(KNOWN.masses), bool))
    with pytest.raises(InputError, match="nothing to draw"):
        plot.projection(made_up(scans=(bad, bad)))
    with pytest.raises(InputError, match="no valid limit to draw"):
        plot.projections(made_up(scans=(bad, bad)))


@pytest.mark.parametrize("pseudo_data", [True, False])
def test_the_plot_of_all_masses(pseudo_data: bool) -> None:
    scans = tuple(dataclasses.replace(s, pseudo_data=pseudo_data) for s in made_up().scans)
    ax = plot.projections(made_up(scans=scans), mass_label="here")
    labels = [line.get_label() for line in ax.get_lines()]
    assert labels == ["100 fb$^{-1}$", "1 ab$^{-1}$"]
    assert ax.get_xlabel() == "here"
    assert ("Pseudo-data" in ax.texts[0].get_text()) == pseudo_data


# -- the searches ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", searches.names())
def test_a_search_projects(name: str) -> None:
    search = searches.load(name)
    mode = search.MODES[0]
    found = search.project(modes=[mode], max_masses=2, method="asymptotic", progress=False)
    np.testing.assert_array_equal(found.luminosities, LUMINOSITIES)
    assert found.luminosity == search.NUMBERS.luminosity.value  # type: ignore[attr-defined]
    assert found.provenance["search"] == name
    assert found.pseudo_data
    medians = np.array([scan.expected[:, 2] for scan in found.scans])
    assert (np.diff(medians, axis=0) < 0).all()
