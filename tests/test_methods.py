"""Exact limits of binned losses that are counting experiments, and the choice of a method."""

from __future__ import annotations

import numpy as np
import pytest
import zfit
from numba_stats import crystalball  # type: ignore[import-untyped]
from scipy.optimize import brentq
from scipy.special import xlogy
from scipy.stats import norm, poisson

import zfit_dark as zd
from zfit_dark.channel import ShapeChannel, bernstein
from zfit_dark.counting import Count, exact_limit
from zfit_dark.errors import InputError
from zfit_dark.likelihood import Likelihood
from zfit_dark.limits import counts_of
from zfit_dark.profile import compiled
from zfit_dark.signal_shape import SignalShape

_COUNT = iter(range(1000))


def parameter(value, lower=None, upper=None, floating=True):
    return zfit.Parameter(f"methods_p{next(_COUNT)}", value, lower, upper, floating=floating)


def channel(counts, *parts):
    """Bins, and parts of them: the shape over the bins and the yield in all of them."""
    bins = len(counts)
    name = f"methods_n{next(_COUNT)}"
    space = zfit.Space(name, binning=zfit.binned.RegularBinning(bins, 0, bins, name=name))

    def filled(values):
        return zfit.data.BinnedData.from_tensor(space, values=np.array(values, float))

    pdfs = [zfit.pdf.HistogramPDF(filled(shape), extended=events) for shape, events in parts]
    return zfit.pdf.BinnedSumPDF(pdfs), filled(counts)


def loss_of(*channels, constraints=None):
    models, data = zip(*channels, strict=True)
    return zfit.loss.ExtendedBinnedNLL(list(models), list(data), constraints=constraints)


def counts(loss, poi):
    ours = compiled(loss)
    return counts_of(ours, ours.observed(), poi)


def scaled(poi, factor):
    return zfit.ComposedParameter(
        f"methods_c{next(_COUNT)}", lambda poi: poi * factor, params=[poi], unpack_params=True
    )


@pytest.fixture(scope="module")
def one_count():
    """Three events where one is expected."""
    poi, background = parameter(1.0, 0, 1000), parameter(1.0, floating=False)
    return loss_of(channel([3], ([1.0], poi), ([1.0], background))), poi, background


# ------------------------------------------------------------------ what is counted


def test_every_bin_of_known_background_is_a_count():
    poi, background = parameter(2.0, 0, 1000), parameter(5.0, floating=False)
    loss = loss_of(channel([4, 1], ([0.75, 0.25], poi), ([0.4, 0.6], background)))
    found = counts(loss, poi)
    assert [(c.on, c.off, c.tau) for c in found] == [(4, None, None), (1, None, None)]
    assert [c.per_poi for c in found] == pytest.approx([0.75, 0.25])
    assert [c.background for c in found] == pytest.approx([2.0, 3.0])


@pytest.mark.parametrize("first", [True, False])
def test_two_bins_and_a_free_background_are_signal_region_and_sideband(first):
    """Signal in the sideband, too; whichever bin comes first."""

    def put(on, off):
        return [on, off] if first else [off, on]

    poi, background = parameter(2.0, 0, 1000), parameter(8.0, 0, 1000)
    loss = loss_of(
        channel(put(3, 6), (put(0.9, 0.1), scaled(poi, 0.5)), (put(0.25, 0.75), background))
    )
    (found,) = counts(loss, poi)
    assert (found.on, found.off, found.background) == (3, 6, None)
    assert found.per_poi == pytest.approx(0.45)
    assert found.off_per_poi == pytest.approx(0.05)
    assert found.tau == pytest.approx(3.0)


def test_channels_keep_their_own_backgrounds():
    poi = parameter(2.0, 0, 1000)
    loss = loss_of(
        channel([3, 6], ([1.0, 0.0], poi), ([0.5, 0.5], parameter(8.0, 0, 1000))),
        channel([2], ([1.0], scaled(poi, 0.3)), ([1.0], parameter(0.4, floating=False))),
    )
    one, other = counts(loss, poi)
    assert (one.on, one.off, other.on, other.off) == (3, 6, 2, None)
    assert (one.tau, other.background) == pytest.approx((1.0, 0.4))


def test_what_is_no_counting_experiment():
    poi, background = parameter(2.0, 0, 1000), parameter(8.0, 0, 1000)
    signal = ([1.0, 0.0], poi)
    shared = [channel([3, 6], signal, ([0.5, 0.5], background)) for _ in range(2)]
    with pytest.raises(InputError, match=r"background yield of one channel.*toys"):
        counts(loss_of(*shared), poi)
    one_bin = channel([3], ([1.0], poi), ([1.0], background))
    with pytest.raises(InputError, match="two bins"):
        counts(loss_of(one_bin), poi)
    squared = zfit.ComposedParameter("methods_squared", lambda b: b**2, params=[background])
    with pytest.raises(InputError, match="background yield of one channel"):
        counts(loss_of(channel([3, 6], signal, ([0.5, 0.5], squared))), poi)
    both = channel([3, 6], signal, ([0.5, 0.5], background), ([0.5, 0.5], parameter(1.0, 0, 9)))
    with pytest.raises(InputError, match="background yield of one channel"):
        counts(loss_of(both), poi)
    known_too = channel(
        [3, 6], signal, ([0.5, 0.5], background), ([1.0, 0.0], parameter(1.0, floating=False))
    )
    with pytest.raises(InputError, match="one background in"):
        counts(loss_of(known_too), poi)
    constraint = zfit.constraint.GaussianConstraint(background, observation=8.0, sigma=1.0)
    with pytest.raises(InputError, match="no uncertainty but that of a sideband"):
        counts(loss_of(shared[0], constraints=constraint), poi)


def test_an_unbinned_loss_is_no_counting_experiment():
    obs, poi = zfit.Space("methods_x", 0, 1), parameter(2.0, 0, 1000)
    model = zfit.pdf.Uniform(0, 1, obs, extended=poi)
    data = zfit.Data.from_numpy(obs=obs, array=np.array([0.3, 0.4]))
    loss = zfit.loss.ExtendedUnbinnedNLL(model, data)
    with pytest.raises(InputError, match=r"extended binned loss, or of a Likelihood.*toys"):
        counts(loss, poi)


# ------------------------------------------------------------------ limits


def test_exact_limit_of_a_loss(one_count):
    loss, poi, _ = one_count
    found = zd.upper_limit(loss, poi, method="exact")
    closed = brentq(lambda s: poisson.cdf(3, s + 1) / poisson.cdf(3, 1) - 0.05, 1, 50)
    assert found.observed == pytest.approx(closed, rel=1e-6)
    right = exact_limit([Count(on=3, per_poi=1.0, background=1.0)])
    assert found.expected == pytest.approx(right.expected)
    assert (found.poi_hat, found.p0) == pytest.approx((2.0, poisson.sf(2, 1.0)), rel=1e-6)
    assert (found.method, found.valid, found.warnings) == ("exact", True, ())


def test_an_exact_limit_is_one_of_qtilde(one_count):
    loss, poi, _ = one_count
    with pytest.raises(InputError, match="'qtilde'"):
        zd.upper_limit(loss, poi, method="exact", test_statistic="q")


def test_auto_is_exact_for_few_counts_and_asymptotic_for_many(one_count):
    loss, poi, background = one_count
    few = zd.upper_limit(loss, poi, method="auto")
    assert few.method == "auto"
    assert few.how == "exact: 1 background events compete with the signal"
    assert few.observed == zd.upper_limit(loss, poi, method="exact").observed
    background.set_value(200.0)
    try:
        many = zd.upper_limit(loss, poi, method="auto")
        plain = zd.upper_limit(loss, poi)
    finally:
        background.set_value(1.0)
    assert many.how == "asymptotic: 200 background events compete with the signal"
    assert (many.observed, many.expected) == (plain.observed, plain.expected)


def test_a_scan_by_auto_keeps_what_was_chosen(one_count, tmp_path):
    """The background in the place of a mass."""
    loss, poi, background = one_count
    scan = zd.scan(loss, [1.0, 150.0], poi=poi, mass=background, method="auto", progress=False)
    assert [how.split(":")[0] for how in scan.how] == ["exact", "asymptotic"]
    scan.to_json(tmp_path / "scan.json")
    assert zd.Scan.from_json(tmp_path / "scan.json").how == scan.how
    assert scan.to_pandas()["how"].tolist() == list(scan.how)


def test_auto_takes_toys_where_exact_sums_cannot():
    """The background has a constraint; a sideband of 400 events says nearly the same.

    The two are within 4 errors of the toys, and 2 % for what a Gaussian differs from a Poisson.
    """
    poi, background = parameter(1.0, 0, 1000), parameter(1.0, 0.01, 100)
    loss = loss_of(
        channel([3], ([1.0], poi), ([1.0], background)),
        constraints=zfit.constraint.GaussianConstraint(background, observation=1.0, sigma=0.05),
    )
    found = zd.upper_limit(loss, poi, method="auto", toys=zd.Toys(precision=0.05))
    assert found.how.startswith("toys: 1.01 background events compete with the signal; not exact: ")
    right = exact_limit([Count.with_error(3, 1.0, 1.0, 0.05)])
    assert 0 < found.observed_error < 0.05 * found.observed
    assert abs(found.observed - right.observed) < 4 * found.observed_error + 0.02 * right.observed


# ------------------------------------------------------------------ windows of few candidates


@pytest.fixture(scope="module")
def empty_window():
    """Candidates far away, and a single one at the edge of the window of another hypothesis."""
    columns = {"sigma": [0.01] * 2, "alpha": [1.5] * 2, "n": [3.0] * 2}
    shape = SignalShape([0.0, 2.0], columns, source="a test", status="assumed")
    data = np.array([0.1, 0.65, 1.9])
    background = bernstein(0)
    channel = ShapeChannel("few", data, (0.0, 2.0), shape, 1.0, background, window=12.0)
    return Likelihood([channel], poi="mu_few")


def seen(mass):
    """The part of the peak that is in the window."""
    window, whole = (mass - 12 * 0.01, mass + 12 * 0.01), (0.0 - 25 * 0.01, 2.0 + 25 * 0.01)
    inside, of = (np.diff(crystalball.cdf(x, 1.5, 3.0, mass, 0.01))[0] for x in (window, whole))
    return inside / of


def test_an_empty_window_has_the_limit_of_no_event(empty_window):
    """Exactly -log(0.05) events; the asymptotic 1.96^2 / 2 is 36 % stronger, and flagged."""
    inside = seen(1.0)
    asymptotic = zd.upper_limit(empty_window.move_to(1.0))
    assert asymptotic.valid
    assert asymptotic.observed * inside == pytest.approx(1.9599640**2 / 2, rel=1e-4)
    assert "asymptotic limit at low counts" in asymptotic.warnings[0]
    limit = zd.upper_limit(empty_window, method="auto", toys=zd.Toys(precision=0.05))
    assert limit.valid
    assert limit.how.startswith("toys: 1 background events compete")
    # all toys without signal are empty: the distribution is a step, and known without an error
    np.testing.assert_allclose([limit.observed, *limit.expected], -np.log(0.05) / inside, rtol=1e-3)


@pytest.mark.slow
def test_fits_of_toys_of_few_events_converge(empty_window):
    """One candidate, six resolutions away: toys have none, one far away, or a peak alone."""
    limit = zd.upper_limit(
        empty_window.move_to(0.59), method="toys", toys=zd.Toys(precision=0.1, most=3000)
    )
    assert limit.valid
    assert limit.warnings == ()
    assert limit.observed * seen(0.59) == pytest.approx(-np.log(0.05), rel=0.02)


# -- few counts in signal region and sideband, asymptotic -----------------------------------


def asymptotic_by_hand(on, off, tau):
    """95 % CLs limit on s of on ~ P(s + b), off ~ P(tau b), from closed forms; s not negative."""

    def minus_two_log(n, m, s):
        total = n + m - (1 + tau) * s
        b = (total + np.sqrt(total**2 + 4 * (1 + tau) * s * m)) / (2 * (1 + tau))
        return 2 * (s + b - xlogy(n, s + b) + tau * b - xlogy(m, tau * b))

    def q(n, m, s):
        best = max(n - m / tau, 0.0)
        return 0.0 if s <= best else max(minus_two_log(n, m, s) - minus_two_log(n, m, best), 0.0)

    b = (on + off) / (1 + tau)

    def beyond(s):
        seen, asimov = q(on, off, s), q(b, tau * b, s)
        if seen <= asimov:
            tails = norm.sf(np.sqrt(seen)), norm.sf(np.sqrt(seen) - np.sqrt(asimov))
        else:
            root = 2 * np.sqrt(asimov)
            tails = norm.sf((seen + asimov) / root), norm.sf((seen - asimov) / root)
        return tails[0] / tails[1] - 0.05

    return brentq(beyond, max(on - off / tau, 0.0) + 0.01, 100.0)


@pytest.fixture(scope="module")
def on_off():
    """Limits of signal region and sideband, from one loss for all counts and sizes."""
    poi, background = parameter(1.0, 0, 1000), parameter(1.0, 0, 1000)
    tau = parameter(1.0, floating=False)
    inside, outside = (
        zfit.ComposedParameter(f"methods_{name}", share, params=[background, tau])
        for name, share in (
            ("inside", lambda b, tau: b / (1 + tau)),
            ("outside", lambda b, tau: b * tau / (1 + tau)),
        )
    )
    loss = loss_of(channel([1, 1], ([1.0, 0.0], poi), ([1.0, 0.0], inside), ([0.0, 1.0], outside)))
    (space,) = (data.space for data in loss.data)

    def limit(on, off, size):
        seen = zfit.data.BinnedData.from_tensor(space, values=np.array([on, off], float))
        loss._data = type(loss._data)([seen])
        tau.set_value(size)
        return zd.upper_limit(loss, poi)

    return limit


@pytest.mark.parametrize(
    ("on", "off", "tau"), [(0, 5, 0.2), (1, 2, 0.2), (0, 0, 1.0), (2, 0, 3.0), (3, 1, 0.5)]
)
def test_asymptotic_limits_of_few_counts_with_a_sideband(on_off, on, off, tau):
    """Best fits on the edge of the parameters, infinite slopes: a limit comes out all the same."""
    limit = on_off(on, off, tau)
    assert limit.valid
    assert limit.observed == pytest.approx(asymptotic_by_hand(on, off, tau), rel=1e-3)
