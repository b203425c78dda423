"""Models that a fit can fail on: the limit is right, or it is flagged; never wrong in silence."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import zfit

import zfit_dark as zd
from zfit_dark.profile import compiled

OBS = zfit.Space("bad_x", 0.0, 1.0)
_COUNT = iter(range(1000))

pytestmark = pytest.mark.slow  # each model is compiled anew


def parameter(value, lower=None, upper=None):
    return zfit.Parameter(f"bad_p{next(_COUNT)}", value, lower, upper)


def peak(extended, mu=0.5, sigma=0.02):
    return zfit.pdf.Gauss(mu, sigma, OBS, extended=extended)


def flat(extended):
    return zfit.pdf.Uniform(0.0, 1.0, OBS, extended=extended)


def candidates(n=400, gap=None):
    x = np.random.default_rng(11).uniform(0, 1, n)
    return x if gap is None else x[(x < gap[0]) | (x > gap[1])]


def limit(pdfs, signal, data=None, constraints=None):
    loss = zfit.loss.ExtendedUnbinnedNLL(
        zfit.pdf.SumPDF(pdfs),
        zfit.Data.from_numpy(obs=OBS, array=candidates() if data is None else data),
        constraints=constraints,
    )
    return zd.upper_limit(loss, signal)


class Simple:
    """A peak on a flat background: data, starting values and a limit of the signal may change."""

    def __init__(self):
        self.signal, self.background = parameter(5.0, -200, 1000), parameter(390.0, 0, 5000)
        model = zfit.pdf.SumPDF([peak(self.signal), flat(self.background)])
        self.data = model.create_sampler(n=400)
        self.loss = zfit.loss.ExtendedUnbinnedNLL(model, self.data)
        compiled(self.loss).reserve([400])

    def limit(self, x, signal=5.0, background=390.0, lower=-200.0):
        self.data.update_data(x[:, None])
        self.signal.lower = lower
        self.signal.set_value(signal)
        self.background.set_value(background)
        return zd.upper_limit(self.loss, self.signal)


@pytest.fixture(scope="module")
def simple():
    return Simple()


@pytest.fixture(scope="module")
def plain(simple):
    return simple.limit(candidates())


def assert_same(found, right, rel=1e-5):
    assert found.valid
    np.testing.assert_allclose(found.expected, right.expected, rtol=rel)
    assert found.observed == pytest.approx(right.observed, rel=rel)


def test_two_backgrounds_of_which_only_the_sum_counts(plain):
    signal = parameter(5.0, -200, 1000)
    found = limit(
        [peak(signal), flat(parameter(200.0, 0, 5000)), flat(parameter(190.0, 0, 5000))], signal
    )
    assert_same(found, plain)


def test_a_parameter_that_nothing_depends_on(plain):
    """Flat, not even a degeneracy: the slope of a background without events."""
    signal = parameter(5.0, -200, 1000)
    nothing = zfit.pdf.Exponential(
        parameter(-1.0, -5, 5),
        OBS,
        extended=zfit.Parameter(f"bad_p{next(_COUNT)}", 0.0, floating=False),
    )
    assert_same(limit([peak(signal), flat(parameter(390.0, 0, 5000)), nothing], signal), plain)


def test_a_nuisance_at_its_limit_is_as_good_as_fixed_there():
    """The data want a falling background; the slope may only rise.

    The fits of the data are the same. In the Asimov set the slope stands at its limit without
    being pushed there, and rises with a signal: limits are weaker by some 3e-5, never stronger.
    """
    data = np.random.default_rng(12).triangular(0.0, 0.0, 1.0, 400)

    def with_slope(slope):
        signal = parameter(5.0, -200, 1000)
        background = zfit.pdf.Exponential(slope, OBS, extended=parameter(390.0, 0, 5000))
        return limit([peak(signal), background], signal, data)

    found = with_slope(parameter(1.0, 0.1, 5.0))
    fixed = with_slope(zfit.Parameter(f"bad_p{next(_COUNT)}", 0.1, floating=False))
    # each fit ends within an EDM of 1e-8, that is 1.4e-4 standard deviations, of its minimum
    assert found.poi_hat == pytest.approx(fixed.poi_hat, abs=3e-4 * fixed.poi_error)
    assert found.p0 == pytest.approx(fixed.p0, rel=1e-5)
    assert_same(found, fixed, rel=1e-4)
    assert (np.array(found.expected) >= fixed.expected).all()


def test_starting_values_far_off():
    """A hundred candidates, a start of 5000: the free fit must not end in a corner on the way."""
    signal, slope = parameter(0.0, -200, 1000), parameter(0.0, -20.0, 20.0)
    events = parameter(100.0, 0, 10000)
    model = zfit.pdf.SumPDF([peak(signal), zfit.pdf.Exponential(slope, OBS, extended=events)])
    data = zfit.Data.from_numpy(obs=OBS, array=np.random.default_rng(13).uniform(0, 1, 100))
    loss = zfit.loss.ExtendedUnbinnedNLL(model, data)
    near = zd.upper_limit(loss, signal)
    events.set_value(5000.0)
    slope.set_value(15.0)
    assert_same(zd.upper_limit(loss, signal), near)


def test_a_region_where_the_density_is_not_a_number(plain):
    """A nuisance that starts near to where a square root has no value; the limit is that of the
    background it is there, flat."""

    class Rooted(zfit.pdf.ZPDF):
        _PARAMS = ("a",)

        def _unnormalized_pdf(self, x):
            return tf.ones_like(zfit.z.unstack_x(x)) * tf.sqrt(1.0 - self.params["a"])

    signal, a = parameter(5.0, -200, 1000), parameter(0.9)
    background = Rooted(a=a, obs=OBS, extended=parameter(390.0, 0, 5000))
    constraint = zfit.constraint.GaussianConstraint(a, observation=0.5, sigma=0.1)
    found = limit([peak(signal), background], signal, constraints=constraint)
    if found.valid:
        assert_same(found, plain)
    else:
        assert found.warnings


def test_a_signal_that_is_not_a_number_is_flagged():
    class Broken(zfit.pdf.ZPDF):
        _PARAMS = ("a",)

        def _unnormalized_pdf(self, x):
            return tf.ones_like(zfit.z.unstack_x(x)) * tf.sqrt(-1.0 - self.params["a"] ** 2)

    signal = parameter(5.0, -200, 1000)
    broken = Broken(a=parameter(0.3), obs=OBS, extended=signal)
    found = limit([broken, flat(parameter(390.0, 0, 5000))], signal)
    assert not found.valid
    assert any("did not converge" in warning for warning in found.warnings)
    assert np.isnan(found.observed)


def test_a_signal_pushed_below_zero_density(simple):
    """No candidate near the peak: on its own way the fit would make the density negative."""
    data = candidates(gap=(0.35, 0.65))
    free, bounded = (simple.limit(data, 0.5, float(len(data)), low) for low in (-1000.0, 0.0))
    assert_same(bounded, bounded)
    assert bounded.poi_hat == pytest.approx(0.0, abs=1e-6)
    if free.valid:
        np.testing.assert_allclose(free.expected, bounded.expected, rtol=1e-5)
        assert free.observed == pytest.approx(bounded.observed, rel=1e-5)
    else:
        assert free.warnings


def test_no_candidates_at_all(simple):
    found = simple.limit(np.empty(0), 0.5, 3.0, 0.0)
    assert not found.valid or any("low counts" in warning for warning in found.warnings)


def test_a_signal_that_the_data_cannot_see_has_no_limit():
    """Signal and background have the same shape, and nothing tells their sum."""
    signal = parameter(5.0, -2000, 2000)
    found = limit([flat(signal), flat(parameter(390.0))], signal)
    assert not found.valid
    assert "the observed limit was not found" in found.warnings
