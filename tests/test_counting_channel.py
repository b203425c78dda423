"""Counting channels in a likelihood, against Poisson counts written out."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import zfit
from scipy.integrate import quad
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.stats import norm

from zfit_dark import signal_shape
from zfit_dark.channel import CountingChannel, Nuisance, ShapeChannel, Veto, bernstein
from zfit_dark.counting import Count, exact_limit
from zfit_dark.errors import InputError
from zfit_dark.fitting import fit
from zfit_dark.frequentist import Toys
from zfit_dark.likelihood import Likelihood
from zfit_dark.limits import upper_limit
from zfit_dark.pdf import Counted, DoubleCB
from zfit_dark.profile import compiled
from zfit_dark.scanning import scan
from zfit_dark.signal_shape import SignalShape

SIGMA = 0.004
TAILS = {"alphal": 1.2, "nl": 3.0, "alphar": 1.5, "nr": 4.0}
SHAPE = SignalShape(
    np.array([0.25, 3.0]),
    {"sigma": np.full(2, SIGMA)} | {name: np.full(2, value) for name, value in TAILS.items()},
    source="these tests",
    status="assumed",
)
VETO = Veto(0.467, 0.529, "K0S")
LIMITS = (0.25, 3.0)
PER_POI = 3.0


def candidates(seed: int, n: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).uniform(*LIMITS, n)
    return drawn[(drawn < VETO.low) | (drawn > VETO.high)]


DATA = {"one": candidates(1, 400), "two": candidates(2, 60)}


def channel(name: str = "one", **changes: Any) -> CountingChannel:
    asked: dict[str, Any] = {
        "masses": DATA[name],
        "signal": SHAPE,
        "window": 2.0,
        "sidebands": (4.0, 20.0),
        "signal_per_poi": PER_POI,
        "limits": LIMITS,
        "vetoes": (VETO,),
    }
    return CountingChannel(name, **asked | changes)


def crystal_ball(z: float) -> float:
    """The peak, not normalised, at a distance in resolutions."""
    a, n = (TAILS["alphal"], TAILS["nl"]) if z < 0 else (TAILS["alphar"], TAILS["nr"])
    if abs(z) <= a:
        return float(np.exp(-0.5 * z**2))
    return float(np.exp(-0.5 * a**2) * (1 + a / n * (abs(z) - a)) ** -n)


def share(pieces: list[tuple[float, float]], mass: float) -> float:
    """Fraction of the peak in pieces; the whole of it reaches 25 resolutions beyond the limits."""
    low, high = ((edge - mass) / SIGMA for edge in LIMITS)
    ends = low - 25, -TAILS["alphal"], TAILS["alphar"], high + 25
    whole = sum(quad(crystal_ball, a, b, limit=500)[0] for a, b in pairwise(ends))
    inside = 0.0
    for piece in pieces:
        a, b = ((edge - mass) / SIGMA for edge in piece)
        breaks = [x for x in (-TAILS["alphal"], TAILS["alphar"]) if a < x < b]
        inside += quad(crystal_ball, a, b, points=breaks or None, limit=500)[0]
    return inside / whole


def left_by_the_veto(pieces: list[tuple[float, float]]) -> list[tuple[float, float]]:
    found = []
    for low, high in pieces:
        found += [(low, min(high, VETO.low)), (max(low, VETO.high), high)]
    return [(low, high) for low, high in found if low < high]


def regions(mass: float) -> list[list[tuple[float, float]]]:
    """Window and sidebands, cut by limits and veto."""
    at = [mass + k * SIGMA for k in (-20, -4, -2, 2, 4, 20)]
    at = list(np.clip(at, *LIMITS))
    return [
        left_by_the_veto([(at[2], at[3])]),
        left_by_the_veto([(at[0], at[1]), (at[4], at[5])]),
    ]


def count(name: str, mass: float, per_poi: float = PER_POI) -> Count:
    """The counts of a channel, from the candidates one by one."""
    numbers, lengths, shares = [], [], []
    for pieces in regions(mass):
        numbers.append(sum(low <= m <= high for m in DATA[name] for low, high in pieces))
        lengths.append(sum(high - low for low, high in pieces))
        shares.append(share(pieces, mass))
    return Count(
        on=numbers[0],
        per_poi=per_poi * shares[0],
        off=numbers[1],
        tau=lengths[1] / lengths[0],
        off_per_poi=per_poi * shares[1],
    )


@pytest.fixture(scope="module")
def alone() -> Likelihood:
    return Likelihood([channel()])


@pytest.fixture(scope="module")
def both() -> Likelihood:
    """Two channels with an uncertainty in common, and one of their own each."""
    common = Nuisance("efficiency", 0.1)
    return Likelihood(
        [
            channel("one", nuisances=(common, Nuisance("id_one", 0.05))),
            channel("two", nuisances=(common, Nuisance("id_two", 0.2)), signal_per_poi=5.0),
        ]
    )


# in the open; the window cut by the veto; the sidebands cut by it; at the end of the limits
MASSES = (1.0, 0.533, 0.58, 2.999)


@pytest.mark.parametrize("mass", MASSES)
def test_the_counts_are_those_written_out(alone: Likelihood, mass: float) -> None:
    ((found,), _), right = alone.move_to(mass).counting(), count("one", mass)
    assert (found.on, found.off) == (right.on, right.off)
    assert found.tau == pytest.approx(right.tau, rel=1e-9)
    assert found.per_poi == pytest.approx(right.per_poi, rel=1e-7)
    assert found.off_per_poi == pytest.approx(right.off_per_poi, rel=1e-6)


@pytest.mark.parametrize("mass", MASSES)
def test_the_likelihood_is_that_of_two_counts(alone: Likelihood, mass: float) -> None:
    alone.move_to(mass)
    ours, right = compiled(alone.loss), count("one", mass)
    background = next(p for p in ours.parameters if p is not alone.poi)
    # the yield counts what the background would have from end to end of the sidebands
    low, high = np.clip([mass - 20 * SIGMA, mass + 20 * SIGMA], *LIMITS)
    window = (high - low) / sum(b - a for a, b in regions(mass)[0])

    def nll(mu: float, b: float) -> float:
        on, off = mu * right.per_poi + b, mu * right.off_per_poi + right.tau * b
        return on + off - right.on * np.log(on) - right.off * np.log(off)

    values, expected = [], []
    for mu, b in ((0.0, 0.3), (0.7, 0.3), (2.0, 1.5), (-0.05, 2.0)):
        theta = np.zeros(2)
        theta[ours.index(alone.poi)] = mu
        theta[ours.index(background)] = b * window
        values.append(ours.evaluate(theta[None], ours.observed())[0][0])
        expected.append(nll(mu, b))
    np.testing.assert_allclose(np.diff(values), np.diff(expected), rtol=1e-6)


def test_limits_are_exact_unless_something_else_is_asked_for(alone: Likelihood) -> None:
    alone.move_to(1.0)
    limit, right = upper_limit(alone), exact_limit([count("one", 1.0)])
    assert limit.method == "auto"
    assert limit.how.startswith("exact")
    assert limit.valid
    assert not limit.warnings
    assert limit.observed == pytest.approx(right.observed, rel=1e-6)
    np.testing.assert_allclose(limit.expected, right.expected, rtol=1e-6)
    assert limit.poi_hat == pytest.approx(right.poi_hat, rel=1e-5)
    assert limit.p0 == pytest.approx(right.p0, rel=1e-6)
    asymptotic = upper_limit(alone, method="asymptotic")
    assert "low counts" in " ".join(asymptotic.warnings)
    assert asymptotic.observed < limit.observed


@pytest.mark.slow
def test_toys_agree_with_sums(alone: Likelihood) -> None:
    """Two independent ways; four errors are exceeded by chance once in 16 000 times."""
    alone.move_to(1.0)
    limit = upper_limit(alone, method="toys", toys=Toys(precision=0.02, seed=3))
    right = exact_limit([count("one", 1.0)])
    assert abs(limit.observed - right.observed) < 4 * limit.observed_error
    assert limit.observed_error < 0.05 * right.observed


def test_uncertainties_of_the_signal_are_averaged_over(both: Likelihood) -> None:
    mass = 1.2
    counts = [count("one", mass), count("two", mass, 5.0)]
    both.move_to(mass)
    np.testing.assert_allclose(both.counting().uncertainties, [[0.1, 0.1], [0.05, 0.0], [0.0, 0.2]])
    limit = upper_limit(both, method="exact")
    right = exact_limit(counts, uncertainties=[[0.1, 0.1], [0.05, 0.0], [0.0, 0.2]])
    assert limit.observed == pytest.approx(right.observed, rel=1e-5)
    assert limit.observed > exact_limit(counts).observed


def test_nothing_observed(alone: Likelihood) -> None:
    """No event in window and sidebands: three events in the peak, and no sigma of anything."""
    empty = Likelihood([channel(masses=[])]).move_to(1.0)
    limit = upper_limit(empty)
    seen = count("one", 1.0)
    assert limit.observed * (seen.per_poi + seen.off_per_poi) == pytest.approx(
        -np.log(0.05), rel=1e-6
    )
    np.testing.assert_allclose(limit.expected, limit.observed)
    assert limit.p0 == 1.0


def test_one_uncertain_channel_without_events() -> None:
    """The mean of exp(-s (1 + u)^theta) is 5 % at the limit."""
    empty = Likelihood([channel(masses=[], nuisances=(Nuisance("efficiency", 0.1),))]).move_to(1.0)
    seen = count("one", 1.0)
    rate = seen.per_poi + seen.off_per_poi

    def excess(mu: float) -> float:
        return (
            quad(lambda t: norm.pdf(t) * np.exp(-mu * rate * 1.1**t), -8, 8, epsabs=1e-12)[0] - 0.05
        )

    assert upper_limit(empty).observed == pytest.approx(brentq(excess, 0.1, 10), rel=1e-5)


def test_a_background_with_a_slope_is_fitted_to_the_sidebands() -> None:
    """Candidates in the sidebands tell the slope, those in the window only their number."""
    rng = np.random.default_rng(5)
    mass = 1.0
    data = np.concatenate(
        [rng.triangular(mass - 20 * SIGMA, mass + 20 * SIGMA, mass + 20 * SIGMA, 150)]
    )
    likelihood = Likelihood([channel(masses=data, background=bernstein(1))]).move_to(mass)
    assert not likelihood.only_counts()
    with pytest.raises(InputError, match="'one' does not only count"):
        likelihood.counting()
    limit = upper_limit(likelihood)
    assert limit.method == "asymptotic"
    pieces = regions(mass)
    in_window = [m for m in data if pieces[0][0][0] <= m <= pieces[0][0][1]]
    beside = np.array([m for m in data for low, high in pieces[1] if low <= m <= high])
    shares = share(pieces[0], mass)
    low, high = pieces[1][0][0], pieces[1][-1][1]

    def straight(m: Any, left: float, right: float) -> Any:
        t = (m - low) / (high - low)
        return 2 * (left * (1 - t) + right * t) / (high - low)

    def area(part: list[tuple[float, float]], left: float, right: float) -> float:
        return sum(
            0.5 * (straight(a, left, right) + straight(b, left, right)) * (b - a) for a, b in part
        )

    def signal_density(m: Any) -> Any:
        norm_of_peak = share(pieces[0], mass) / quad(crystal_ball, -2, 2, points=[-1.2, 1.5])[0]
        return np.array([crystal_ball((x - mass) / SIGMA) for x in m]) * norm_of_peak / SIGMA

    peak = signal_density(beside)

    def nll(theta: Any) -> float:
        mu, left, right = theta
        on = PER_POI * mu * shares + area(pieces[0], left, right)
        off = PER_POI * mu * share(pieces[1], mass) + area(pieces[1], left, right)
        density = PER_POI * mu * peak + straight(beside, left, right)
        if on <= 0 or (density <= 0).any():
            return 1e9
        return on + off - len(in_window) * np.log(on) - np.sum(np.log(density))

    found = minimize(
        nll,
        [0.1, 20.0, 130.0],
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 5000},
    )
    assert limit.poi_hat == pytest.approx(found.x[0], abs=1e-4)


def test_counting_beside_a_shape() -> None:
    """In one likelihood: minus its logarithm is the sum of both, written out."""
    mass, limits = 1.0, (0.97, 1.03)
    data = np.random.default_rng(3).uniform(*limits, 100)
    shape = ShapeChannel(
        "shape",
        data=data,
        limits=limits,
        signal=SHAPE,
        signal_per_poi=20.0,
        background=bernstein(0),
    )
    together = Likelihood([shape, channel()]).move_to(mass)
    assert not together.only_counts()
    ours, counts, window = compiled(together.loss), count("one", mass), 10.0
    names = [each.name for each in ours.parameters]
    peak = np.array([crystal_ball((x - mass) / SIGMA) for x in data])
    low, high = ((edge - mass) / SIGMA for edge in limits)
    seen, whole = (
        sum(quad(crystal_ball, a, b)[0] for a, b in pairwise(ends))
        for ends in ((low, -1.2, 1.5, high), (low - 25, -1.2, 1.5, high + 25))
    )

    def nll(mu: float, flat: float, b: float) -> float:
        on, off = mu * counts.per_poi + b, mu * counts.off_per_poi + counts.tau * b
        of_counts = on + off - counts.on * np.log(on) - counts.off * np.log(off)
        density = 20 * mu * peak / (whole * SIGMA) + flat / (limits[1] - limits[0])
        return of_counts + 20 * mu * seen / whole + flat - np.log(density).sum()

    found, expected = [], []
    for mu, flat, b in ((0.0, 100.0, 2.0), (0.8, 90.0, 2.0), (0.8, 90.0, 3.0)):
        values = {"mu": mu, "shape_background_yield": flat, "one_background_yield": b * window}
        theta = np.array([[values[name] for name in names]])
        found.append(ours.evaluate(theta, ours.observed())[0][0])
        expected.append(nll(mu, flat, b))
    np.testing.assert_allclose(np.diff(found), np.diff(expected), rtol=1e-6)


def test_blind_limits_do_not_see_the_window(alone: Likelihood) -> None:
    """They are those of as many events in the window as the sidebands expect."""
    right = count("one", 2.15)  # 5 events where the sidebands expect 1.4
    alone.move_to(2.15)
    limit = upper_limit(alone, method="asymptotic", blind=True)
    b = right.off / right.tau

    def root_of_q(mu: float) -> float:
        def nll(mu: float, background: float) -> float:
            on, off = mu * right.per_poi + background, mu * right.off_per_poi
            off += right.tau * background
            return on + off - b * np.log(on) - right.off * np.log(off)

        profiled = minimize_scalar(
            lambda x: nll(mu, x), bounds=(1e-9, 10 * b), method="bounded", options={"xatol": 1e-9}
        )
        return float(np.sqrt(2 * max(profiled.fun - nll(0.0, b), 0.0)))

    median = brentq(lambda mu: root_of_q(mu) - norm.isf(0.025), 0.01, 20)
    assert limit.expected[2] == pytest.approx(median, rel=1e-4)
    seen = upper_limit(alone, method="asymptotic")
    assert seen.expected[2] > 1.05 * median


def test_scan_over_a_veto_and_overlapping_windows(alone: Likelihood) -> None:
    masses = [0.45, 0.5, 0.532, 0.535, 0.538]
    found = scan(alone, masses, progress=False)
    assert [each.mass for each in found.skipped] == [0.5]
    assert found.skipped[0].reason == "vetoed: K0S"
    right = [exact_limit([count("one", mass)]).observed for mass in found.masses]
    np.testing.assert_allclose(found.observed, right, rtol=1e-6)


def test_a_table_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Widths and tails follow from the mass: once a program, and not wherever the peak is."""
    looked_up, real = [], signal_shape.interpolated

    def interpolated(curve: Any, x: Any) -> Any:
        looked_up.append(id(curve))
        return real(curve, x)

    model = Likelihood([channel()]).move_to(1.0)
    monkeypatch.setattr(signal_shape, "interpolated", interpolated)
    ours = compiled(model.loss)
    ours.evaluate(ours.values()[None], ours.observed())
    assert len(looked_up) == len(set(looked_up)) == 1 + len(TAILS)


def test_a_closed_channel_says_nothing() -> None:
    opens = channel("two", signal_per_poi=lambda mass: 5.0 if mass > 0.6 else 0.0)
    likelihood = Likelihood([channel("one"), opens])
    limits = [upper_limit(likelihood.move_to(mass)).observed for mass in (0.45, 1.0)]
    right = [
        exact_limit([count("one", 0.45)]).observed,
        exact_limit([count("one", 1.0), count("two", 1.0, 5.0)]).observed,
    ]
    np.testing.assert_allclose(limits, right, rtol=1e-5)
    # closed in the veto of its own, it does not stand in the way of the others
    other = Likelihood([channel("one", vetoes=()), opens]).move_to(0.5)
    assert upper_limit(other).valid


def test_a_hypothesis_needs_window_and_sidebands() -> None:
    wide = channel(vetoes=(Veto(0.9, 0.999, "left"), Veto(1.003, 1.2, "right")))
    assert wide.why_not(1.0) == "nothing is left of the sidebands of channel one"
    with pytest.raises(InputError, match="nothing is left of the sidebands"):
        Likelihood([wide]).move_to(1.0)


@pytest.mark.slow
def test_a_gaussian_nuisance_is_left_to_toys() -> None:
    model = Likelihood([channel(nuisances=(Nuisance("efficiency", 0.1, "gaussian"),))]).move_to(1.0)
    with pytest.raises(InputError, match="lognormal nuisances, and 'efficiency' is gaussian"):
        upper_limit(model, method="exact")
    limit = upper_limit(model, toys=Toys(precision=0.5, most=1000))
    assert limit.method == "auto"
    assert limit.how.startswith("toys: ")
    assert limit.how.endswith("and 'efficiency' is gaussian; use method='toys'")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": 0.0}, "a window of 0.0 and sidebands from 4.0 to 20.0"),
        ({"sidebands": (1.0, 20.0)}, "each has to end before the next begins"),
        ({"sidebands": (4.0, 4.0)}, "each has to end before the next begins"),
        ({"masses": [0.1]}, "1 of 1 masses are outside 0.25 to 3 GeV"),
        ({"masses": [np.nan]}, "1 of 1 masses are NaN"),
        ({"background": {"a": bernstein(0), "b": bernstein(1)}}, "no choice of backgrounds"),
    ],
)
def test_bad_channels(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        channel(**changes)


def test_a_fit_shows_what_is_counted(alone: Likelihood) -> None:
    found = fit(alone, 1.0)
    (shown,) = found.channels
    right = count("one", 1.0)
    assert shown.counts.sum() == right.on + right.off
    b = (right.on + right.off) / (1 + right.tau)
    assert shown.expected.sum() == pytest.approx((1 + right.tau) * b, rel=1e-3)


# -- the PDF ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counted() -> tuple[Any, Any]:
    obs = zfit.Space("x", 0.0, 1.0)
    edge = zfit.Parameter("counted_edge", 0.45, floating=False)
    inner = DoubleCB(0.5, 0.02, 1.2, 4.0, 1.5, 5.0, obs)
    holes = [(0.2, edge), (0.55, 0.7), (0.5, 0.51)]
    return inner, Counted(inner, holes, [[(0.45, 0.55)], [(0.0, 0.2), (0.7, 1.0)]])


def test_density_is_the_mean_of_its_region(counted: tuple[Any, Any]) -> None:
    inner, pdf = counted

    def inside(*pieces: tuple[float, float]) -> float:
        return sum(quad(lambda x: float(inner.pdf([x], norm=False)[0]), *p)[0] for p in pieces)

    on, off = inside((0.45, 0.5), (0.51, 0.55)), inside((0.0, 0.2), (0.7, 1.0))
    on, off = on / (on + off), off / (on + off)
    points = [0.1, 0.3, 0.46, 0.505, 0.53, 0.6, 0.9]
    right = [off / 0.5, 0, on / 0.09, 0, on / 0.09, 0, off / 0.5]
    np.testing.assert_allclose(pdf.pdf(points), right, rtol=1e-7)
    for limits, value in (
        ((0.0, 1.0), 1.0),
        ((0.45, 0.55), on),
        ((0.1, 0.47), 0.2 * off + on * 0.02 / 0.09),
        ((0.5, 0.51), 0.0),
    ):
        assert pdf.integrate(limits).numpy()[0] == pytest.approx(value, rel=1e-7, abs=1e-12)


@pytest.mark.filterwarnings("ignore::zfit.util.warnings.ExperimentalFeatureWarning")
def test_counted_comes_back_from_a_file(counted: tuple[Any, Any]) -> None:
    _, pdf = counted
    (again,) = zfit.hs3.loads(zfit.hs3.dumps(pdf))["distributions"].values()
    points = [0.1, 0.46, 0.9]
    assert type(again) is Counted
    np.testing.assert_allclose(again.pdf(points), pdf.pdf(points), rtol=1e-12)


def test_a_region_needs_an_interval(counted: tuple[Any, Any]) -> None:
    inner, _ = counted
    for regions_given in ([], [[]]):
        with pytest.raises(InputError, match="at least one region"):
            Counted(inner, [(0.2, 0.3)], regions_given)


def test_samples_are_flat_in_a_region(counted: tuple[Any, Any]) -> None:
    """Kolmogorov's distance exceeds 2.2/sqrt(n), and a number five sigma, once in 8000 times."""
    _, pdf = counted
    zfit.settings.set_seed(4)
    drawn = pdf.sample(4000).value().numpy().ravel()
    on = np.sort(drawn[(drawn > 0.45) & (drawn < 0.55)])
    assert not ((on > 0.5) & (on < 0.51)).any()
    flat = np.where(on < 0.5, on - 0.45, on - 0.46) / 0.09
    steps = np.arange(1, on.size + 1) / on.size
    assert np.abs(flat - steps).max() < 2.2 / np.sqrt(on.size) + 1 / on.size
    chance = float(pdf.integrate((0.45, 0.55)).numpy()[0])
    assert abs(on.size - 4000 * chance) < 5 * np.sqrt(4000 * chance * (1 - chance))
