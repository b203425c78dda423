"""hepstats' own tests of limits, discoveries and intervals, with our calculator in them.

Models, scans, expected numbers and tolerances marked "hepstats" are those of
``tests/hypotests/test_upperlimit.py``, ``test_discovery.py``, ``test_confidence_intervals.py``,
``test_calculators.py``, of ``tests/hypotests/data`` and of the docstrings of hepstats 0.10.1
(Copyright (c) 2019-2025, The Scikit-HEP Administrators; BSD 3-Clause Licence). Their numbers allow
for much; beside them stands the same likelihood in numpy, minimised by iminuit, which allows for
little.
"""

from __future__ import annotations

import hepstats.hypotests.core.upperlimit as upper_limit_module
import numpy as np
import pytest
import scipy.interpolate
import zfit
from hepstats.hypotests import ConfidenceInterval, Discovery, UpperLimit, calculators
from hepstats.hypotests.exceptions import POIRangeError
from hepstats.hypotests.parameters import POI, POIarray
from hepstats.utils.fit.api_check import is_valid_data, is_valid_loss
from iminuit import Minuit
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import norm

from zfit_dark.calculators import AsymptoticCalculator, _let_upper_limits_be_numbers
from zfit_dark.errors import InputError

LOW, HIGH = 0.1, 3.0
SIGMAS = {
    "expected": 0.0,
    "expected_p1": 1.0,
    "expected_p2": 2.0,
    "expected_m1": -1.0,
    "expected_m2": -2.0,
}
PRECISION = 1e-4
"""Of p-values: the fits of both sides end within 1e-4 standard deviations of the minimum."""
SLOW = pytest.mark.slow


# ------------------------------------------------------------------ hepstats' example


class Example:
    """hepstats' peak on an exponential: 300 background candidates and a peak at 1.2."""

    def __init__(self, tag, peak, bins="unbinned", shape_floats=False):
        draw = np.random.RandomState(0)
        x = np.concatenate([draw.exponential(0.5, 300), draw.normal(1.2, 0.1, peak)])
        self.x = x[(x > LOW) & (x < HIGH)]
        self.binned = bins != "unbinned"
        self.edges = np.linspace(LOW, HIGH, bins + 1) if self.binned else None
        n, name = len(self.x), f"hepstats_{tag}_{bins}"
        obs = zfit.Space(f"{name}_x", LOW, HIGH)
        self.mean = zfit.Parameter(f"{name}_mean", 1.2, 0.5, 2.0, floating=shape_floats)
        self.sigma = zfit.Parameter(f"{name}_sigma", 0.1, 0.02, 0.2, floating=shape_floats)
        self.slope = zfit.Parameter(f"{name}_lambda", -2.0, -4.0, -1.0)
        self.n_sig = zfit.Parameter(f"{name}_n_sig", 20.0, -20.0, 3 * n)
        self.n_bkg = zfit.Parameter(f"{name}_n_bkg", float(n), 0.0, 3 * n)
        peak_pdf = zfit.pdf.Gauss(self.mean, self.sigma, obs, extended=self.n_sig)
        model = zfit.pdf.SumPDF(
            [peak_pdf, zfit.pdf.Exponential(self.slope, obs, extended=self.n_bkg)]
        )
        data = zfit.Data.from_numpy(obs=obs, array=self.x)
        if self.binned:
            space = obs.with_binning(bins)
            self.loss = zfit.loss.ExtendedBinnedNLL(model.to_binned(space), data.to_binned(space))
        else:
            self.loss = zfit.loss.ExtendedUnbinnedNLL(model, data)

    def calculator(self):
        return AsymptoticCalculator(self.loss, zfit.minimize.Minuit())

    def values(self):
        return [float(p.value()) for p in sorted(self.loss.get_params(), key=lambda p: p.name)]


@pytest.fixture(scope="module")
def unbinned():
    return Example("small", 10)


@pytest.fixture(
    scope="module",
    params=["unbinned", pytest.param(73, marks=SLOW)],
    ids=str,
)
def small(request, unbinned):
    return unbinned if request.param == "unbinned" else Example("small", 10, request.param)


@pytest.fixture
def calculator(unbinned):
    unbinned.mean.set_value(1.2)
    yield unbinned.calculator()
    unbinned.mean.set_value(1.2)


# ------------------------------------------------------------------ the same in numpy


class Reference:
    """The likelihood of the example, in numpy.

    Args:
        weights: of points, or counts of bins.
        points: where the events are.
        edges: of the bins; in the place of points.
        fixed: what no fit moves.
    """

    def __init__(self, weights, points=None, edges=None, fixed=("mean", "sigma"), mean=1.2):
        self.weights, self.points, self.edges = weights, points, edges
        self.fixed, self.start = fixed, {"n_sig": 5.0, "n_bkg": 300.0, "slope": -2.0}
        self.start |= {"mean": mean, "sigma": 0.1}
        self._fits, self._asimov = {}, {}

    @classmethod
    def of(cls, example, **how):
        if example.binned:
            return cls(np.histogram(example.x, example.edges)[0], edges=example.edges, **how)
        return cls(np.ones(len(example.x)), example.x, **how)

    def expected(self, n_sig, n_bkg, slope, mean, sigma):
        """Density at points, or counts of bins."""

        def integrals(x):
            return ndtr((x - mean) / sigma), np.expm1(slope * (x - LOW)) / slope

        all_of = [np.diff(each)[0] for each in integrals(np.array([LOW, HIGH]))]
        if self.edges is not None:
            peak, background = (np.diff(each) for each in integrals(self.edges))
        else:
            x = self.points
            peak = np.exp(-0.5 * ((x - mean) / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
            background = np.exp(slope * (x - LOW))
        return n_sig * peak / all_of[0] + n_bkg * background / all_of[1]

    def nll(self, n_sig, n_bkg, slope, mean, sigma):
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.log(self.expected(n_sig, n_bkg, slope, mean, sigma))
        value = n_sig + n_bkg - self.weights @ logs
        return value if np.isfinite(value) else 1e10

    def fit(self, **at):
        """Parameters at the minimum with some held at values, and the minimum."""
        if (key := tuple(at.items())) not in self._fits:
            minuit = Minuit(self.nll, **(self.start | at))
            minuit.errordef, minuit.tol = Minuit.LIKELIHOOD, 1e-5
            minuit.limits["slope"], minuit.limits["sigma"] = (-4.0, -1.0), (0.02, 0.2)
            for name in (*self.fixed, *at):
                minuit.fixed[name] = True
            minuit.migrad()
            assert minuit.valid
            values = dict(zip(minuit.parameters, minuit.values, strict=True))
            self._fits[key] = values, minuit.fval
        return self._fits[key]

    def asimov(self, n_sig):
        """The expectation itself as data, on 300 Gauss-Legendre nodes unless binned."""
        if n_sig not in self._asimov:
            theta, how = self.fit(n_sig=n_sig)[0].values(), {"mean": self.start["mean"]}
            if self.edges is not None:
                made = Reference(self.expected(*theta), edges=self.edges, **how)
            else:
                nodes, weights = np.polynomial.legendre.leggauss(300)
                half = 0.5 * (HIGH - LOW)
                made = Reference(None, LOW + half * (1 + nodes), **how)
                made.weights = half * weights * made.expected(*theta)
            self._asimov[n_sig] = made
        return self._asimov[n_sig]

    def ratio(self, name, value, best=None):
        """Twice the difference to the smallest negative log-likelihood, or to that at a value."""
        least = self.fit()[1] if best is None else self.fit(**{name: best})[1]
        return max(2 * (self.fit(**{name: value})[1] - least), 0.0)


def p_values(reference, values, qtilde=False):
    """CLs+b, CLb and CLs of signal yields, and the roots of the Asimov set's test statistic.

    arXiv:1007.1727, section 3; equation 89 for what is expected.
    """
    asimov, best = reference.asimov(n_sig=0.0), reference.fit()[0]["n_sig"]
    floor = 0.0 if qtilde and best < 0 else None
    q = np.array([reference.ratio("n_sig", v, floor) if v >= best else 0.0 for v in values])
    root_alt = np.sqrt([asimov.ratio("n_sig", v, 0.0) for v in values])
    root = np.sqrt(q)
    null, alternative = root, root - root_alt
    if qtilde:
        beyond = root > root_alt
        null = np.where(beyond, (q + root_alt**2) / (2 * root_alt), null)
        alternative = np.where(beyond, (q - root_alt**2) / (2 * root_alt), alternative)
    clsb, clb = norm.sf(null), norm.sf(alternative)
    return {"clsb": clsb, "clb": clb, "cls": clsb / clb} | {
        key: norm.sf(root_alt - n) / norm.cdf(n) for key, n in SIGMAS.items()
    }


def limits(reference, alpha=0.05):
    """Where the curves cross, to all digits: no curve through a grid."""

    def crossing(key, low):
        return brentq(
            lambda v: np.log(p_values(reference, [v])[key][0] / alpha), low, 60.0, xtol=1e-5
        )

    found = {key: crossing(key, 0.5) for key in SIGMAS}
    return found | {"observed": crossing("cls", max(reference.fit()[0]["n_sig"], 0.5))}


# ------------------------------------------------------------------ upper limits


def test_upper_limits_of_the_example(small):
    """test_upperlimit.py::test_with_gauss_exp_example, hepstats."""
    calculator = small.calculator()
    before = small.values()
    scan, alternative = POIarray(small.n_sig, np.linspace(0.0, 25, 15)), POI(small.n_sig, 0)
    test = UpperLimit(calculator, scan, alternative)
    found = test.upperlimit(alpha=0.05, CLs=True)
    assert all(type(limit) is float for limit in found.values())

    assert found["observed"] == pytest.approx(16.7, rel=0.15)
    assert found["expected"] == pytest.approx(11.5, rel=0.15)
    assert found["expected_p1"] == pytest.approx(16.729552184042365, rel=0.1)
    assert found["expected_p2"] == pytest.approx(23.718823517614066, rel=0.15)
    assert found["expected_m1"] == pytest.approx(7.977175378979202, rel=0.1)
    assert found["expected_m2"] == pytest.approx(5.805298972983304, rel=0.15)

    without_cls = test.upperlimit(alpha=0.05, CLs=False)
    # without CLs, so low a fluctuation excludes every signal, even none
    assert without_cls.pop("expected_m2") is None
    assert all(without_cls[key] < found[key] for key in without_cls)
    qtilde = UpperLimit(calculator, scan, alternative, qtilde=True).upperlimit(alpha=0.05, CLs=True)
    # the best fit is positive and the limits are not beyond the Asimov set's
    assert qtilde == pytest.approx(found, rel=1e-6)

    short = POIarray(small.n_sig, scan.values[:5])
    with pytest.raises(POIRangeError):
        UpperLimit(calculator, short, alternative).upperlimit(alpha=0.05, CLs=True)

    # the right numbers; the spline through 15 signal yields is off by up to 6e-4 at -2 sigma
    exact = limits(Reference.of(small))
    assert found == pytest.approx(exact, rel=1e-3)
    assert small.values() == before


# of tests/hypotests/data/cls_pvalues.npz, hepstats
STORED = {
    "n_sig": [5.26315789, 10.52631579, 15.78947368, 21.05263158],
    "clsb": [0.45158135, 0.16378898, 0.03908699, 0.0065025],
    "clb": [0.79863153, 0.79831281, 0.79722197, 0.7957468],
    "cls": [0.56544393, 0.20516892, 0.04902899, 0.00817156],
    "expected": [3.37855930e-01, 6.95832442e-02, 9.51095442e-03, 9.32435113e-04],
    "expected_p1": [0.61400173, 0.24680327, 0.06604501, 0.01240837],
    "expected_p2": [0.87101474, 0.58688864, 0.28298841, 0.09728453],
    "expected_m1": [1.58147594e-01, 1.53905549e-02, 1.02972280e-03, 5.14128471e-05],
    "expected_m2": [6.79623042e-02, 2.99769564e-03, 9.59703296e-05, 2.40725155e-06],
}


def test_p_values_are_the_stored_ones_as_far_as_these_are_right(calculator, unbinned):
    scan = POIarray(unbinned.n_sig, STORED["n_sig"])
    found = UpperLimit(calculator, scan, POI(unbinned.n_sig, 0)).pvalues()
    exact = p_values(Reference.of(unbinned), STORED["n_sig"])
    for key, values in exact.items():
        np.testing.assert_allclose(found[key], values, rtol=PRECISION, err_msg=key)
        # the Asimov set of the stored ones has 100 bins, three in a standard deviation of the peak,
        # and their fits stop where zfit's minimiser does, at an estimated distance of 1e-3
        np.testing.assert_allclose(found[key], STORED[key], rtol=5e-3, err_msg=key)


def test_the_limits_of_the_docstring(calculator, unbinned):
    scan = POIarray(unbinned.n_sig, np.linspace(0.0, 25, 20))
    found = UpperLimit(calculator, scan, POI(unbinned.n_sig, 0)).upperlimit(alpha=0.05, CLs=True)
    assert found["observed"] == pytest.approx(15.725784747406346, rel=1e-4)


class Stock(calculators.AsymptoticCalculator):
    """hepstats' calculator with the data left unbinned, as its own tests have it, too."""

    UNBINNED_TO_BINNED_LOSS = {}  # noqa: RUF012


@pytest.fixture
def stock(unbinned):
    """hepstats' calculator where it is right: enough bins, a strict minimiser."""
    before = unbinned.values()
    yield Stock(unbinned.loss, zfit.minimize.Minuit(tol=1e-6), asimov_bins=1000)
    parameters = sorted(unbinned.loss.get_params(), key=lambda p: p.name)
    zfit.param.set_values(parameters, before)  # it leaves them where its last fit went


def test_same_numbers_as_the_stock_calculator_where_it_is_right(calculator, stock, unbinned):
    scan, alternative = POIarray(unbinned.n_sig, np.linspace(1, 25, 7)), POI(unbinned.n_sig, 0)
    found, expected = (UpperLimit(c, scan, alternative) for c in (calculator, stock))
    for qtilde in (False, True):
        ours, theirs = (
            UpperLimit(c, scan, alternative, qtilde).pvalues() for c in (calculator, stock)
        )
        for key, values in theirs.items():
            np.testing.assert_allclose(ours[key], values, rtol=3e-4, err_msg=key)
    # the stock calculator has numbers, too, since ours was imported
    assert found.upperlimit() == pytest.approx(expected.upperlimit(), rel=3e-5)
    assert (
        Discovery(calculator, POI(unbinned.n_sig, 0)).result()
        == pytest.approx(Discovery(stock, POI(unbinned.n_sig, 0)).result(), rel=1e-4)
    )  # fmt: skip
    assert calculator.bestfit.params[unbinned.n_sig]["value"] == pytest.approx(
        stock.bestfit.params[unbinned.n_sig]["value"], rel=1e-3
    )


def test_limits_follow_a_mass_that_is_moved(calculator, unbinned):
    """hepstats' calculator would answer with the numbers of the first mass."""
    scan, alternative = POIarray(unbinned.n_sig, [6.0, 12.0]), POI(unbinned.n_sig, 0)
    test, first = UpperLimit(calculator, scan, alternative), None
    for mass in (1.2, 1.7, 1.2):
        unbinned.mean.set_value(mass)
        found, exact = test.pvalues(), p_values(Reference.of(unbinned, mean=mass), scan.values)
        for key, values in exact.items():
            np.testing.assert_allclose(found[key], values, rtol=PRECISION, err_msg=f"{mass} {key}")
        first = found if first is None else first
    np.testing.assert_array_equal(found["cls"], first["cls"])


def test_a_given_fit_is_not_used_for_another_mass(calculator, unbinned):
    given = AsymptoticCalculator(calculator.bestfit, zfit.minimize.Minuit())
    assert given.bestfit is calculator.bestfit
    unbinned.mean.set_value(1.7)
    best = Reference.of(unbinned, mean=1.7).fit()[0]["n_sig"]
    assert given.bestfit.params[unbinned.n_sig]["value"] == pytest.approx(best, abs=1e-3)
    unbinned.mean.set_value(1.2)
    assert given.bestfit.params[unbinned.n_sig]["value"] == pytest.approx(4.5564, abs=1e-3)


def test_asimov_sets_of_two_hypotheses_are_two(calculator, unbinned):
    """hepstats keeps the likelihoods of Asimov sets by the signal yield alone."""
    scan, reference = POIarray(unbinned.n_sig, [0.0, 15.0]), Reference.of(unbinned)
    for signal in (0.0, 15.0):
        asimov = reference.asimov(n_sig=signal)
        found = np.diff(calculator.asimov_nll(scan, POI(unbinned.n_sig, signal)))
        np.testing.assert_allclose(
            found, asimov.fit(n_sig=15.0)[1] - asimov.fit(n_sig=0.0)[1], 3e-5
        )


# ------------------------------------------------------------------ roots


def test_a_limit_that_is_not_in_the_scan_stays_none(calculator, unbinned):
    scan = POIarray(unbinned.n_sig, np.linspace(10, 25, 16))
    found = UpperLimit(calculator, scan, POI(unbinned.n_sig, 0)).upperlimit()
    assert found["expected_m1"] is None
    assert found["expected_m2"] is None
    assert found["expected"] == pytest.approx(11.479, rel=1e-3)


def test_a_single_root_is_a_number_for_upper_limits_alone():
    x = np.linspace(0, 4, 9)
    roots = upper_limit_module.interpolate.sproot
    one, two, none = (
        scipy.interpolate.splrep(x, y) for y in (x - 1.25, (x - 0.9) * (x - 3.3), x + 1)
    )
    assert float(roots(one)) == pytest.approx(1.25)
    assert len(roots(one)) == 1
    np.testing.assert_allclose(roots(two), [0.9, 3.3])
    for tck in (two, none):
        with pytest.raises(TypeError):
            float(roots(tck))
    assert upper_limit_module.interpolate.splrep is scipy.interpolate.splrep
    assert upper_limit_module.interpolate is not scipy.interpolate
    assert type(scipy.interpolate.sproot(one)) is np.ndarray


def test_a_hepstats_that_reads_roots_otherwise_is_left_alone(monkeypatch):
    now = upper_limit_module.interpolate
    _let_upper_limits_be_numbers()
    assert upper_limit_module.interpolate is now
    another = object()
    monkeypatch.setattr(upper_limit_module, "interpolate", another)
    _let_upper_limits_be_numbers()
    assert upper_limit_module.interpolate is another
    monkeypatch.delattr(upper_limit_module, "interpolate")
    _let_upper_limits_be_numbers()
    assert not hasattr(upper_limit_module, "interpolate")


# ------------------------------------------------------------------ discovery


@pytest.mark.parametrize("bins", ["unbinned", pytest.param(253, marks=SLOW)])
def test_discovery_in_the_example(bins):
    """test_discovery.py::test_with_asymptotic_calculator, hepstats."""
    example = Example("large", 25, bins)
    calculator = example.calculator()
    p_value, significance = Discovery(calculator, POI(example.n_sig, 0)).result()

    uncertainty = 0.2 if bins == 76 else 0.05
    assert p_value == pytest.approx(0.000757, abs=uncertainty)
    assert significance == pytest.approx(3.17, abs=uncertainty)
    assert significance >= 3

    ratio = Reference.of(example).ratio("n_sig", 0.0)
    assert significance == pytest.approx(np.sqrt(ratio), abs=1e-5)
    assert p_value == pytest.approx(norm.sf(np.sqrt(ratio)), rel=1e-4)
    if bins == "unbinned":  # the docstring
        assert p_value == pytest.approx(0.0007571045424956679, rel=2e-3)
        assert significance == pytest.approx(3.1719464825102244, abs=1e-3)


def test_discovery_in_a_counting_experiment():
    """test_discovery.py::test_counting_with_asymptotic_calculator and the one after, hepstats."""
    n, background = 370, 340
    n_sig = zfit.Parameter("hepstats_counting_n_sig", 0.0, -100.0, 100)
    n_bkg = zfit.Parameter("hepstats_counting_n_bkg", background, 0, 500, floating=False)
    total = zfit.ComposedParameter(
        "hepstats_counting_n_obs", lambda a, b: a + b, params=[n_sig, n_bkg]
    )
    obs = zfit.Space("hepstats_counting", 0, 800)
    data = zfit.Data.from_numpy(obs=obs, array=np.array([float(n)]))
    loss = zfit.loss.UnbinnedNLL(zfit.pdf.Poisson(obs=obs, lamb=total), data)
    minimizer = zfit.minimize.Minuit()

    calculator = AsymptoticCalculator(loss, minimizer)
    p_value, significance = Discovery(calculator, POI(n_sig, 0)).result()
    assert significance < 2
    # the likelihood ratio of a Poisson distribution
    exact = np.sqrt(2 * (n * np.log(n / background) - (n - background)))
    assert significance == pytest.approx(exact, rel=1e-4)

    given = AsymptoticCalculator(loss, minimizer)
    given.bestfit = minimizer.minimize(loss)
    p_value, significance = Discovery(given, POI(n_sig, 0)).result()
    assert p_value == pytest.approx(0.05, abs=0.01)
    assert significance == pytest.approx(1.6, abs=0.1)
    assert significance == pytest.approx(exact, rel=1e-4)


# ------------------------------------------------------------------ confidence intervals


@pytest.mark.parametrize("bins", ["unbinned", pytest.param(47, marks=SLOW)])
def test_interval_of_a_floating_peak(bins):
    """test_confidence_intervals.py::test_with_gauss_exp_example, hepstats."""
    example = Example("interval", 80, bins, shape_floats=True)
    calculator, mean = example.calculator(), example.mean
    values = np.linspace(1.15, 1.26, 50)
    found = ConfidenceInterval(calculator, POIarray(mean, values)).interval()
    assert found["lower"] == pytest.approx(1.1810371356602791, rel=0.1)
    assert found["upper"] == pytest.approx(1.2156701172321935, rel=0.1)
    for part in (
        (values >= 1.2) & (values <= 1.205),
        values >= 1.2,
        values <= 1.205,
    ):
        with pytest.raises(POIRangeError):
            ConfidenceInterval(calculator, POIarray(mean, values[part])).interval()

    reference = Reference.of(example, fixed=())
    best, least = reference.fit()
    level = norm.isf(0.16) ** 2

    def beyond(value):
        return 2 * (reference.fit(mean=value)[1] - least) - level

    assert found["observed"] == pytest.approx(best["mean"], abs=1e-5)
    assert found["lower"] == pytest.approx(brentq(beyond, 1.15, best["mean"]), abs=1e-5)
    assert found["upper"] == pytest.approx(brentq(beyond, best["mean"], 1.26), abs=1e-5)
    if bins == "unbinned":  # the docstring
        assert found["lower"] == pytest.approx(1.1810371356602791, abs=1e-4)
        assert found["upper"] == pytest.approx(1.2156701172321935, abs=1e-4)


@pytest.fixture(scope="module")
def gauss():
    """A sample of a Gaussian whose mean and width float: everything is known in closed form."""
    obs = zfit.Space("hepstats_gauss_x", -10, 10)
    mean = zfit.Parameter("hepstats_gauss_mean", 0.016)
    sigma = zfit.Parameter("hepstats_gauss_sigma", 1.0)
    x = np.random.default_rng(11).normal(0.016, 1.0, 1000)
    data = zfit.Data.from_numpy(obs=obs, array=x)
    return zfit.loss.UnbinnedNLL(zfit.pdf.Gauss(mean, sigma, obs), data), mean, sigma, x


@pytest.mark.parametrize("lowest", [0.0, -10.0])
def test_interval_of_a_mean_that_counts_as_not_negative(gauss, lowest):
    """test_confidence_intervals.py::test_with_gauss_qtilde, hepstats; its numbers are ours."""
    loss, mean, _, x = gauss
    minimizer = zfit.minimize.Minuit()
    calculator = AsymptoticCalculator(loss, minimizer)
    centre, error = x.mean(), x.std() / np.sqrt(len(x))
    values = np.linspace(max(centre - 3 * error, lowest), centre + 3 * error, 50)
    found = ConfidenceInterval(calculator, POIarray(mean, values), qtilde=True).interval(alpha=0.05)
    # 2 ln L changes by n ln(1 + (mean - centre)^2 / variance)
    half = x.std() * np.sqrt(np.expm1(norm.isf(0.025) ** 2 / len(x)))
    assert found["observed"] == pytest.approx(centre, abs=1e-6)
    assert found["upper"] == pytest.approx(centre + half, abs=1e-6)
    assert found["lower"] == pytest.approx(max(centre - half, 0.0), abs=1e-6)


# ------------------------------------------------------------------ the calculator


def test_calculator_behaves_as_hepstats_wants_it(gauss):
    """test_calculators.py::test_base_calculator, hepstats."""
    loss, mean, _, _ = gauss
    minimizer = zfit.minimize.Minuit()
    with pytest.raises(TypeError):
        AsymptoticCalculator()
    with pytest.raises(ValueError, match="loss"):
        AsymptoticCalculator("loss", minimizer)
    with pytest.raises(ValueError, match="minimizer"):
        AsymptoticCalculator(loss, "Minuit()")

    calculator = AsymptoticCalculator(loss, minimizer)
    with pytest.raises(ValueError, match="not a valid fit result"):
        calculator.bestfit = "bestfit"
    of_a_fit = AsymptoticCalculator(calculator.bestfit, calculator.minimizer)
    assert of_a_fit.bestfit is calculator.bestfit
    assert of_a_fit.loss is calculator.loss

    pois = POIarray(mean, [-0.1, 0.0, 0.1])
    nll = calculator.obs_nll(pois)
    np.testing.assert_array_equal(calculator.obs_nll(pois), nll)
    assert nll[0] > nll[1] < nll[2]
    assert [calculator.obs_nll(poi)[0] for poi in pois] == nll.tolist()

    model, data = calculator.model[0], calculator.data[0]
    sampler = model.create_sampler(n=100)
    assert is_valid_loss(calculator.lossbuilder(model=[model], data=[sampler], weights=None))
    for wrong in (
        {"model": [model, model], "data": [sampler]},
        {"model": [model], "data": [sampler, data]},
        {"model": [model], "data": [sampler], "weights": []},
        {"model": [model], "data": [sampler], "weights": [np.ones(100), np.ones(100)]},
    ):
        with pytest.raises(ValueError, match="same number"):
            calculator.lossbuilder(**wrong)
    assert calculator.get_parameter(mean.name) is mean
    with pytest.raises(KeyError):
        calculator.get_parameter("dummy_parameter")


def test_a_parameter_that_is_fixed_afterwards_no_longer_floats(gauss):
    loss, mean, sigma, x = gauss
    calculator = AsymptoticCalculator(loss, zfit.minimize.Minuit())
    poi = POI(mean, 0.05)

    def both(value):
        profiled = len(x) * np.log1p((x.mean() - value) ** 2 / x.var())
        at_two = len(x) * (x.mean() - value) ** 2 / 2.0**2
        return profiled, at_two

    floating, fixed = both(poi.value)
    how = {"onesided": False, "onesideddiscovery": False}
    assert calculator.qobs(poi, **how) == pytest.approx(floating, rel=1e-4)
    before = float(sigma.value())
    try:
        sigma.set_value(2.0)
        sigma.floating = False
        assert calculator.qobs(poi, **how) == pytest.approx(fixed, rel=1e-4)
    finally:
        sigma.floating = True
        sigma.set_value(before)


def test_asimov_set_as_hepstats_wants_it(calculator, unbinned):
    """test_calculators.py::test_asymptotic_calculator_one_poi, hepstats."""
    scan, alternative = POIarray(unbinned.n_sig, [0.0, 5.0, 10.0]), POI(unbinned.n_sig, 5.0)
    assert all(is_valid_data(data) for data in calculator.asimov_dataset(alternative))
    assert is_valid_loss(calculator.asimov_loss(alternative))
    nll = calculator.asimov_nll(scan, alternative)
    assert nll[0] > nll[1] < nll[2]


@pytest.mark.slow
def test_two_observables_have_p_values_but_no_asimov_set():
    """test_calculators.py::test_base_calculator in 2D; hepstats bins the data there, unasked."""
    spaces = [zfit.Space(f"hepstats_2d_{name}", -10, 10) for name in "xy"]
    mean = zfit.Parameter("hepstats_2d_mean", 0.1)
    x = np.random.default_rng(12).normal(0.0, 1.0, (500, 2))
    model = zfit.pdf.ProductPDF([zfit.pdf.Gauss(mean, 1.0, obs) for obs in spaces])
    data = zfit.Data.from_numpy(obs=spaces[0] * spaces[1], array=x)
    loss = zfit.loss.UnbinnedNLL(model, data)
    calculator, scan = AsymptoticCalculator(loss, zfit.minimize.Minuit()), POIarray(mean, [0.1])
    p_value, _ = calculator.pvalue(scan, onesided=False)
    expected = 2 * norm.sf(np.abs(0.1 - x.mean()) * np.sqrt(x.size))
    np.testing.assert_allclose(p_value, expected, rtol=PRECISION)
    with pytest.raises(InputError, match="2 observables; bin the channel"):
        calculator.pvalue(scan, POI(mean, 0.0))


def test_test_statistics_and_p_values(calculator, unbinned):
    n_sig, reference = unbinned.n_sig, Reference.of(unbinned)
    values = [0.0, 12.0]  # below and above the best fit
    scan, alternative = POIarray(n_sig, values), POI(n_sig, 0)
    below, above = (reference.ratio("n_sig", v) for v in values)
    best = POI(n_sig, calculator.bestfit.params[n_sig]["value"])
    nll = calculator.obs_nll(scan), calculator.obs_nll(best), scan, best

    ways = {
        # one-sided limits, one-sided discoveries, two-sided intervals
        (True, False): [0.0, above],
        (True, True): [below, 0.0],
        (False, False): [below, above],
    }
    for (onesided, discovery), q in ways.items():
        how = {"onesided": onesided, "onesideddiscovery": discovery}
        np.testing.assert_allclose(calculator.q(*nll, **how), q, rtol=1e-4)
        np.testing.assert_allclose(calculator.qobs(scan, **how), q, rtol=1e-4)
        p_null, p_alternative = calculator.pvalue(scan, **how)
        sides = 1 if onesided else 2
        np.testing.assert_allclose(p_null, sides * norm.sf(np.sqrt(q)), rtol=1e-4)
        assert p_alternative is None
    # a likelihood above the best is a failed fit of the best, not a signal
    np.testing.assert_array_equal(
        calculator.q(np.array([1.0, 3.0]), np.array([2.0]), scan, POI(n_sig, -1.0)), [0.0, 2.0]
    )

    clsb, clb = calculator.pvalue(scan, alternative)
    exact = p_values(reference, values)
    np.testing.assert_allclose([clsb, clb], [exact["clsb"], exact["clb"]], rtol=PRECISION)
    for cls in (True, False):
        found = calculator.expected_pvalue(scan, alternative, list(SIGMAS.values()), CLs=cls)
        for p_value, (key, n) in zip(found, SIGMAS.items(), strict=True):
            expected = exact[key] * (1.0 if cls else norm.cdf(n))
            np.testing.assert_allclose(p_value, expected, rtol=PRECISION)

    for wrong in ([alternative], 0.0):
        with pytest.raises(TypeError):
            calculator.pvalue(wrong)
    with pytest.raises(ValueError, match="same names"):
        calculator.pvalue(scan, POI(unbinned.n_bkg, 0))
    with pytest.raises(InputError, match="does not float"):
        calculator.pvalue(POI(unbinned.mean, 1.2))


def test_a_negative_signal_counts_as_none(calculator, unbinned):
    unbinned.mean.set_value(0.85)
    reference, values = Reference.of(unbinned, mean=0.85), [2.0, 9.0]
    assert reference.fit()[0]["n_sig"] < -1.0
    scan, alternative = POIarray(unbinned.n_sig, values), POI(unbinned.n_sig, 0)
    for qtilde in (True, False):
        found = UpperLimit(calculator, scan, alternative, qtilde).pvalues()
        for key, expected in p_values(reference, values, qtilde).items():
            np.testing.assert_allclose(
                found[key], expected, rtol=PRECISION, err_msg=f"{qtilde} {key}"
            )


@pytest.mark.parametrize("wrong", [(), "calculator"], ids=["nothing", "text"])
@pytest.mark.parametrize("test", [UpperLimit, Discovery, ConfidenceInterval])
def test_only_calculators_are_taken(test, wrong):
    """test_constructor of the three modules, hepstats."""
    with pytest.raises(TypeError):
        test(*wrong)
