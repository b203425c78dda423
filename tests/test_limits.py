from __future__ import annotations

import numpy as np
import pytest
import reference_jobs as jobs
import zfit
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import norm

import zfit_dark as zd
from zfit_dark.channel import ShapeChannel, Veto
from zfit_dark.errors import InputError
from zfit_dark.likelihood import Likelihood


@pytest.fixture(scope="module")
def one():
    return jobs.one_channel()


@pytest.fixture(scope="module")
def four():
    return jobs.four_channels()


def numbers(limit):
    return np.array([limit.observed, *limit.expected])


@pytest.mark.parametrize("row", jobs.limits("one"), ids=lambda row: f"{row[0]:.3f}")
def test_one_channel_limits_agree_with_four_other_tools(one, row):
    one.mass.set_value(row[0])
    limit = zd.upper_limit(one.loss, one.poi)
    assert limit.valid
    assert limit.warnings == ()
    np.testing.assert_allclose(numbers(limit), row[1:], rtol=5e-4)


@pytest.mark.parametrize("row", jobs.limits("four"), ids=lambda row: f"{row[0]:.3f}")
def test_four_channel_limits_agree_with_four_other_tools(four, row):
    four.mass.set_value(row[0])
    limit = zd.upper_limit(four.loss, four.poi)
    assert limit.valid
    np.testing.assert_allclose(numbers(limit), row[1:], rtol=5e-4)


def test_the_data_are_those_of_the_reference(bench_data):
    one, four = jobs.pseudo_data()
    np.testing.assert_array_equal(one, np.load(bench_data / "bench1.npy"))
    for name, candidates in four.items():
        np.testing.assert_array_equal(candidates, np.load(bench_data / f"bench4_{name}.npy"))


def test_our_signal_shape_gives_the_same_limit():
    row = jobs.limits("one")[7]
    job = jobs.one_channel(double_cb=zd.pdf.DoubleCB)
    job.mass.set_value(row[0])
    np.testing.assert_allclose(numbers(zd.upper_limit(job.loss, job.poi)), row[1:], rtol=5e-4)


def test_parameters_of_the_model_are_left_alone(one):
    before = {p.name: float(p.value()) for p in one.loss.get_params(floating=None)}
    zd.upper_limit(one.loss, one.poi)
    assert {p.name: float(p.value()) for p in one.loss.get_params(floating=None)} == before
    assert one.poi.floating


def test_higher_confidence_is_a_weaker_limit(one):
    one.mass.set_value(0.45)
    at90, at95 = (numbers(zd.upper_limit(one.loss, one.poi, level=x)) for x in (0.90, 0.95))
    assert (at90 < at95).all()


def test_limit_is_where_cls_is_alpha(one):
    """A second reading of the same likelihood: scipy minimises, the formulas are written out."""
    from scipy.optimize import minimize

    from zfit_dark.profile import compiled

    one.mass.set_value(0.41)
    loss = compiled(one.loss)
    index = loss.index(one.poi)
    data = loss.observed()
    limit = zd.upper_limit(one.loss, one.poi)

    def profile(sample, mu, start):
        free = np.arange(len(start)) != index
        scale = 1 / np.sqrt(np.diag(loss.evaluate(start[None], sample)[2][0])[free])
        offset = loss.evaluate(start[None], sample)[0][0]

        def value(x):
            theta = start.copy()
            theta[free], theta[index] = start[free] + scale * x, mu
            v, g, _ = loss.evaluate(theta[None], sample)
            return v[0] - offset, scale * g[0][free]

        found = minimize(value, np.zeros(free.sum()), jac=True, method="L-BFGS-B",
                         options={"ftol": 1e-14, "gtol": 1e-7})  # fmt: skip
        return found.fun + offset, start[free] + scale * found.x

    start = loss.values()
    null, nuisances = profile(data, 0.0, start)
    background = np.insert(nuisances, index, 0.0)
    asimov, error, _ = loss.asimov(background, one.poi)
    assert error < 1e-5
    best = profile(data, limit.poi_hat, background)[0]
    asimov_best = profile(asimov, 0.0, background)[0]

    def log_cls(mu):
        q = max(2 * (profile(data, mu, background)[0] - best), 0.0)
        qa = 2 * (profile(asimov, mu, background)[0] - asimov_best)
        if q <= qa:
            cls = norm.sf(np.sqrt(q)) / norm.sf(np.sqrt(q) - np.sqrt(qa))
        else:
            cls = norm.sf((q + qa) / 2 / np.sqrt(qa)) / norm.sf((q - qa) / 2 / np.sqrt(qa))
        return np.log(cls / 0.05)

    assert limit.poi_hat > 0
    assert brentq(log_cls, limit.poi_hat + 1, 400) == pytest.approx(limit.observed, rel=1e-4)
    z = np.sqrt(2 * (null - best))
    assert limit.p0 == pytest.approx(norm.sf(z), rel=1e-3)
    assert zd.significance(one.loss, one.poi) == pytest.approx(z, rel=1e-3)


@pytest.fixture(scope="module")
def few():
    """A peak on a flat background, for data of a few events."""
    obs = zfit.Space("x", 0.0, 1.0)
    n_sig = zfit.Parameter("few_sig", 0.5, -1, 1000)
    signal = zfit.pdf.Gauss(0.5, 0.03, obs, extended=n_sig)
    n_bkg = zfit.Parameter("few_bkg", 20.0, 0, 1e6)
    model = zfit.pdf.SumPDF([signal, zfit.pdf.Uniform(0.0, 1.0, obs, extended=n_bkg)])
    data = model.create_sampler(n=20)
    loss = zfit.loss.ExtendedUnbinnedNLL(model, data)

    def limit(start, observed):
        n_bkg.set_value(start)
        data.update_data(observed[:, None])
        return zd.upper_limit(loss, n_sig)

    return limit


def test_few_events_are_flagged_and_many_are_not(few):
    limit = few(20.0, np.linspace(0.02, 0.98, 20))
    assert limit.valid
    assert any("low counts" in warning for warning in limit.warnings)


def test_an_empty_data_set_gives_a_flagged_limit_not_an_error(few):
    limit = few(0.5, np.empty(0))
    assert "no candidates in the range of the fit" in limit.warnings[-1]
    # q~ of n = 0: 2 mu, so that Phi(-sqrt(2 mu)) / Phi(0) = 0.05 in the asymptotic formula for b ->
    # 0
    assert not limit.valid or limit.observed == pytest.approx(1.92, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"level": 95}, "between 0 and 1"),
        ({"level": "90%"}, "level=90%: give a confidence level"),
        ({"poi": "n_sig"}, "poi='n_sig': give the parameter itself"),
        ({"method": "bayes"}, "method='bayes'"),
        ({"test_statistic": "t"}, "test_statistic='t'"),
        ({"blind": True}, "sidebands"),
        ({"poi": None}, "poi="),
    ],
)
def test_bad_arguments_are_told_in_one_line(one, arguments, words):
    with pytest.raises(InputError, match=words) as caught:
        zd.upper_limit(**({"model": one.loss, "poi": one.poi} | arguments))
    assert "\n" not in str(caught.value)


def test_a_parameter_of_another_model_is_refused(one):
    with pytest.raises(InputError, match="does not float in the loss"):
        zd.upper_limit(one.loss, zfit.Parameter("stranger", 1.0))


def narrow_shape():
    table = {name: [value, value] for name, value in jobs.SHAPE.items()}
    return zd.SignalShape([0.2, 0.8], table, source="reference job", status="assumed")


@pytest.fixture(scope="module")
def windowed():
    """The one-channel job as a Likelihood with a hole."""
    channel = ShapeChannel(
        "one", jobs.pseudo_data()[0], (0.3, 0.7), narrow_shape(), 1.0,
        vetoes=(Veto(0.48, 0.52, "hole"),),
    )  # fmt: skip
    return Likelihood([channel])


def test_holes_with_the_yield_in_the_full_range(windowed):
    limit = zd.upper_limit(windowed.move_to(0.45))
    assert limit.observed == pytest.approx(45.97, rel=3e-3)
    assert limit.expected[2] == pytest.approx(49.95, rel=3e-3)


def test_holes_with_the_yield_in_the_fit_range():
    """The reference of another tool; the yield counts what is outside the hole."""
    obs = zfit.Space("x", jobs.LOW, jobs.HIGH)
    hole = [(0.48, 0.52)]
    mass = zfit.Parameter("hole_mass", 0.45, floating=False)
    n_sig = zfit.Parameter("hole_n_sig", 1.0, 0, 400)
    n_bkg = zfit.Parameter("hole_n_bkg", 4500.0, 0, 20000)
    coefficients = [zfit.Parameter(f"hole_a{i}", a, -2, 2) for i, a in ((1, -0.4), (2, 0.05))]
    peak = zd.pdf.DoubleCB(mass, *jobs.SHAPE.values(), obs=obs)
    smooth = zfit.pdf.Chebyshev(obs, coefficients)
    model = zfit.pdf.SumPDF(
        [zd.pdf.Vetoed(peak, hole, extended=n_sig), zd.pdf.Vetoed(smooth, hole, extended=n_bkg)]
    )
    seen = jobs.pseudo_data()[0]
    data = zfit.Data.from_numpy(obs=obs, array=seen[(seen < 0.48) | (seen > 0.52)])
    limit = zd.upper_limit(zfit.loss.ExtendedUnbinnedNLL(model, data), n_sig)
    assert limit.observed == pytest.approx(45.34, rel=3e-3)
    assert limit.expected[2] == pytest.approx(49.27, rel=3e-3)


def test_a_blind_limit_does_not_depend_on_the_signal_region(windowed):
    """Candidates that are moved about under the signal change nothing that a blind limit says."""
    data = jobs.pseudo_data()[0]
    sigma = jobs.SHAPE["sigma"]
    under = np.abs(data - 0.40) < 2.9 * sigma
    faked = np.where(under, 0.40, data)
    channel = ShapeChannel(
        "faked", faked, (0.3, 0.7), narrow_shape(), 1.0, vetoes=(Veto(0.48, 0.52, "hole"),)
    )
    limits = [
        zd.upper_limit(model.move_to(0.40), blind=True)
        for model in (windowed, Likelihood([channel]))
    ]
    np.testing.assert_allclose(limits[0].expected, limits[1].expected, rtol=1e-9)
    for limit in limits:
        assert limit.blind
        assert limit.valid
        assert np.isnan([limit.observed, limit.poi_hat, limit.poi_error, limit.p0]).all()
    open_limit = zd.upper_limit(windowed.move_to(0.40))
    assert limits[0].expected != open_limit.expected
    np.testing.assert_allclose(limits[0].expected, open_limit.expected, rtol=0.05)


def test_expected_bands_follow_the_normal_formula_for_a_parabola(one):
    """Thousands of events make a likelihood parabolic: mu_k = sigma (Phi^-1(...) + k)."""
    one.mass.set_value(0.5)
    limit = zd.upper_limit(one.loss, one.poi)
    sigma = limit.expected[2] / norm.isf(0.05 * ndtr(0))
    for k, expected in zip((-2, -1, 0, 1, 2), limit.expected, strict=True):
        assert expected == pytest.approx(sigma * (norm.isf(0.05 * ndtr(k)) + k), rel=0.03)
