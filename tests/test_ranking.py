"""Impacts against written-out likelihoods: a peak on two backgrounds, and the two channels."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import two_channels
import zfit
from iminuit import Minuit
from matplotlib.colors import to_rgba
from scipy.stats import truncnorm

import zfit_dark as zd
from zfit_dark import limits, plot, ranking
from zfit_dark.errors import InputError
from zfit_dark.profile import CompiledLoss, compiled
from zfit_dark.results import Impacts

OBS = zfit.Space("ranking_x", 0.0, 1.0)
NAMES = ("mu", "bump", "theta_efficiency", "theta_level", "theta_luminosity")
PER_MU, LEVEL = 100.0, 200.0
PEAK, BUMP = (0.5, 0.05), (0.2, 0.03)
OBSERVATION, SIGMA = (0.0, 0.3, 0.0), (1.0, 0.8, 1.0)


def signal_factor(efficiency, luminosity):
    return (1 + 0.1 * efficiency) * 1.05**luminosity


def density_of(where):
    low, high = (0.0 - where[0]) / where[1], (1.0 - where[0]) / where[1]
    return truncnorm(low, high, *where).pdf


def nll(x, theta):
    """The whole likelihood, without constants; parameters in the order of NAMES."""
    mu, bump, efficiency, level, luminosity = theta
    signal = PER_MU * mu * signal_factor(efficiency, luminosity)
    flat = LEVEL * (1 + 0.2 * level)
    density = signal * density_of(PEAK)(x) + bump * density_of(BUMP)(x) + flat
    pulls = (np.array([efficiency, level, luminosity]) - OBSERVATION) / SIGMA
    return signal + bump + flat - np.log(density).sum() + 0.5 * (pulls**2).sum()


def second_derivatives(function, at, steps):
    """By differences of fourth order in each pair of parameters."""
    weights = {-2: 1 / 12, -1: -8 / 12, 1: 8 / 12, 2: -1 / 12}
    p = len(at)
    found = np.zeros((p, p))
    for i, j in product(range(p), repeat=2):
        for (a, u), (b, v) in product(weights.items(), repeat=2):
            shift = np.zeros(p)
            shift[i] += a * steps[i]
            shift[j] += b * steps[j]
            found[i, j] += u * v * function(at + shift) / (steps[i] * steps[j])
    return 0.5 * (found + found.T)


def minuit(function, start, steps, names, fixed=(), lower=None):
    found = Minuit(function, start, name=names)
    found.errordef, found.strategy, found.tol = Minuit.LIKELIHOOD, 2, 1e-4
    found.errors = steps
    for name, value in fixed:
        found.values[name], found.fixed[name] = value, True
    for name in lower or ():
        found.limits[name] = (0.0, None)
    found.migrad()
    assert found.valid
    return found


def events(peak, bump, flat):
    rng = np.random.default_rng(5)
    return np.concatenate(
        [rng.normal(*PEAK, peak), rng.normal(*BUMP, bump), rng.uniform(0.0, 1.0, flat)]
    )


def no_bump(x):
    return x[np.abs(x - BUMP[0]) > 3 * BUMP[1]]


DATA = events(130, 40, 230)


class Model:
    """The likelihood of ``nll`` in zfit, with data that can be changed."""

    def __init__(self, prefix="ranking", *, floating=True):
        self.poi = zfit.Parameter(f"{prefix}_mu", 1.0)
        self.bump = zfit.Parameter(f"{prefix}_bump", 30.0, 0.0, 1000.0)
        self.thetas = [
            zfit.Parameter(f"{prefix}_{name}", 0.0, -5.0, 5.0, floating=floating)
            for name in NAMES[2:]
        ]
        efficiency, level, luminosity = self.thetas
        signal = zfit.ComposedParameter(
            f"{prefix}_signal",
            lambda mu, efficiency, luminosity: PER_MU * mu * signal_factor(efficiency, luminosity),
            params=[self.poi, efficiency, luminosity],
        )
        flat = zfit.ComposedParameter(
            f"{prefix}_flat", lambda level: LEVEL * (1 + 0.2 * level), params=[level]
        )
        pdf = zfit.pdf.SumPDF(
            [
                zfit.pdf.Gauss(*PEAK, OBS, extended=signal),
                zfit.pdf.Gauss(*BUMP, OBS, extended=self.bump),
                zfit.pdf.Uniform(0.0, 1.0, OBS, extended=flat),
            ]
        )
        self.data = pdf.create_sampler(n=10)
        constraint = zfit.constraint.GaussianConstraint(
            self.thetas, observation=list(OBSERVATION), sigma=list(SIGMA)
        )
        self.loss = zfit.loss.ExtendedUnbinnedNLL(
            pdf, self.data, constraints=constraint if floating else None
        )

    def impacts(self, x=DATA, **options) -> Impacts:
        self.data.update_data(x[:, None], guarantee_limits=True)
        return zd.impacts(self.loss, self.poi, **options)


@pytest.fixture(scope="module")
def model():
    made = Model()
    compiled(made.loss).reserve([500])
    return made


@pytest.fixture(scope="module")
def found(model):
    return model.impacts(pseudo_data=True)


def of(result, values):
    """Numbers by parameter, named as in NAMES."""
    names = [name.removeprefix("ranking_") for name in result.names]
    return dict(zip(names, values, strict=True))


def about(result, text):
    """The warnings that hold a text."""
    return [warning for warning in result.warnings if text in warning]


STEPS = np.array([0.1, 7.0, 1.0, 0.3, 1.0])


@pytest.fixture(scope="module")
def right():
    """The best fit by Minuit, and the covariance there by differences."""
    start = [1.0, 30.0, 0.0, 0.3, 0.0]
    at = np.array(minuit(lambda t: nll(DATA, t), start, STEPS, NAMES).values)
    return at, np.linalg.inv(second_derivatives(lambda t: nll(DATA, t), at, 0.03 * STEPS))


# -- best fit, pulls, correlations ----------------------------------------------------------


def test_best_fit_and_covariance_are_those_of_the_written_likelihood(found, right):
    at, covariance = right
    error = np.sqrt(np.diag(covariance))
    assert found.valid
    assert found.warnings == ()
    assert found.poi_hat == pytest.approx(at[0], abs=1e-3 * error[0])
    assert found.poi_error == pytest.approx(error[0], rel=1e-3)
    values, errors = of(found, found.postfit), of(found, found.postfit_error)
    for name, value, sigma in zip(NAMES[1:], at[1:], error[1:], strict=True):
        assert values[name] == pytest.approx(value, abs=1e-3 * sigma), name
        assert errors[name] == pytest.approx(sigma, rel=1e-3), name
    order = [0, *(NAMES.index(name) for name in of(found, found.postfit))]
    correlation = (covariance / np.outer(error, error))[np.ix_(order, order)]
    np.testing.assert_allclose(found.correlation, correlation, rtol=0, atol=1e-3)


def test_what_the_data_do_not_constrain_is_not_pulled(found):
    pulls, constraints = of(found, found.pull), of(found, found.constraint)
    for name in ("theta_efficiency", "theta_luminosity"):
        assert pulls[name] == pytest.approx(0.0, abs=1e-3)
        # a fit ends within an EDM of 1e-8 of its minimum, that is 1.4e-4 standard deviations, and
        # the slope that is left bends the likelihood of a product
        assert constraints[name] == pytest.approx(1.0, abs=1.4e-4)


def test_a_pull_is_relative_to_the_constraint(found, right):
    at, covariance = right
    pull, constraint = (of(found, v)["theta_level"] for v in (found.pull, found.constraint))
    assert pull == pytest.approx((at[3] - 0.3) / 0.8, abs=2e-3)
    assert constraint == pytest.approx(np.sqrt(covariance[3, 3]) / 0.8, rel=1e-3)
    assert constraint < 0.7
    for values in (found.prefit, found.prefit_error, found.pull, found.constraint):
        assert np.isnan(of(found, values)["bump"])


# -- impacts on the best fit ----------------------------------------------------------------


def test_impact_of_a_factor_of_the_signal_is_that_factor(found):
    """The best fit of the number of signal events stays: mu is that over the factor."""
    up, down = of(found, found.impact_up), of(found, found.impact_down)
    for name, at in (("theta_efficiency", (1.0, 0.0)), ("theta_luminosity", (0.0, 1.0))):
        factor = signal_factor(*at), signal_factor(*(-x for x in at))
        assert up[name] == pytest.approx(found.poi_hat * (1 / factor[0] - 1), rel=1e-3)
        assert down[name] == pytest.approx(found.poi_hat * (1 / factor[1] - 1), rel=1e-3)


@pytest.mark.parametrize("name", ["bump", "theta_level"])
@pytest.mark.parametrize(("side", "sign"), [("impact_up", 1), ("impact_down", -1)])
def test_impact_is_the_shift_of_a_fit_by_minuit(found, right, name, side, sign):
    at, covariance = right
    i = NAMES.index(name)
    held = at[i] + sign * np.sqrt(covariance[i, i])
    moved = minuit(lambda t: nll(DATA, t), at, STEPS, NAMES, fixed=[(name, held)])
    expected = moved.values["mu"] - at[0]
    assert of(found, getattr(found, side))[name] == pytest.approx(expected, abs=1e-4)
    assert abs(expected) > 0.003


def test_parameters_stand_in_order_of_their_impact(found):
    size = np.maximum(np.abs(found.impact_up), np.abs(found.impact_down))
    assert (np.diff(size) <= 0).all()
    assert found.names[0] == "ranking_theta_efficiency"


def test_errors_add_up_in_quadrature(found, right):
    """The nuisances are not correlated with each other: each adds the square of its impact."""
    _, covariance = right
    free = np.linalg.inv(covariance)[:2, :2]  # mu and the bump, the constrained ones held
    assert found.poi_error_statistical**2 == pytest.approx(np.linalg.inv(free)[0, 0], rel=1e-3)
    impact = of(found, 0.5 * (found.impact_up - found.impact_down))
    added = sum(impact[name] ** 2 for name in NAMES[2:])
    assert found.poi_error**2 - found.poi_error_statistical**2 == pytest.approx(added, rel=0.03)
    assert found.poi_error_systematic**2 == pytest.approx(added, rel=0.03)


# -- limits ---------------------------------------------------------------------------------


def test_limits_are_those_of_upper_limit(model, found):
    limit = zd.upper_limit(model.loss, model.poi)
    assert found.observed == limit.observed
    np.testing.assert_array_equal(found.expected, limit.expected)


@pytest.fixture(scope="module")
def without_nuisances():
    made = Model("ranking_held", floating=False)
    compiled(made.loss).reserve([500])
    made.data.update_data(DATA[:, None], guarantee_limits=True)
    return made


def held_limit(model, values):
    """The limit of a loss where the nuisances are the given numbers."""
    for theta, value in zip(model.thetas, values, strict=True):
        theta.set_value(value)
    return zd.upper_limit(model.loss, model.poi)


def test_statistics_only_limits_are_those_of_a_loss_without_nuisances(found, without_nuisances):
    """Held for the observed limit where the free fit is, for the others where that without is."""
    postfit = of(found, found.postfit)
    free = held_limit(without_nuisances, [postfit[name] for name in NAMES[2:]])
    assert found.observed_statistical == pytest.approx(free.observed, rel=1e-4)
    assert free.poi_hat == pytest.approx(found.poi_hat, abs=1e-3 * found.poi_error)
    without = minuit(
        lambda t: nll(DATA, t), [0.0, 30.0, 0.0, 0.3, 0.0], STEPS, NAMES, fixed=[("mu", 0.0)]
    )
    background = held_limit(without_nuisances, [without.values[name] for name in NAMES[2:]])
    np.testing.assert_allclose(found.expected_statistical, background.expected, rtol=1e-4)
    assert not np.allclose(found.expected_statistical, free.expected, rtol=1e-2)


def test_a_limit_is_stronger_with_a_parameter_known(found):
    all_of_it = 1 - found.expected_statistical[2] / found.expected[2]
    parts = of(found, found.expected_impact)
    for name in NAMES[1:]:
        assert parts[name] > 0
    for name in NAMES[2:]:
        assert parts[name] < all_of_it
    assert (
        1 - found.observed_statistical / found.observed
        > of(found, found.observed_impact)["theta_efficiency"]
        > 0
    )


# -- parameters without an uncertainty ------------------------------------------------------


def test_a_parameter_at_an_edge_has_no_uncertainty_and_says_so(model):
    result = model.impacts(no_bump(DATA))
    assert result.valid
    assert of(result, result.postfit)["bump"] == 0.0
    for values in (result.postfit_error, result.impact_up, result.impact_down):
        assert np.isnan(of(result, values)["bump"])
        assert np.isfinite([v for k, v in of(result, values).items() if k != "bump"]).all()
    (warning,) = result.warnings
    assert warning == "ranking_bump: at an edge of the range; no uncertainty, no impact"
    assert result.names[-1] == "ranking_bump"
    assert np.isnan(result.correlation[-1]).all()
    assert np.isfinite(result.correlation[:-1, :-1]).all()
    # held at the edge or free, the others are fitted alike: the error is that without the bump
    x = no_bump(DATA)
    at = np.array([result.poi_hat, 0.0, *(of(result, result.postfit)[n] for n in NAMES[2:])])
    keep = [0, 2, 3, 4]

    def without_bump(t):
        full = np.zeros(5)
        full[keep] = t
        return nll(x, full)

    covariance = np.linalg.inv(second_derivatives(without_bump, at[keep], 0.03 * STEPS[keep]))
    assert result.poi_error == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-3)


def test_no_impact_from_beyond_the_range_of_a_parameter(model):
    """With few events in the bump, one standard deviation below them is less than none."""
    flat = np.linspace(0.11, 0.29, 41)
    x = np.concatenate([no_bump(DATA), flat, np.full(3, BUMP[0])])
    result = model.impacts(x)
    value, error = (of(result, v)["bump"] for v in (result.postfit, result.postfit_error))
    assert 0 < value < error
    assert np.isnan(of(result, result.impact_down)["bump"])
    assert np.isfinite(of(result, result.impact_up)["bump"])
    assert result.valid
    assert about(result, "ranking_bump: a standard deviation away is out of range")


def test_the_poi_at_an_edge_has_no_error_and_the_others_no_impact(model):
    model.poi.lower = 0.0
    try:
        result = model.impacts(DATA[np.abs(DATA - PEAK[0]) > PEAK[1]])
    finally:
        model.poi.lower = None
    assert result.valid
    assert result.poi_hat == 0.0
    assert np.isnan([result.poi_error, result.poi_error_statistical]).all()
    assert np.isnan([*result.impact_up, *result.impact_down]).all()
    assert np.isfinite([*result.postfit_error, result.observed, *result.expected]).all()
    assert "ranking_mu: the best fit is at an edge of the range; no impacts" in result.warnings


def test_a_shift_that_the_range_of_the_poi_cuts_off_is_left_out(model, found):
    model.poi.upper = found.poi_hat + 0.1
    try:
        result = model.impacts()
    finally:
        model.poi.upper = None
    assert np.isnan(of(result, result.impact_down)["theta_efficiency"])
    up, right = (of(r, r.impact_up)["theta_efficiency"] for r in (result, found))
    assert up == pytest.approx(right, rel=1e-3)
    (warning,) = result.warnings
    assert (
        warning
        == "ranking_theta_efficiency: ranking_mu runs into its limit a standard deviation away"
    )


def test_covariance_of_a_flat_direction():
    hessian = np.array(
        [[2.0, 0.5, 0.5, 0.0], [0.5, 1.0, 1.0, 0.0], [0.5, 1.0, 1.0, 0.0], [0.0] * 4]
    )
    found = ranking._inverse(hessian, np.ones(4, bool))
    # the sum of the second and the third counts, the fourth is not in it
    assert found[0, 0] == pytest.approx(np.linalg.inv(hessian[:2, :2])[0, 0])
    assert np.isnan(found[1:]).all()
    assert np.isnan(found[:, 1:]).all()
    assert np.isnan(ranking._inverse(np.diag([1.0, -1.0]), np.ones(2, bool))).all()
    only = ranking._inverse(np.diag([4.0, -1.0]), np.array([True, False]))
    np.testing.assert_array_equal(only, [[0.25, np.nan], [np.nan, np.nan]])


def test_constraints_that_are_not_gaussian_are_constraints():
    mu, a, b, c, free = (zfit.Parameter(f"ranking_prior_{k}", 10.0, 0, 99) for k in "mabcf")
    pdf = zfit.pdf.SumPDF(
        [zfit.pdf.Uniform(0.0, 1.0, OBS, extended=x) for x in (mu, a, b, c, free)]
    )
    gauss = zfit.constraint.GaussianConstraint
    loss = zfit.loss.ExtendedUnbinnedNLL(
        pdf,
        zfit.Data(DATA, obs=OBS),
        constraints=[
            gauss([a, b], observation=[8.0, 9.0], cov=[[4.0, 1.0], [1.0, 9.0]]),
            gauss(b, observation=11.0, sigma=1.0),
            zfit.constraint.PoissonConstraint(c, observation=12.0),
            gauss(mu, observation=10.0, sigma=5.0),
        ],
    )
    ours = CompiledLoss(loss)
    found = ranking._prior(ours, ours.observed(), ours.index(mu))
    assert [p.name[-1] for p in ours.parameters] == ["a", "b", "c", "f", "m"]
    np.testing.assert_array_equal(found.constrained, [True, True, True, False, False])
    np.testing.assert_array_equal(found.not_gaussian, [False, True, True, False, False])
    np.testing.assert_allclose(found.value, [8.0, *[np.nan] * 4])
    np.testing.assert_allclose(found.error, [2.0, *[np.nan] * 4])


# -- what goes wrong ------------------------------------------------------------------------


def test_fits_that_do_not_converge_are_told(model, monkeypatch):
    def failing(*args, **options):
        found = fitted(*args, **options)
        return found._replace(fits=replace(found.fits, edm=found.fits.edm + 1.0))

    fitted = limits.fitted
    monkeypatch.setattr(limits, "fitted", failing)
    monkeypatch.setattr(ranking, "fitted", failing)
    result = model.impacts()
    assert not result.valid
    assert about(result, "the fit of ranking_mu did not converge")
    for values in (result.postfit, result.postfit_error, result.impact_up, result.observed_impact):
        assert np.isnan(values).all()
    assert np.isnan([result.poi_hat, result.poi_error, result.observed_statistical]).all()
    assert "not every fit converged" in result.summary()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"edm": 1.0}, "the fit a standard deviation away did not converge"),
        ({"value": -2.0}, "held, the fit is better: the free one is in a local minimum"),
    ],
)
def test_shifted_fits_that_fail_are_told(model, monkeypatch, change, text):
    def failing(self, *args):
        found = fit(self, *args)
        return replace(found, **{name: getattr(found, name) + x for name, x in change.items()})

    fit = CompiledLoss.fit
    monkeypatch.setattr(CompiledLoss, "fit", failing)
    result = model.impacts()
    assert not result.valid
    assert about(result, text)
    assert np.isnan(result.impact_up).all() == ("edm" in change)


def test_an_uncertainty_that_does_not_describe_the_likelihood_is_told(model, monkeypatch):
    """Second derivatives that are wrong by a factor four: a rise of two instead of a half."""
    hessian = CompiledLoss.hessian
    monkeypatch.setattr(CompiledLoss, "hessian", lambda *args: hessian(*args) / 4)
    assert about(model.impacts(), "the likelihood is no parabola")


def test_second_derivatives_that_are_not_positive_are_told(model, monkeypatch):
    hessian = CompiledLoss.hessian
    monkeypatch.setattr(CompiledLoss, "hessian", lambda *args: -hessian(*args))
    result = model.impacts()
    assert not result.valid
    assert about(result, "the best fit is no minimum")


def test_bad_input_is_told(model, likelihood):
    with pytest.raises(InputError, match=r"mass=1.0: a loss cannot be moved"):
        zd.impacts(model.loss, model.poi, mass=1.0)
    with pytest.raises(InputError, match="give poi="):
        zd.impacts(model.loss)
    with pytest.raises(InputError, match="level=95: give a confidence level"):
        model.impacts(level=95)
    with pytest.raises(InputError, match=r"no hypothesis at 0.55 GeV: vetoed: eta"):
        zd.impacts(likelihood, mass=0.55)
    with pytest.raises(InputError, match=r"Impacts.postfit has the shape \(2,\)"):
        drawn(postfit=[1.0, 2.0])


# -- a likelihood of two channels -----------------------------------------------------------

MASS = 0.8


@pytest.fixture(scope="module")
def two(likelihood):
    return zd.impacts(likelihood, mass=MASS, level=0.9, poi_label="$B$", poi_unit="fb")


@pytest.fixture(scope="module")
def two_right(two):
    names = ("mu", *two.names)

    def value(theta):
        return two_channels.negative_log_likelihood(MASS, dict(zip(names, theta, strict=True)))

    return names, value, np.array([two.poi_hat, *two.postfit])


@pytest.mark.slow
def test_two_channels_correlations_are_the_inverse_of_the_second_derivatives(two, two_right):
    _, value, at = two_right
    steps = np.array([two.poi_error, *two.postfit_error])
    covariance = np.linalg.inv(second_derivatives(value, at, 0.03 * steps))
    error = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(steps, error, rtol=1e-4)
    np.testing.assert_allclose(
        two.correlation, covariance / np.outer(error, error), rtol=0, atol=1e-4
    )
    assert two.valid
    assert two.mass == MASS
    assert two.level == 0.9


@pytest.mark.slow
def test_two_channels_impact_of_the_shared_nuisance(two, two_right):
    names, value, at = two_right
    (row,) = np.flatnonzero(np.array(two.names) == "theta_n_bb")
    steps = np.array([two.poi_error, *two.postfit_error])
    held = [("theta_n_bb", at[1 + row] + two.postfit_error[row])]
    moved = minuit(value, at, steps, names, held)
    assert two.impact_up[row] == pytest.approx(moved.values["mu"] - at[0], abs=1e-3 * steps[0])
    assert two.pull[row] == two.postfit[row]


@pytest.mark.slow
def test_a_likelihood_is_taken_where_it_stands(likelihood, two):
    likelihood.move_to(MASS)
    again = zd.impacts(likelihood, level=0.9)
    np.testing.assert_allclose(again.impact_up, two.impact_up, rtol=1e-6)
    assert again.mass == MASS
    assert again.poi_label == "mu"


@pytest.mark.slow
def test_an_empty_channel_leaves_its_background_undetermined(likelihood):
    """Without an event of channel one its background yield is 0, and has no shape to speak of."""
    result = zd.impacts(likelihood, mass=1.2)
    (edge,) = about(result, "at an edge of the range")
    assert "one_background_yield" in edge
    (lost,) = about(result, "not determined by the data")
    assert "one_background_c1, one_background_c2" in lost
    lost_rows = [i for i, name in enumerate(result.names) if name.startswith("one_background")]
    assert len(lost_rows) == 3
    assert np.isnan(result.postfit_error[lost_rows]).all()
    assert np.isnan(result.impact_up[lost_rows]).all()


# -- tables and plots -----------------------------------------------------------------------


def drawn(n=3, **changes: Any) -> Impacts:
    names = tuple(["theta_lumi", "yield", "theta_eff", *(f"theta_{k}" for k in range(n - 3))][:n])
    free = np.array([name == "yield" for name in names])
    impact = np.linspace(0.3, 0.1, n)
    values: dict[str, Any] = {
        "names": names,
        "prefit": np.where(free, np.nan, 0.0),
        "prefit_error": np.where(free, np.nan, 1.0),
        "postfit": np.where(free, 123.0, -0.5),
        "postfit_error": np.where(free, 11.0, 0.9),
        "impact_up": -impact,
        "impact_down": impact,
        "observed_impact": impact / 10,
        "expected_impact": impact / 20,
        "correlation": np.eye(n + 1) * 0.75 + 0.25,
        "poi": "mu",
        "poi_label": r"$\mu$",
        "poi_unit": "fb",
        "poi_hat": 1.5,
        "poi_error": 0.5,
        "poi_error_statistical": 0.4,
        "observed": 2.5,
        "expected": np.arange(1.0, 6.0),
        "observed_statistical": 2.25,
        "expected_statistical": 0.9 * np.arange(1.0, 6.0),
        "level": 0.95,
        "mass": 0.8,
        "valid": True,
        "warnings": (),
        "pseudo_data": True,
    }
    return Impacts(**(values | changes))


def words(figure):
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


def test_table_has_a_row_for_each_parameter(found):
    frame = found.to_pandas()
    assert list(frame["parameter"]) == list(found.names)
    np.testing.assert_array_equal(frame["impact_up"], found.impact_up)
    np.testing.assert_array_equal(frame["pull"], found.pull)
    np.testing.assert_array_equal(frame["correlation"], found.correlation[0, 1:])
    assert list(frame.columns) == [
        *("parameter", "prefit", "prefit_error", "postfit", "postfit_error", "pull", "constraint"),
        *("impact_up", "impact_down", "observed_impact", "expected_impact", "correlation"),
    ]


def test_summary_names_the_numbers():
    assert drawn(warnings=("look out",)).summary().splitlines() == [
        "3 parameters by their impact on mu at 0.8 GeV (95 % CL, asymptotic, pseudo-data)",
        "best fit: mu = 1.5 +- 0.5 fb (statistics 0.4, systematics 0.3)",
        "observed limit: mu < 2.5 fb (statistics only: 2.25)",
        "median expected limit: mu < 3 fb (statistics only: 2.7)",
        "largest impacts: theta_lumi -0.3 +0.3, yield -0.2 +0.2, theta_eff -0.1 +0.1",
        "largest pull: theta_lumi -0.50 sigma",
        "warning: look out",
    ]


def test_results_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        drawn().impact_up[0] = 1.0


def test_plot_of_impacts_draws_the_numbers():
    figure = plot.impacts(drawn())
    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == [
        "theta_lumi",
        "yield",
        "theta_eff",
    ]
    assert left.get_ylim() == (2.5, -0.5)  # the largest is above
    widths = {
        to_rgba(color): [bar.get_width() for bar in right.patches if bar.get_facecolor() == look]
        for color in (plot.style.RED, plot.style.BLUE)
        for look in [to_rgba(color, 0.75)]
    }
    np.testing.assert_allclose(list(widths.values()), [[-0.3, -0.2, -0.1], [0.3, 0.2, 0.1]])
    x, y = (np.asarray(values, float) for values in left.containers[0].lines[0].get_data())
    np.testing.assert_allclose((x, y), ([-0.5, -0.5], [0, 2]))
    texts = words(figure)
    assert "Pseudo-data" in texts
    assert "123 ± 11" in texts
    assert r"At 0.8 GeV:  $\mu$ = 1.5 ± 0.4 (stat.) ± 0.3 (syst.) fb" in texts
    assert not [text for text in texts if "not shown" in text]


def test_plot_of_impacts_says_what_it_leaves_out():
    missing = np.where(np.arange(25) == 1, np.nan, 0.1)
    result = drawn(
        25,
        valid=False,
        pseudo_data=False,
        impact_up=missing,
        impact_down=missing,
        postfit_error=missing,
    )
    figure = plot.impacts(result)
    texts = words(figure)
    assert "5 with smaller impacts not shown" in texts
    assert "theta_16" in texts
    assert "theta_17" not in texts
    assert "Not converged" in texts
    assert "Pseudo-data" not in texts
    assert texts.count("no impact known") == 1
    assert "123 (no error)" in texts


def test_names_and_texts_do_not_overlap():
    names = ("theta_a_name_as_long_as_they_come_in_practice", "yield", "theta_eff")
    figure = plot.impacts(drawn(names=names))
    figure.draw_without_rendering()
    left, right = figure.axes
    boxes = [label.get_window_extent() for label in left.get_yticklabels()]
    assert min(box.x0 for box in boxes) > 0
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert not left.xaxis.label.get_window_extent().overlaps(right.xaxis.label.get_window_extent())


def test_plot_of_correlations_draws_the_matrix():
    matrix = np.eye(4) * 0.75 + 0.25
    matrix[3] = matrix[:, 3] = np.nan
    ax = plot.correlations(drawn(correlation=matrix))
    np.testing.assert_allclose(np.ma.filled(ax.images[0].get_array(), np.nan), matrix)
    assert [text.get_text() for text in ax.texts].count("0.25") == 6
    assert len(ax.texts) == 9  # none where there is no number
    assert [text.get_text() for text in ax.get_yticklabels()][:2] == [r"$\mu$", "theta_lumi"]
    assert "Pseudo-data" in words(ax.figure)
    assert not plot.correlations(drawn(20)).texts


def test_nothing_to_draw_is_told():
    nothing = {name: [] for name in ("prefit", "prefit_error", "postfit", "postfit_error")}
    nothing |= {name: [] for name in ("impact_up", "impact_down", "observed_impact")}
    empty = drawn(0, **nothing, expected_impact=[], correlation=[[1.0]])
    assert "largest impacts: none" in empty.summary()
    with pytest.raises(InputError, match="no parameter floats besides mu"):
        plot.impacts(empty)
