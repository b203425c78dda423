"""What limits of idm mean for the model, against the rates written out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from zfit_dark.errors import InputError
from zfit_dark.results import LifetimeScan
from zfit_dark.searches import idm
from zfit_dark.theory import inelastic, scalar

FAR_AWAY = 3.15
"""A candidate there is in no sideband of the masses below."""

MASSES = [0.6, 1.2]


@pytest.fixture(scope="module")
def result() -> LifetimeScan:
    """No candidate anywhere near the hypotheses."""
    data = idm.read({mode: [FAR_AWAY] for mode in idm.MODES})
    return idm.scan_lifetimes(data, masses=MASSES, modes=["mumu", "pipi"], progress=False)


@pytest.fixture(scope="module")
def tied() -> LifetimeScan:
    data = idm.read({mode: [FAR_AWAY] for mode in idm.MODES})
    return idm.scan_lifetimes(data, masses=MASSES, model="scalar", progress=False)


def rate(point: inelastic.Parameters, finals: list[str]) -> float:
    """Cross section, branching fractions, and what is seen of the chi2, in fb."""
    made = inelastic.cross_section_fb(point) * inelastic.chi2_decay_fraction("ee", point)
    made *= sum(scalar.decay_fraction(final, point.hprime_mass) for final in finals)
    ctau = inelastic.chi2_lifetime_ctau_cm(point)
    best = idm.efficiency("mumu", 1.0, idm.best_lifetime(1.0))
    return made * idm.efficiency("mumu", 1.0, idm.best_lifetime(1.0), ctau) / best


def limit_at(result: LifetimeScan, channel: str, mass: float, ctau: float) -> float:
    if not result.lifetimes[0] <= ctau <= result.lifetimes[-1]:
        return np.inf
    limits = result.limits_at(channel, mass)
    return float(np.exp(np.interp(np.log(ctau), np.log(result.lifetimes), np.log(limits))))


def test_the_benchmark_is_that_of_the_file() -> None:
    point = idm.benchmark()
    assert point.aprime_mass == pytest.approx(3 * point.chi1_mass)
    assert point.splitting == pytest.approx(0.4 * point.chi1_mass)
    assert "benchmark.sin_theta" in idm.sources()


@pytest.mark.parametrize(("channel", "mass"), [("mumu", 0.6), ("pipi", 0.6), ("mumu", 1.2)])
def test_excluded_angles_are_those_that_predict_too_much(
    result: LifetimeScan, channel: str, mass: float
) -> None:
    found = idm.interpret(result, channel=channel)
    (interval,) = found.observed[found.masses.tolist().index(mass)]
    predicted = rate(replace(idm.benchmark(), hprime_mass=mass), [channel])
    angles = np.geomspace(1e-7, 1.0, 4001)
    is_excluded = [
        predicted > limit_at(result, channel, mass, scalar.lifetime_ctau_cm(mass, angle))
        for angle in angles
    ]
    there = angles[is_excluded]
    assert interval.low == pytest.approx(there[0], rel=0.01)
    assert interval.high == pytest.approx(there[-1], rel=0.01)
    for edge, is_crossing in (
        (interval.low, interval.low_is_crossing),
        (interval.high, interval.high_is_crossing),
    ):
        ctau = scalar.lifetime_ctau_cm(mass, edge)
        if is_crossing:
            assert limit_at(result, channel, mass, ctau) == pytest.approx(predicted, rel=1e-6)
        else:
            ends = result.lifetimes[[0, -1]]
            assert min(abs(np.log(ctau / ends))) < 1e-6
    assert found.coupling == "sin_theta"
    assert found.pseudo_data is False
    assert any("alpha_D = 0.1" in line for line in found.assumptions)


def test_a_plane_compares_rates_with_the_limit(tied: LifetimeScan) -> None:
    (plane,) = idm.planes(tied)
    point = idm.benchmark()
    ctau = scalar.lifetime_ctau_cm(0.6, point.sin_theta)
    limit = limit_at(tied, "scalar", 0.6, ctau)
    region = plane.observed
    assert region is not None
    some = np.flatnonzero(np.isfinite(region.ratio))[:: region.ratio.size // 12]
    for x, y, ratio in zip(region.x[some], region.y[some], region.ratio[some], strict=True):
        epsilon = y / np.sqrt(point.alpha_d)
        if not epsilon < 0.05:
            continue  # there the visible width of the A' matters
        here = replace(
            point,
            chi1_mass=x,
            splitting=0.4 * x,
            aprime_mass=3 * x,
            epsilon=epsilon,
            hprime_mass=0.6,
        )
        assert ratio == pytest.approx(rate(here, list(idm.MODES)) / limit, rel=2e-3)
    assert np.isnan(region.ratio[region.x < 0.3]).all()  # h' -> chi1 chi1 is open
    excluded = region.ratio > 1
    assert excluded.any()
    assert not excluded.all()
    assert (plane.x, plane.y) == ("chi1_mass", "epsilon_sqrt_alpha_d")
    assert any("3" in line and "0.4" in line for line in plane.held)


def test_a_plane_against_the_mass_of_the_dark_photon(tied: LifetimeScan) -> None:
    (plane,) = idm.planes(tied, against="aprime_mass")
    region = plane.expected
    closed = region.x <= idm.benchmark().chi_pair_mass
    assert np.isnan(region.ratio[closed]).all()
    assert np.isfinite(region.ratio[~closed]).all()


def test_no_plane_where_nothing_was_scanned(tied: LifetimeScan) -> None:
    point = idm.benchmark()
    assert idm.planes(tied, point=replace(point, hprime_mass=2.6)) == []
    assert idm.planes(tied, point=replace(point, sin_theta=1e-8)) == []  # it lives too long


def test_what_is_unknown_is_refused(result: LifetimeScan) -> None:
    with pytest.raises(InputError, match="unknown model 'alp'"):
        idm.interpret(result, model="alp", channel="mumu")
    with pytest.raises(InputError, match="give channel=, one of mumu, pipi"):
        idm.interpret(result)
    with pytest.raises(InputError, match="unknown axis 'm_chi'"):
        idm.planes(result, channel="mumu", against="m_chi")
