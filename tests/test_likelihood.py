"""The likelihood of two channels against the same one written in numpy and numba-stats."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import two_channels as other
import zfit
from iminuit import Minuit
from scipy.integrate import quad_vec
from two_channels import LIMITS, Expected, negative_log_likelihood

from zfit_dark.channel import Nuisance, ShapeChannel, Veto
from zfit_dark.errors import InputError
from zfit_dark.likelihood import BLIND_HALF_WIDTH, Likelihood
from zfit_dark.newton import FloatArray
from zfit_dark.profile import CompiledLoss, compiled

MASSES = [0.45, 0.61, 0.8, 0.99, 1.2, 1.45, 1.9]
"""In the open; next to holes; at the peak; without events; with a closed channel; at the end."""


@pytest.fixture(scope="module")
def loss(likelihood: Likelihood) -> CompiledLoss:
    return compiled(likelihood.loss)


def named(loss: CompiledLoss, theta: FloatArray) -> dict[str, float]:
    return {p.name: float(v) for p, v in zip(loss.parameters, theta, strict=True)}


def random_theta(loss: CompiledLoss, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)

    def draw(name: str) -> float:
        if name == "mu":
            return float(rng.uniform(-0.1, 3))
        if name.endswith("yield"):
            return float(rng.uniform(50, 900))
        return float(rng.normal() if name.startswith("theta") else rng.uniform(-0.3, 0.3))

    return np.array([draw(p.name) for p in loss.parameters])


def at_data(loss: CompiledLoss, theta: FloatArray, tangent: FloatArray) -> list[Any]:
    """What each channel expects at its candidates."""
    return loss.densities(theta, [x[:, 0] for x in loss.observed().points], tangent)


def without_constants(loss: CompiledLoss, thetas: FloatArray) -> FloatArray:
    """The value of the compiled loss for its present data, less that of the constraints at 0."""
    constant = 0.5 * len(other.SIZES) * np.log(2 * np.pi)
    return loss.evaluate(thetas, loss.observed())[0] - constant


# ------------------------------------------------------------------ the value


@pytest.mark.parametrize("mass", MASSES)
def test_value_is_that_of_the_independent_likelihood(
    likelihood: Likelihood, loss: CompiledLoss, mass: float
) -> None:
    likelihood.move_to(mass)
    thetas = np.stack([loss.values(), *(random_theta(loss, seed) for seed in range(5))])
    expected = [negative_log_likelihood(mass, named(loss, theta)) for theta in thetas]
    np.testing.assert_allclose(without_constants(loss, thetas), expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("mass", MASSES)
def test_value_with_the_signal_region_hidden(
    likelihood: Likelihood, loss: CompiledLoss, mass: float
) -> None:
    likelihood.move_to(mass)
    thetas = np.stack([random_theta(loss, seed) for seed in range(3)])
    with likelihood.signal_region_hidden():
        found = without_constants(loss, thetas)
    expected = [
        negative_log_likelihood(mass, named(loss, theta), BLIND_HALF_WIDTH) for theta in thetas
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("mass", other.ON_EDGES)
def test_events_on_an_edge_are_in_data_and_model_or_in_neither(
    likelihood: Likelihood, loss: CompiledLoss, mass: float
) -> None:
    """A last bit of difference between the two and the likelihood of the data would be zero."""
    likelihood.move_to(mass)
    fitted = np.asarray(likelihood.loss.data[0].value())[:, 0]
    assert np.isin(likelihood.channels[0].window_at(mass), fitted).any()
    theta = random_theta(loss, 1)
    expected = negative_log_likelihood(mass, named(loss, theta))
    assert without_constants(loss, theta[None])[0] == pytest.approx(expected, rel=1e-12)
    with likelihood.signal_region_hidden():
        expected = negative_log_likelihood(mass, named(loss, theta), BLIND_HALF_WIDTH)
        assert without_constants(loss, theta[None])[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("mass", [0.61, 1.2, 1.45])
def test_gradient_is_that_of_the_independent_likelihood(
    likelihood: Likelihood, loss: CompiledLoss, mass: float
) -> None:
    likelihood.move_to(mass)
    theta = random_theta(loss, 7)
    found = loss.evaluate(theta[None], loss.observed())[1][0]
    shifts = np.diag(1e-6 * np.maximum(1.0, np.abs(theta)))
    above, below = (
        np.array([negative_log_likelihood(mass, named(loss, theta + sign * s)) for s in shifts])
        for sign in (1, -1)
    )
    expected = (above - below) / (2 * np.diag(shifts))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_moving_there_and_back_changes_nothing(likelihood: Likelihood, loss: CompiledLoss) -> None:
    thetas = np.stack([random_theta(loss, seed) for seed in range(2)])
    likelihood.move_to(0.8)
    first, data = loss.evaluate(thetas, loss.observed()), loss.fingerprint()
    likelihood.move_to(1.45)
    assert loss.fingerprint() != data
    assert not np.array_equal(loss.evaluate(thetas, loss.observed())[0], first[0])
    likelihood.move_to(0.8)
    assert loss.fingerprint() == data
    for again, before in zip(loss.evaluate(thetas, loss.observed()), first, strict=True):
        np.testing.assert_array_equal(again, before)


# ------------------------------------------------------------------ yields


@pytest.mark.parametrize("mass", [0.45, 0.61, 0.99, 1.45])
def test_yields_are_the_integrals_over_window_less_vetoes(
    likelihood: Likelihood, loss: CompiledLoss, mass: float
) -> None:
    """Expected events, and signal events per unit of the parameter of interest, by quadrature."""
    likelihood.move_to(mass)
    theta = random_theta(loss, 3)
    tangent = np.array([float(p is likelihood.poi) for p in loss.parameters])
    found = at_data(loss, theta, tangent)
    for name, (density, _, events, signal_events) in zip(LIMITS, found, strict=True):
        channel = Expected(name, mass, named(loss, theta))
        peak = [channel.mu + k * channel.at["sigma"] for k in (-30, -6, -3, 0, 3, 6, 30)]

        def integral(function: Any, peak: list[float] = peak, of: Expected = channel) -> float:
            total = 0.0
            for low, high in of.pieces():
                edges = [low, *(x for x in peak if low < x < high), high]
                for a, b in pairwise(edges):
                    total += quad_vec(lambda x: function(np.array(x)), a, b, epsabs=1e-9)[0]
            return total

        assert events == pytest.approx(integral(channel.density), rel=1e-8)
        per_poi = channel.signal_yield / named(loss, theta)["mu"]
        assert signal_events == pytest.approx(per_poi * integral(channel.signal), rel=1e-8)
        np.testing.assert_allclose(density, channel.density(channel.data()), rtol=1e-11)


def test_signal_yield_counts_the_whole_peak(likelihood: Likelihood, loss: CompiledLoss) -> None:
    """Half of a peak at the edge of a veto is hidden; what is called its yield is not halved."""
    likelihood.move_to(0.60)
    visible = Expected("one", 0.60, THETA).visible_signal()
    assert 0.3 < visible < 0.5
    signal = likelihood.loss.model[0].pdfs[0]
    assert float(signal.visible_fraction()) == pytest.approx(visible, rel=1e-9)
    tangent = np.array([float(p is likelihood.poi) for p in loss.parameters])
    events = at_data(loss, loss.values(), tangent)[0][3]
    assert events / visible == pytest.approx(other.per_poi("one", 0.60), rel=1e-9)


def test_closed_channel_has_no_signal(likelihood: Likelihood, loss: CompiledLoss) -> None:
    likelihood.move_to(1.45)
    theta = random_theta(loss, 4)
    tangent = np.array([float(p is likelihood.poi) for p in loss.parameters])
    (_, open_slope, _, open_events), (_, slope, _, events) = at_data(loss, theta, tangent)
    assert events == 0.0
    assert not slope.any()
    assert open_events > 0
    assert open_slope.max() > 0


# ------------------------------------------------------------------ data and moves


@pytest.mark.parametrize("mass", MASSES)
def test_data_of_the_loss_are_the_candidates_of_the_hypothesis(
    likelihood: Likelihood, loss: CompiledLoss, mass: float
) -> None:
    assert likelihood.move_to(mass) is likelihood
    assert float(likelihood.mass.value()) == mass
    for name, data in zip(LIMITS, likelihood.loss.data, strict=True):
        expected = Expected(name, mass, named(loss, loss.values())).data()
        np.testing.assert_array_equal(np.asarray(data.value())[:, 0], expected)
        assert int(data.num_entries) == expected.size
    if mass == 1.2:
        assert int(likelihood.loss.data[0].num_entries) == 0


def test_hidden_candidates_come_back(likelihood: Likelihood) -> None:
    likelihood.move_to(0.8)
    before = [np.asarray(data.value()) for data in likelihood.loss.data]
    with likelihood.signal_region_hidden():
        hidden = [np.asarray(data.value())[:, 0] for data in likelihood.loss.data]
    for channel, few, all_of_them, now in zip(
        likelihood.channels, hidden, before, likelihood.loss.data, strict=True
    ):
        half = BLIND_HALF_WIDTH * channel.signal.sigma(0.8)
        assert few.size < len(all_of_them)
        assert (np.abs(few - 0.8) >= half * (1 - 1e-12)).all()
        np.testing.assert_array_equal(np.asarray(now.value()), all_of_them)


def test_hidden_candidates_come_back_after_an_error(
    likelihood: Likelihood, loss: CompiledLoss
) -> None:
    likelihood.move_to(0.8)
    before = loss.fingerprint()
    hidden = likelihood.signal_region_hidden()
    hidden.__enter__()
    assert loss.fingerprint() != before
    assert not hidden.__exit__(RuntimeError, RuntimeError("a fit broke"), None)
    assert loss.fingerprint() == before


def test_move_forgets_what_was_fitted_before(likelihood: Likelihood, loss: CompiledLoss) -> None:
    likelihood.move_to(0.8)
    start = loss.values()
    for parameter in loss.parameters:
        parameter.set_value(0.37)
    likelihood.move_to(0.8)
    np.testing.assert_array_equal(loss.values(), start)
    at = named(loss, start)
    assert at["one_background_yield"] == likelihood.channels[0].fitted(0.8).size
    assert at["two_background_yield"] == likelihood.channels[1].fitted(0.8).size
    assert not any(v for name, v in at.items() if not name.endswith("yield"))


def test_start_in_an_empty_window_is_a_yield_of_one(
    likelihood: Likelihood, loss: CompiledLoss
) -> None:
    likelihood.move_to(1.2)
    assert named(loss, loss.values())["one_background_yield"] == 1.0
    assert np.isfinite(loss.evaluate(loss.values()[None], loss.observed())[0]).all()


def test_first_step_of_the_poi_is_one_event(likelihood: Likelihood) -> None:
    likelihood.move_to(0.8)
    assert likelihood.poi.stepsize == pytest.approx(1 / (20 * 1.8 + 30))


def test_largest_windows(likelihood: Likelihood) -> None:
    masses = np.linspace(0.62, 1.9, 15)
    masses = masses[[likelihood.why_not(m) is None for m in masses]]
    sizes = [[Expected(n, m, THETA).data().size for m in masses] for n in LIMITS]
    assert likelihood.largest_windows(masses) == [max(each) for each in sizes]
    assert likelihood.largest_windows([]) == [0, 0]


THETA = {
    "mu": 0.0,
    "one_background_c1": 0.0,
    "one_background_c2": 0.0,
    "one_background_yield": 1.0,
    "two_background_c1": 0.0,
    "two_background_yield": 1.0,
    "theta_n_bb": 0.0,
    "theta_eff_one": 0.0,
    "theta_eff_two": 0.0,
}


# ------------------------------------------------------------------ parameters and constraints


def test_parameters_of_the_loss(likelihood: Likelihood, loss: CompiledLoss) -> None:
    assert {p.name for p in loss.parameters} == set(THETA)
    assert likelihood.poi in loss.parameters
    assert not likelihood.poi.has_limits
    assert likelihood.mass not in loss.parameters
    assert loss.lower[loss.index(likelihood._yields["one"][""][0])] == 0.0


def test_shared_nuisance_is_constrained_once(likelihood: Likelihood, loss: CompiledLoss) -> None:
    """Without signal the theta are in the constraints alone: half their squares."""
    assert len(likelihood.loss.constraints) == 1
    likelihood.move_to(0.8)
    thetas = np.stack([loss.values()] * 4)
    for row, name in enumerate(other.SIZES, start=1):
        parameter = next(p for p in loss.parameters if p.name == f"theta_{name}")
        thetas[row, loss.index(parameter)] = 1.7
    value, _, curvature = loss.evaluate(thetas, loss.observed())
    np.testing.assert_allclose(value[1:] - value[0], 0.5 * 1.7**2, rtol=1e-9)
    place = loss.index(next(p for p in loss.parameters if p.name == "theta_n_bb"))
    assert curvature[0, place, place] == pytest.approx(1.0, rel=1e-12)


def simple(name: str, **arguments: Any) -> ShapeChannel:
    usual: dict[str, Any] = {
        "data": [0.7],
        "limits": (0.3, 2.0),
        "signal": other.shape("one"),
        "signal_per_poi": 5.0,
    }
    return ShapeChannel(name, **(usual | arguments))


def test_no_channel_is_no_likelihood() -> None:
    with pytest.raises(InputError, match="a likelihood needs a channel"):
        Likelihood([])


def test_channels_need_different_names() -> None:
    with pytest.raises(InputError, match="two channels have the same name: Kp, KS, Kp"):
        Likelihood([simple("Kp"), simple("KS"), simple("Kp")])


def test_channels_must_agree_on_a_shared_nuisance() -> None:
    first = simple("Kp", nuisances=(Nuisance("n_bb", 0.1),))
    second = simple("KS", nuisances=(Nuisance("n_bb", 0.1, "gaussian"),))
    with pytest.raises(
        InputError, match="nuisance 'n_bb' is lognormal in one channel and gaussian in another"
    ):
        Likelihood([first, second])


def test_without_nuisances_there_is_no_constraint() -> None:
    likelihood = Likelihood([simple("Kp")], poi="bf")
    assert not likelihood.loss.constraints
    assert likelihood.poi.name == "bf"
    names = {p.name for p in likelihood.loss.get_params(floating=True)}
    assert names == {"bf"} | {f"Kp_background_yield_{i}" for i in range(3)}


# ------------------------------------------------------------------ hypotheses


@pytest.mark.parametrize(
    ("mass", "reason"),
    [
        (0.31, None),
        (0.28, "outside the range 0.3 to 2 GeV of channel one"),
        (2.05, "outside the range 0.3 to 2 GeV of channel one"),
        (np.nan, "outside the range 0.3 to 2 GeV of channel one"),
        (0.55, "vetoed: eta"),
        (0.96, "vetoed: eta'"),
        (0.50, None),
        (0.60, None),
        (1.45, None),
    ],
)
def test_why_not(likelihood: Likelihood, mass: float, reason: str | None) -> None:
    assert likelihood.why_not(mass) == reason
    if reason is not None:
        with pytest.raises(InputError, match=f"no hypothesis at {mass:.6g} GeV: {reason}"):
            likelihood.move_to(mass)


def test_a_refused_move_changes_nothing(likelihood: Likelihood, loss: CompiledLoss) -> None:
    likelihood.move_to(0.8)
    before = loss.fingerprint()
    with pytest.raises(InputError, match="vetoed"):
        likelihood.move_to(0.55)
    assert loss.fingerprint() == before


def test_why_not_outside_a_table_or_with_all_channels_closed() -> None:
    likelihood = Likelihood(
        [
            simple("Kp", limits=(0.1, 3.0), signal_per_poi=lambda m: max(0.0, 1.0 - m)),
            simple("KS", limits=(0.1, 3.0), vetoes=(Veto(0.4, 0.5, "pi0"),), signal_per_poi=0.0),
        ]
    )
    table = "outside the table of the signal shape of channel Kp"
    assert likelihood.why_not(0.15) == table
    assert likelihood.why_not(2.5) == table
    assert likelihood.why_not(0.45) is None  # vetoed where there is no signal anyway
    assert likelihood.why_not(0.9) is None
    assert likelihood.why_not(1.0) == "no channel is open"


# ------------------------------------------------------------------ fits


def fitted(loss: CompiledLoss) -> tuple[dict[str, float], float]:
    start = loss.values()[None]
    found = loss.fit(loss.observed(), start, np.ones(start.shape, bool))
    assert found.converged.all()
    return named(loss, found.theta[0]), float(found.value[0])


@pytest.mark.parametrize("mass", [0.45, 0.8, 1.2, 1.45])
def test_best_fit_as_minuit_finds_it_in_the_independent_likelihood(
    likelihood: Likelihood, loss: CompiledLoss, mass: float
) -> None:
    likelihood.move_to(mass)
    start = named(loss, loss.values())
    found, value = fitted(loss)

    def objective(*values: float) -> float:
        with np.errstate(invalid="ignore", divide="ignore"):
            nll = negative_log_likelihood(mass, dict(zip(start, values, strict=True)))
        return nll if np.isfinite(nll) else 1e9

    minuit = Minuit(objective, *start.values(), name=tuple(start))
    minuit.errordef = Minuit.LIKELIHOOD
    minuit.limits = list(zip(loss.lower, loss.upper, strict=True))
    for name in ("one_background_yield", "two_background_yield"):
        minuit.errors[name] = 10.0
    if mass == 1.2:  # no events: the yield is at its limit, its shape of no consequence
        for name in ("one_background_yield", "one_background_c1", "one_background_c2"):
            minuit.values[name], minuit.fixed[name] = 0.0, True
        assert found["one_background_yield"] == 0.0
    minuit.migrad(ncall=20_000)
    constant = 0.5 * len(other.SIZES) * np.log(2 * np.pi)
    assert value - constant == pytest.approx(minuit.fval, abs=1e-3)
    assert value - constant < minuit.fval + 1e-6
    for name in start:
        if not minuit.fixed[name]:
            assert found[name] == pytest.approx(
                minuit.values[name], abs=0.05 * minuit.errors[name]
            ), name


@pytest.mark.slow
def test_zfits_own_value_is_the_same(likelihood: Likelihood, loss: CompiledLoss) -> None:
    """Up to a constant of the data. zfit would trace each of its terms for about a minute."""
    mass, offsets = 0.61, []
    likelihood.move_to(mass)
    for seed in range(2):
        theta = random_theta(loss, seed)
        zfit.param.set_values(loss.parameters, theta)
        with zfit.run.set_graph_mode(False):
            own = float(likelihood.loss.value(full=True))
        offsets.append(own - negative_log_likelihood(mass, named(loss, theta)))
    assert offsets[1] == pytest.approx(offsets[0], rel=0, abs=1e-8)
