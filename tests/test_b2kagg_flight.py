"""An a that flies before it decays: its peak, its limits against lifetime, and what g_aW they tell.

The peak is checked with integrals by scipy and with decays generated here; limits on the coupling
with the equation that they solve.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numba_stats.crystalball_ex as reference
import numpy as np
import numpy.typing as npt
import pytest
import zfit
from scipy.integrate import quad

from zfit_dark.errors import InputError
from zfit_dark.newton import FloatArray
from zfit_dark.profile import compiled
from zfit_dark.results import LifetimeScan, Limit, Scan
from zfit_dark.searches import b2kagg
from zfit_dark.searches.b2kagg import samples
from zfit_dark.searches.b2kagg.flight import FlownPeak, flown
from zfit_dark.searches.b2kagg.signal import FLIGHT, RESOLUTION
from zfit_dark.theory import alp, coupling_limit
from zfit_dark.theory.decay_length import laboratory_momentum

CALORIMETER = 130.0  # cm
OBS = zfit.Space("m_flown", -0.4, 5.0)


@pytest.fixture(scope="module")
def peak() -> tuple[Any, Any, Any]:
    """The PDF with its two parameters, mass and cτ."""
    mass = zfit.Parameter("mass_flown", 1.0, 0.1, 4.5, floating=False)
    ctau = zfit.Parameter("ctau_flown", 1.0, floating=False)
    return flown("Kplus", ctau).pdf(mass, OBS, name="flown"), mass, ctau


def prompt_pdf(x: float, at: float, mass: float) -> float:
    """The peak at some place, with the resolution at the mass."""
    p = RESOLUTION.parameters(mass)
    left, right = (p["alphal"], p["nl"], p["sigma"]), (p["alphar"], p["nr"], p["sigma"])
    return float(reference.pdf(np.array([x]), *left, *right, at)[0])


# -- the peak -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mass", "ctau"),
    [(0.2, 0.01), (0.2, 1.0), (0.3, 30.0), (1.0, 0.3), (1.0, 3.0), (1.0, 1e5), (3.0, 1.0)],
)
def test_peak_is_the_folded_one(peak: tuple[Any, Any, Any], mass: float, ctau: float) -> None:
    pdf, at, lifetime = peak
    at.set_value(mass)
    lifetime.set_value(ctau)
    mean, width = laboratory_momentum("Kplus", mass, inputs=FLIGHT)
    least, most = (
        float(mean + k * math.sqrt(3) * width) * ctau / CALORIMETER for k in (-1, 1)
    )  # of a flat distribution with this mean and width
    means = least + (most - least) * (np.arange(400) + 0.5) / 400

    def loss(delta: float) -> float:
        return float(np.mean(np.exp(-delta / means) / means))

    sigma = RESOLUTION.sigma(mass)
    seen = float(np.mean(-np.expm1(-mass / means)))  # decays before the calorimeter
    x = mass + sigma * np.array([-18.0, -12.0, -6.0, -3.0, -1.0, 0.0, 1.0, 3.0])
    expected = []
    for value in x:
        distance = mass - value
        corners = [distance + k * sigma for k in (-6, -2, 0, 2, 6)] + [least, most, 6 * most]
        edges = [0.0, *sorted(edge for edge in corners if 0 < edge < mass), mass]
        expected.append(
            sum(
                quad(lambda d, v=value: prompt_pdf(v, mass - d, mass) * loss(d), a, b, epsrel=1e-6)[
                    0
                ]
                for a, b in pairwise(edges)
            )
            / seen
        )
    found = pdf.pdf(x).numpy()
    np.testing.assert_allclose(found, expected, atol=4e-3 * max(expected), rtol=0)
    assert float(pdf.integrate(OBS.v1.limits).numpy()[0]) == pytest.approx(1.0, abs=1e-3)


def test_integral_is_that_of_the_density(peak: tuple[Any, Any, Any]) -> None:
    pdf, at, lifetime = peak
    at.set_value(1.0)
    lifetime.set_value(2.0)
    for low, high in ((0.85, 1.0), (0.95, 1.2), (0.99, 1.0), (1.05, 1.3)):
        nodes, weights = np.polynomial.legendre.leggauss(200)
        x = 0.5 * (low + high + (high - low) * nodes)
        by_hand = 0.5 * (high - low) * float(pdf.pdf(x).numpy() @ weights)
        assert float(pdf.integrate((low, high))[0]) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize(("mode", "mass", "ctau"), [("Kplus", 0.25, 3.0), ("Kst0", 1.5, 1.0)])
def test_generated_decays_make_this_peak(mode: str, mass: float, ctau: float) -> None:
    # 8 comparisons at 4.5 standard deviations: fails once in 2e4 seeds
    n, rng = 300_000, np.random.default_rng(7)
    true = samples._flown(rng, n, mode, mass, ctau)
    per_prompt = b2kagg.signal_events(mode, mass, ctau) / b2kagg.signal_events(mode, mass)
    lost = 1 - per_prompt
    assert abs(1 - len(true) / n - lost) < 4.5 * math.sqrt((lost + 1e-5) / n)
    seen = samples._peak(rng, mass, true)["mass"]
    shape = flown(mode, zfit.Parameter(f"ctau_{mode}", ctau, floating=False))
    pdf = shape.pdf(zfit.Parameter(f"mass_{mode}", mass, floating=False), OBS, name=mode)
    sigma = RESOLUTION.sigma(mass)
    for low, high in ((-18, -5), (-5, -2), (-2, 2)):
        inside = float(pdf.integrate((mass + low * sigma, mass + high * sigma))[0])
        part = np.mean((seen > mass + low * sigma) & (seen < mass + high * sigma))
        assert abs(part - inside) < 4.5 * math.sqrt(inside / len(seen)) + 1e-3


def test_short_and_long_lifetimes() -> None:
    at_once = b2kagg.signal_events("Kplus", 0.3)
    assert b2kagg.signal_events("Kplus", 0.3, 1e-9) == pytest.approx(at_once, rel=1e-12)
    far = [b2kagg.signal_events("Kplus", 0.3, ctau) for ctau in (1e4, 1e5)]
    assert far[0] / far[1] == pytest.approx(10, rel=1e-2)  # as 1/cτ
    with pytest.raises(InputError, match="cτ is -1 cm"):
        b2kagg.signal_events("Kplus", 0.3, -1.0)


def test_signals_of_pseudo_data_fly() -> None:
    plain, near, far = (
        b2kagg.generate(6, inject=[(0.4, 5000.0)][:k], ctau=ctau, modes=["Kplus"])["Kplus"]
        for k, ctau in ((0, 0.0), (1, 0.0), (1, 20.0))
    )
    prompt, displaced = (np.setdiff1d(made, plain) for made in (near, far))
    seen = b2kagg.signal_events("Kplus", 0.4, 20.0) / b2kagg.signal_events("Kplus", 0.4)
    # the range of the candidates, from 0.08 GeV on, takes a part of the tail
    assert 0.7 * seen < len(displaced) / len(prompt) < seen
    assert np.median(displaced) < 0.36 < np.median(prompt)
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(InputError, match=r"ctau = .* cm: give a positive length, or 0"):
            b2kagg.generate(1, ctau=wrong)
        with pytest.raises(InputError, match="ctau = "):
            b2kagg.likelihood({mode: [1.0] for mode in b2kagg.MODES}, ctau=wrong)


# -- what limits mean -----------------------------------------------------------------------

LIFETIMES = np.array([0.01, 0.1, 1.0, 10.0, 100.0, 1000.0])
BAND = np.array([0.5, 0.7, 1.0, 1.5, 2.2])


def limits_at(
    mass: float, per_prompt: npt.ArrayLike, prompt: float = 1e-7, **changes: Any
) -> LifetimeScan:
    """Limits that grow as the efficiency falls; the best fit is the observed limit over 4."""
    scans = []
    for limit in prompt / np.asarray(per_prompt, float):
        one = Limit(
            1.2 * limit,
            tuple(limit * BAND),
            0.3 * limit,
            0.05 * limit,
            0.01,
            0.9,
            "asymptotic",
            "qtilde",
            True,
        )
        one = replace(one, **changes)
        scans.append(
            Scan.from_limits([mass], [one], poi="bf_kplus", poi_label="B", pseudo_data=True)
        )
    return LifetimeScan(lifetimes=LIFETIMES, scans={"combined": tuple(scans)})


FALLING = 1 / (1 + LIFETIMES)


def test_coupling_solves_the_equation() -> None:
    mass = 0.3
    found = b2kagg.interpret(limits_at(mass, FALLING))
    factors = np.array([1.2, *BAND, 0.3])
    couplings = np.array([found.observed[0], *found.expected[0], found.poi_hat[0]])
    ctau = alp.lifetime_ctau_cm(mass, couplings)
    limits = np.exp(np.interp(np.log(ctau), np.log(LIFETIMES), np.log(1e-7 / FALLING)))
    np.testing.assert_allclose(
        alp.branching_fraction("Kplus", mass, couplings), factors * limits, rtol=1e-6
    )
    assert (found.poi, found.poi_label, found.poi_unit) == ("g_aW", r"$g_{aW}$", "GeV$^{-1}$")
    assert found.pseudo_data
    assert found.valid.all()
    assert not found.warnings[0]
    # B ∝ 1/(efficiency) ∝ cτ there, and cτ ∝ 1/g²: g goes as the fourth root of events
    assert found.poi_error[0] / found.poi_hat[0] == pytest.approx(0.05 / 0.3 / 4, rel=0.2)
    settings = found.provenance["settings"]
    assert settings["ctau"] == LIFETIMES.tolist()
    assert settings["theory"]["top_mass"] == alp.DEFAULT_INPUTS.top_mass


def test_prompt_where_the_efficiency_does_not_fall() -> None:
    found = b2kagg.interpret(limits_at(2.0, np.ones(6)))
    assert found.observed[0] == pytest.approx(
        alp.coupling_from_branching_fraction("Kplus", 2.0, 1.2e-7), rel=1e-9
    )


def test_what_has_no_limit_is_skipped_or_told() -> None:
    gone = limits_at(0.3, np.ones(6), prompt=1e-10)  # limits would be at longer lifetimes
    with pytest.raises(InputError, match=r"no mass hypothesis was scanned .*longer lifetimes"):
        b2kagg.interpret(gone)
    again = limits_at(0.3, [1e-6, 1e-6, 1.0, 1.0, 1.0, 1.0])  # nothing is seen at short lifetimes
    found = b2kagg.interpret(again)
    assert "is allowed again" in found.warnings[0][0]
    unseen = dict.fromkeys(("observed", "poi_hat", "poi_error", "p0"), math.nan)
    blind = limits_at(0.3, FALLING, **unseen, blind=True)
    hidden = b2kagg.interpret(blind)
    assert hidden.blind
    assert np.isnan([hidden.observed[0], hidden.poi_hat[0]]).all()
    np.testing.assert_array_equal(
        hidden.expected, b2kagg.interpret(limits_at(0.3, FALLING)).expected
    )
    unsure = b2kagg.interpret(limits_at(0.3, FALLING, poi_hat=-1e-8))
    assert np.isnan(unsure.poi_hat[0])
    failed = b2kagg.interpret(limits_at(0.3, FALLING, valid=False))
    assert not failed.valid[0]
    assert np.isnan(failed.observed[0])


def test_theory_moves_the_limit_only_if_asked() -> None:
    limits = limits_at(0.3, FALLING)
    heavier = replace(alp.DEFAULT_INPUTS, top_mass=180.0)
    low, high = b2kagg.theory_band(limits, [heavier])
    usual = b2kagg.interpret(limits).observed
    assert high == pytest.approx(usual)
    assert low == pytest.approx(b2kagg.interpret(limits, inputs=heavier).observed)
    assert low[0] < high[0]
    prompt = limits.scans["combined"][0]
    assert b2kagg.theory_band(prompt, [heavier])[1] == pytest.approx(
        b2kagg.interpret(prompt).observed
    )


def test_limits_of_something_else_are_refused() -> None:
    limits = limits_at(0.3, FALLING)
    with pytest.raises(InputError, match="limits of Kplus_mumu; give those of b2kagg"):
        b2kagg.interpret(replace(limits, scans={"Kplus_mumu": limits.scans["combined"]}))
    one = limits.scans["combined"][3]
    one = replace(one, provenance={**one.provenance, "settings": {"ctau": 10.0}})
    with pytest.raises(InputError, match="one lifetime alone tells no coupling"):
        b2kagg.interpret(one)


# -- fits: these compile --------------------------------------------------------------------


@pytest.mark.slow
def test_limits_are_those_at_the_lifetime_that_they_imply() -> None:
    """The lifetimes between which limits are interpolated are close enough."""
    sample, masses = b2kagg.read(seed=1), [0.25, 0.45, 1.2, 4.3]
    alone = {"modes": ["Kplus"], "progress": False}
    limits = b2kagg.scan_lifetimes(sample, masses=masses, **alone)
    found = b2kagg.interpret(limits)
    prompt = b2kagg.scan(sample, masses=masses, **alone)
    np.testing.assert_allclose(limits.at("combined", 0.01).expected, prompt.expected, rtol=0.01)
    ratio = found.observed / b2kagg.interpret(prompt).observed
    assert ratio[0] > 2
    assert ratio[1] > 1.5
    assert abs(ratio[3] - 1) < 0.01
    for mass, g in zip(masses, found.observed, strict=True):
        ctau = float(alp.lifetime_ctau_cm(mass, g))
        if ctau < LIFETIMES[0]:
            continue
        direct = b2kagg.scan(sample, masses=[mass], ctau=ctau, **alone)
        predicted = alp.branching_fraction("Kplus", mass, g)
        assert direct.observed[0] == pytest.approx(predicted, rel=0.03)
    assert b2kagg.fits(sample, direct, count=1)[0].poi_hat == pytest.approx(
        direct.poi_hat[0], rel=1e-3
    )


@pytest.mark.slow
@pytest.mark.parametrize("g_aw", [2.5e-5, 8e-5])
def test_the_coupling_comes_back_without_bias(g_aw: float) -> None:
    """200 toys of decays that fly, at a long and a short lifetime; |mean pull| < 3 errors: 0.3 %.

    The fits are those of the two modes with most events, at several lifetimes; the coupling is that
    at which the fitted branching fraction is the one that it implies.
    """
    mass, toys, modes = 0.4, 200, ["Kplus", "Kst0"]
    ctau = float(alp.lifetime_ctau_cm(mass, g_aw))
    branching = float(alp.branching_fraction("Kplus", mass, g_aw))
    lifetimes = ctau * np.array([0.3, 0.55, 1.0, 1.8, 3.3])
    rng = np.random.default_rng(17)
    made = {mode: [samples._smooth(rng, mode)["mass"] for _ in range(toys)] for mode in modes}
    shared = 1.014 ** rng.normal(size=toys) * 1.03 ** rng.normal(size=toys)  # N_BB, efficiencies
    own = {"Kplus": 1.03, "Kst0": 1.04}
    for mode, drawn in made.items():
        seen = shared * own[mode] ** rng.normal(size=toys)
        expected = branching * b2kagg.signal_events(
            mode, mass
        )  # prompt; what flies too far is lost
        for toy in range(toys):
            true = samples._flown(rng, rng.poisson(expected * seen[toy]), mode, mass, ctau)
            signal = samples._peak(rng, mass, true)["mass"]
            drawn[toy] = np.concatenate([drawn[toy], signal])
    hats, errors = _fitted(made, mass, lifetimes)
    truth, pulls = g_aw**2, []
    for hat, error in zip(hats, errors, strict=True):
        squares = [
            coupling_limit(mass, values, ctau_cm=lifetimes).limit ** 2
            for values in (hat - error, hat, hat + error)
        ]
        pulls.append((squares[1] - truth) / (0.5 * (squares[2] - squares[0])))
    assert abs(np.mean(pulls)) < 3 / math.sqrt(toys)
    assert 0.8 < np.std(pulls) < 1.2  # its error is 0.05


def _fitted(
    made: dict[str, list[FloatArray]], mass: float, lifetimes: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Branching fractions and their errors, shape (toys, lifetimes)."""
    toys = len(made["Kplus"])
    hats, errors = np.empty((2, toys, len(lifetimes)))
    data = b2kagg.read({mode: made[mode][0] if mode in made else [] for mode in b2kagg.MODES})
    for k, ctau in enumerate(lifetimes):
        model = b2kagg.likelihood(data, modes=list(made), window=10, ctau=float(ctau))
        model.move_to(mass)
        ours = compiled(model.loss)
        inside = {}
        for channel in model.channels:
            low, high = channel.window_at(mass)
            vetoes = [(veto.low, veto.high) for veto in channel.vetoes]
            inside[channel.name] = [
                x[
                    (x >= low)
                    & (x <= high)
                    & ~np.any([(x > a) & (x < b) for a, b in vetoes], axis=0)
                ]
                for x in made[channel.name]
            ]
        ours.reserve([max(map(len, of_mode)) for of_mode in inside.values()])
        start = ours.values()[None]
        poi = ours.index(model.poi)
        start[0, poi] = 2e-7
        for toy in range(toys):
            values = [inside[channel.name][toy] for channel in model.channels]
            data_of_toy = ours.sample(
                [v[:, None] for v in values], [np.ones(len(v)) for v in values]
            )
            fit = ours.fit(data_of_toy, start, np.ones(start.shape, bool))
            assert fit.converged[0]
            bend = ours.evaluate(fit.theta, data_of_toy)[2][0]
            hats[toy, k] = fit.theta[0, poi]
            scale = np.sqrt(np.diag(bend))  # yields and branching fractions are far apart
            errors[toy, k] = math.sqrt(np.linalg.inv(bend / np.outer(scale, scale))[poi, poi])
            errors[toy, k] /= scale[poi]
    return hats, errors


def test_the_peak_is_an_ordinary_pdf() -> None:
    obs = zfit.Space("m_plain", 0.5, 1.5)
    pdf = FlownPeak(1.0, 0.01, 1.1, 7.0, 2.0, 10.0, 0.01, 0.03, obs)
    assert float(pdf.integrate(obs)[0]) == pytest.approx(1.0, abs=1e-6)
    assert pdf.sample(50).value().shape == (50, 1)
