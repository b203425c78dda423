"""The choice of a background as an uncertainty: the envelope of profile likelihoods."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from iminuit import Minuit
from numba_stats import crystalball  # type: ignore[import-untyped]
from scipy.optimize import brentq
from scipy.stats import beta, norm

import zfit_dark as zd
from zfit_dark.channel import ShapeChannel, bernstein, chebyshev
from zfit_dark.errors import InputError
from zfit_dark.fitting import fit
from zfit_dark.hypotheses import fitted, profiled
from zfit_dark.likelihood import Likelihood
from zfit_dark.limits import alternatives, upper_limit
from zfit_dark.profile import compiled
from zfit_dark.signal_shape import SignalShape

LOW, HIGH, SIGMA, PER_POI, MASS = 1.0, 2.0, 0.02, 10.0, 1.45
ORDERS = {"flat": 0, "line": 1, "curve": 2}


@cache
def candidates():
    """A background that is nearly a straight line, and half a dozen events of a peak."""
    rng = np.random.default_rng(8)
    x = LOW + (HIGH - LOW) * rng.beta(1.0, 1.25, 700)
    return np.sort(np.append(x, rng.normal(MASS, SIGMA, 12)))


def likelihood(background, poi, **options):
    columns = {"sigma": [SIGMA] * 2, "alpha": [1.4] * 2, "n": [3.0] * 2}
    shape = SignalShape([0.9, 2.1], columns, source="a test", status="assumed")
    channel = ShapeChannel("one", candidates(), (LOW, HIGH), shape, PER_POI, background)
    return Likelihood([channel], poi, **options).move_to(MASS)


@pytest.fixture(scope="module")
def model():
    choice = {name: bernstein(order) for name, order in ORDERS.items()}
    return likelihood(choice, "mu_choice")


@pytest.fixture(scope="module")
def limit(model):
    return upper_limit(model.move_to(MASS), level=0.90)


class WrittenOut:
    """The profile likelihood of one background on weighted points, by Minuit."""

    def __init__(self, order, x, weights):
        t = (x - LOW) / (HIGH - LOW)
        shapes = [beta.pdf(t, i + 1, order - i + 1) / (HIGH - LOW) for i in range(order + 1)]
        ends = np.array([LOW - 25 * SIGMA, HIGH + 25 * SIGMA])
        whole = np.diff(crystalball.cdf(ends, 1.4, 3.0, MASS, SIGMA))[0]
        signal = crystalball.pdf(x, 1.4, 3.0, MASS, SIGMA) / whole
        inside = np.diff(crystalball.cdf(np.array([LOW, HIGH]), 1.4, 3.0, MASS, SIGMA))[0] / whole
        self.shapes, self.weights = np.array([PER_POI * signal, *shapes]), weights
        self.events = np.array([PER_POI * inside, *np.ones(order + 1)])
        self.order = order

    def fit(self, mu=None):
        """Lowest value and the parameters there."""

        def value(theta):
            density = theta @ self.shapes
            if not (density > 0).all():
                return 1e10
            return theta @ self.events - self.weights @ np.log(density)

        def gradient(theta):
            return self.events - self.shapes @ (self.weights / (theta @ self.shapes))

        share = self.weights.sum() / (self.order + 1)
        minuit = Minuit(value, [mu or 0.0, *[share] * (self.order + 1)], grad=gradient)
        minuit.errordef, minuit.strategy, minuit.tol = 0.5, 2, 1e-5
        minuit.limits = [(None, None), *[(0, None)] * (self.order + 1)]
        minuit.errors = [1.0, *[np.sqrt(share)] * (self.order + 1)]
        minuit.fixed[0] = mu is not None
        minuit.migrad()
        assert minuit.fmin.edm < 1e-4
        return minuit.fval, np.array(minuit.values)


class Envelope:
    """The same of all backgrounds, each with 1/2 for a yield (-2 ln L + 1)."""

    def __init__(self, x, weights):
        self.of = [WrittenOut(order, x, weights) for order in ORDERS.values()]
        free = [(each.fit()[0] + 0.5 * (each.order + 1), each.fit()[1][0]) for each in self.of]
        self.lowest, self.best = min(free)
        if self.best < 0:
            self.lowest = self.value(0.0)

    def value(self, mu):
        return min(each.fit(mu)[0] + 0.5 * (each.order + 1) for each in self.of)

    def q(self, mu):
        return 0.0 if mu < self.best else max(2 * (self.value(mu) - self.lowest), 0.0)


@pytest.mark.slow
def test_limits_are_those_of_the_envelope_written_out(limit):
    data = candidates()
    observed = Envelope(data, np.ones(data.size))
    # the Asimov set: the best background without a signal, on a fine grid
    at_zero = [each.fit(0.0) for each in observed.of]
    k = int(
        np.argmin([v + 0.5 * (o + 1) for (v, _), o in zip(at_zero, ORDERS.values(), strict=True)])
    )
    edges = np.linspace(LOW, HIGH, 2001)
    x = 0.5 * (edges[1:] + edges[:-1])
    weights = at_zero[k][1] @ WrittenOut(k, x, np.ones(x.size)).shapes * np.diff(edges)
    expected = Envelope(x, weights)

    for i, n in enumerate((-2, -1, 0, 1, 2)):
        root = norm.isf(0.1 * norm.cdf(n)) + n
        right = brentq(lambda mu, r=root: np.sqrt(expected.q(mu)) - r, 0.01, 10.0, rtol=1e-6)
        assert limit.expected[i] == pytest.approx(right, rel=1e-3)

    def cls(mu):
        q, q_alt = observed.q(mu), expected.q(mu)
        if q <= q_alt:
            return norm.sf(np.sqrt(q)) / norm.sf(np.sqrt(q) - np.sqrt(q_alt))
        root = 2 * np.sqrt(q_alt)
        return norm.sf((q + q_alt) / root) / norm.sf((q - q_alt) / root)

    right = brentq(lambda mu: cls(mu) - 0.1, max(observed.best, 0) + 0.01, 10.0, rtol=1e-6)
    assert limit.observed == pytest.approx(right, rel=1e-3)
    assert limit.poi_hat == pytest.approx(observed.best, abs=1e-3 * limit.poi_error)
    assert limit.significance == pytest.approx(
        np.sqrt(
            observed.q(0.0) if observed.best < 0 else 2 * (observed.value(0.0) - observed.lowest)
        ),
        abs=1e-3,
    )
    assert limit.how == f"background: {limit_names(observed)}"


def limit_names(observed):
    """The backgrounds that win, with a signal and without."""
    names = list(ORDERS)
    free = [each.fit()[0] + 0.5 * (each.order + 1) for each in observed.of]
    zero = [each.fit(0.0)[0] + 0.5 * (each.order + 1) for each in observed.of]
    return f"{names[int(np.argmin(free))]}, without signal {names[int(np.argmin(zero))]}"


def test_one_background_is_no_choice(model):
    ours = compiled(model.move_to(MASS).loss)
    data, index = ours.observed(), ours.index(model.poi)
    for one in alternatives(ours, model.choices, ours.values()):
        found, *best = profiled(ours, data, [one], data.setting, model.poi, 0.1)
        plain = fitted(ours, data, one.start, model.poi, 0.1, held=one.held)
        np.testing.assert_allclose(found.limits, plain.limits, rtol=1e-4)
        assert found.fits.theta[0, index] == plain.fits.theta[0, index]
        assert best[0] is best[1] is one


def test_the_penalty_decides(model):
    """Without one the curve, which holds the others, is always best; with a large one flat is."""
    ours = compiled(model.move_to(MASS).loss)
    data = ours.observed()
    one_each = alternatives(ours, model.choices, ours.values())
    for penalty, winner in ((0.0, 2), (50.0, 0)):
        several = [a._replace(penalty=penalty * (i + 1)) for i, a in enumerate(one_each)]
        found, best, _ = profiled(ours, data, several, data.setting, model.poi, 0.1)
        alone = fitted(ours, data, several[winner].start, model.poi, 0.1, held=several[winner].held)
        np.testing.assert_allclose(found.limits, alone.limits, rtol=1e-4)
        assert best is several[winner]


@pytest.mark.slow
def test_each_choice_is_the_likelihood_of_that_background_alone(model):
    """With the parameters of the others held, nothing of them is left."""
    ours = compiled(model.move_to(MASS).loss)
    for one in alternatives(ours, model.choices, ours.values()):
        alone = likelihood(bernstein(ORDERS[one.name]), f"mu_{one.name}")
        theirs = compiled(alone.loss)
        free = fitted(ours, ours.observed(), one.start, model.poi, 0.1, held=one.held)
        right = fitted(theirs, theirs.observed(), theirs.values(), alone.poi, 0.1)
        np.testing.assert_allclose(free.limits, right.limits, rtol=1e-4)
        np.testing.assert_allclose(free.fits.value, right.fits.value, rtol=1e-12)


def test_scans_blind_limits_and_plots_know_of_the_choice(model):
    scan = zd.scan(model, [MASS, 1.7], level=0.90, progress=False)
    again = upper_limit(model.move_to(MASS), level=0.90)
    assert scan.observed[0] == pytest.approx(again.observed, rel=1e-4)
    assert scan.how[0] == again.how
    assert scan.valid.all()
    blind = upper_limit(model.move_to(MASS), level=0.90, blind=True)
    assert blind.valid
    assert np.isnan(blind.observed)
    # three resolutions are hidden: the same background, fitted without what is under the peak
    assert blind.expected[2] == pytest.approx(again.expected[2], rel=0.1)
    assert blind.how.startswith("background: without signal ")
    drawn = fit(model, MASS, goodness_toys=50)
    # of a model that is right; below 1/51 with a chance of 2 % for a seed, and this one is fixed
    assert drawn.goodness is not None
    assert drawn.goodness.saturated_p > 0.02
    assert drawn.goodness.failed == 0
    assert drawn.poi_hat == pytest.approx(again.poi_hat, abs=1e-6)
    assert drawn.channels[0].expected.sum() == pytest.approx(candidates().size, rel=0.01)


def test_all_combinations_of_channels_are_tried():
    columns = {"sigma": [SIGMA] * 2, "alpha": [1.4] * 2, "n": [3.0] * 2}
    shape = SignalShape([0.9, 2.1], columns, source="a test", status="assumed")
    two = {"line": chebyshev(1), "curve": bernstein(2)}
    channels = [
        ShapeChannel(name, candidates(), (LOW, HIGH), shape, PER_POI, background, window=window)
        for name, background, window in (
            ("a", two, None),
            ("b", bernstein(1), 8.0),
            ("c", two, 8.0),
        )
    ]
    model = Likelihood(channels, "mu_combined", correction=2.0)
    assert [choice.name for choice in model.choices] == [
        "line, line",
        "line, curve",
        "curve, line",
        "curve, curve",
    ]
    # yields and coefficients: 2 of a line with a coefficient, 3 of a curve, 2 of the channel b
    assert [choice.penalty for choice in model.choices] == [6.0, 7.0, 7.0, 8.0]
    first = {p.name: value for p, value in model.choices[1].left_out.items()}
    yields = {f"a_background_curve_yield_{i}": 0.0 for i in range(3)}
    assert first == yields | {"c_background_line_yield": 0.0, "c_background_line_c1": 0.0}


def test_what_is_no_choice_is_refused(model):
    for method in ("toys", "exact", "auto"):
        with pytest.raises(InputError, match=f"method='{method}' does not profile a choice"):
            upper_limit(model.move_to(MASS), method=method)
    with pytest.raises(InputError, match="only asymptotic limits profile a choice"):
        zd.significance(model)
    with pytest.raises(InputError, match="only asymptotic limits profile a choice"):
        zd.scan(model, [MASS], global_toys=10, progress=False)
    with pytest.raises(InputError, match="a choice of no background"):
        likelihood({}, "mu_none")
    with pytest.raises(InputError, match="correction=-1: a free parameter cannot be a bonus"):
        likelihood(bernstein(1), "mu_bonus", correction=-1)
    many = {str(order): bernstein(order) for order in range(65)}
    with pytest.raises(InputError, match="65 combinations of backgrounds; at most 64"):
        likelihood(many, "mu_many")
