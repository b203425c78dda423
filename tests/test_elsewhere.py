"""The look-elsewhere effect by pseudo-experiments of a whole scan."""

from __future__ import annotations

import numpy as np
import pytest
import reference_jobs as jobs
import zfit
from scipy.integrate import quad
from scipy.stats import norm

import zfit_dark as zd
from zfit_dark import elsewhere
from zfit_dark.channel import ShapeChannel, bernstein, chebyshev
from zfit_dark.errors import InputError
from zfit_dark.likelihood import Likelihood
from zfit_dark.profile import compiled
from zfit_dark.signal_shape import SignalShape
from zfit_dark.toys import Table, fitted, recipe

SIGMA, WINDOW = 0.01, 7.0
APART = np.linspace(0.15, 1.85, 10)
"""Masses whose windows do not touch."""


@pytest.fixture(scope="module")
def model():
    """A falling background, 4000 candidates in 0 to 2 GeV, in windows that move."""
    data = 2.0 * np.random.default_rng(3).beta(1.0, 1.3, 4000)
    columns = {"sigma": [SIGMA] * 2, "alpha": [1.5] * 2, "n": [3.0] * 2}
    shape = SignalShape([0.0, 2.0], columns, source="a test", status="assumed")
    channel = ShapeChannel("one", data, (0.0, 2.0), shape, 10.0, chebyshev(1), window=WINDOW)
    return Likelihood([channel], poi="mu_elsewhere")


def places_of(model, masses):
    ours = compiled(model.loss)
    ours.reserve(model.largest_windows(masses))
    found = []
    for mass in masses:
        model.move_to(mass)
        peaks = [channel.position(mass) for channel in model.channels]
        windows = [channel.window_at(mass) for channel in model.channels]
        found.append(elsewhere.place(ours, mass, peaks, windows, model.poi))
    return ours, found


@pytest.fixture(scope="module")
def scan(model):
    toys = zd.Toys(seed=5)
    return zd.scan(model, APART, global_toys=1024, toys=toys, progress=False, pseudo_data=True)


def test_independent_windows_are_those_of_sidak(scan):
    """Ten windows that share no candidate: p = 1 - (1 - p_local)^10.

    1024 toys; a right fraction is off by 5 standard deviations with a chance of 6e-7 at each of
    the three heights. Normal significances are good to a tenth of that at 200 events a window.
    """
    assert np.isfinite(scan.toy_excesses).all()
    for height in (1.0, 1.5, 2.2):
        right = 1 - norm.cdf(height) ** APART.size
        error = np.sqrt(right * (1 - right) / scan.toy_excesses.size)
        assert abs(np.mean(scan.toy_excesses > height) - right) < 5 * error


def test_the_data_are_looked_at_like_the_toys(scan):
    found = scan.global_significance()
    assert scan.largest_excess == pytest.approx(scan.significance.max(), abs=1e-4)
    assert found.local == pytest.approx(scan.largest_excess, abs=1e-4)
    assert found.toys == 1024
    right = 1 - (1 - found.local_p0) ** APART.size
    assert abs(found.toys_p0 - right) < 5 * found.toys_p0_error
    assert "of 1024 toys)" in scan.summary()


def test_windows_that_overlap_see_the_same_candidates(model):
    """A fifth of a resolution apart, two hypotheses find the same; a window apart, nothing alike.

    Of 64 toys the correlation of independent numbers exceeds 0.55 with a chance of 3e-6.
    """
    ours, places = places_of(model, [0.8, 0.802, 1.1])
    everywhere = elsewhere._everywhere(ours, places)
    draws = [elsewhere._sorted(everywhere.draw(2, toy)) for toy in range(64)]
    near, same, far = (
        elsewhere._excesses(ours, place, everywhere, draws, model.poi) for place in places
    )
    assert np.corrcoef(near, same)[0, 1] > 0.95
    assert abs(np.corrcoef(near, far)[0, 1]) < 0.55
    both = elsewhere.largest_excesses(ours, places, model.poi, 64, 2)
    np.testing.assert_array_equal(both, np.max([near, same, far], axis=0))


def test_toys_depend_on_the_seed_alone(model):
    ours, places = places_of(model, [0.5, 1.0])
    few = elsewhere.largest_excesses(ours, places, model.poi, 70, 9, threads=1)
    more = elsewhere.largest_excesses(ours, places, model.poi, 140, 9, threads=4)
    np.testing.assert_array_equal(more[:70], few)
    assert not np.array_equal(elsewhere.largest_excesses(ours, places, model.poi, 70, 8), few)


@pytest.mark.slow
def test_one_hypothesis_is_an_ordinary_discovery_test():
    """A whole range that does not move: the toys are those of the fit without signal."""
    job = jobs.one_channel()
    job.mass.set_value(0.5)
    ours = compiled(job.loss)
    at = elsewhere.place(ours, 0.5, [0.5], [(-np.inf, np.inf)], job.poi)
    found = elsewhere.largest_excesses(ours, [at], job.poi, 40, 1)
    made = recipe(ours, at.recipe.theta, job.poi, ours.observed())
    theta = at.recipe.theta[None]
    fits = fitted(ours, made, job.poi, [0.0], theta, range(40), 1, not_below=0.0)
    # candidates in ascending order: sums come out different in the last bits, q by 1e-10 or so
    q0 = np.maximum(2 * (fits.values[:, 0] - fits.lowest), 0.0)
    np.testing.assert_allclose(found**2, q0, atol=1e-8)
    assert at.excess == pytest.approx(zd.significance(job.loss, job.poi), abs=1e-6)


def test_a_density_is_that_of_the_closest_window():
    """Two windows of falling densities, zero outside as a window of a likelihood is."""

    def table(low, high, height):
        edge = np.nextafter([low, high], [-np.inf, np.inf])
        x = np.array([0.0, edge[0], low, high, edge[1], 10.0])
        return Table.of(x, height * np.array([0.0, 0.0, 1.0, 0.5, 0.0, 0.0]))

    def stitched(masses, windows, tables):
        return elsewhere._stitched(np.array(masses), np.array(windows), tables)

    # windows 1 ... 5 around 3, and 2.5 ... 9 around 4.5; they meet halfway, at 3.75
    windows = [(1.0, 5.0), (2.5, 9.0)]
    two = stitched([3.0, 4.5], windows, [table(1.0, 5.0, 8.0), table(2.5, 9.0, 13.0)])
    left, _ = quad(lambda x: 8.0 * (1 - 0.5 * (x - 1) / 4), 1.0, 3.75)
    right, _ = quad(lambda x: 13.0 * (1 - 0.5 * (x - 2.5) / 6.5), 3.75, 9.0)
    assert two.integral[-1] == pytest.approx(left + right, rel=1e-12)
    assert (two.x[0], two.x[-1]) == (1.0, 9.0)
    # the closest of those whose window is there: 2 is closer to 1.9, but not in its window
    windows = [(1.8, 2.0), (2.1, 9.0)]
    ends = stitched([1.9, 4.5], windows, [table(1.8, 2.0, 1.0), table(2.1, 9.0, 2.0)])
    at = np.interp([1.9, 2.05, 2.2, 5.0], ends.x, ends.density)
    np.testing.assert_allclose(at, [0.75, 0.0, 2 * (1 - 0.05 / 6.9), 2 * (1 - 1.45 / 6.9)])


@pytest.mark.slow
def test_a_window_without_background_counts_too():
    """No candidates around 1.0 GeV: nothing is drawn there, and others are looked at as ever."""
    rng = np.random.default_rng(4)
    data = np.append(rng.uniform(0.4, 0.6, 300), rng.uniform(1.4, 1.6, 300))
    columns = {"sigma": [SIGMA] * 2, "alpha": [1.5] * 2, "n": [3.0] * 2}
    shape = SignalShape([0.0, 2.0], columns, source="a test", status="assumed")
    channel = ShapeChannel("one", data, (0.4, 1.6), shape, 10.0, bernstein(1), window=WINDOW)
    model = Likelihood([channel], poi="mu_empty")
    found = zd.scan(model, [0.5, 1.0, 1.5], global_toys=64, progress=False)
    assert np.isfinite(found.toy_excesses).all()
    ours, (empty, other) = places_of(model, [1.0, 1.5])
    assert empty.recipe.events == (0.0,)
    assert (elsewhere.largest_excesses(ours, [empty], model.poi, 5, 1) == 0).all()
    assert elsewhere.largest_excesses(ours, [empty, other], model.poi, 20, 1).max() > 0


def test_bins_whose_background_moves_are_refused():
    obs = zfit.Space("m_elsewhere", 0, 10, binning=10)
    mass = zfit.Parameter("m_elsewhere_mass", 5.0, floating=False)
    n_sig = zfit.Parameter("m_elsewhere_signal", 0.0)
    n_bkg = zfit.Parameter("m_elsewhere_background", 100.0, 0.0)
    width = zfit.Parameter("m_elsewhere_width", 1.0, floating=False)
    unbinned = zfit.Space("m_elsewhere", 0, 10)
    slope = zfit.ComposedParameter("m_elsewhere_slope", lambda m: -0.1 * m, params=[mass])
    signal = zfit.pdf.Gauss(mass, width, obs=unbinned, extended=n_sig)
    background = zfit.pdf.Exponential(slope, obs=unbinned, extended=n_bkg)
    whole = zfit.pdf.SumPDF([signal, background]).to_binned(obs)
    counts = zfit.data.BinnedData.from_tensor(obs, np.full(10, 8.0))
    loss = zfit.loss.ExtendedBinnedNLL(whole, counts)
    with pytest.raises(InputError, match=r"the background of the bins of .* depends on the mass"):
        zd.scan(loss, [4.0, 6.0], n_sig, mass, global_toys=10, progress=False)
    one = zd.scan(loss, [4.0], n_sig, mass, global_toys=10, progress=False)
    assert one.toy_excesses.shape == (10,)


def test_what_toys_of_a_scan_refuse(model):
    with pytest.raises(InputError, match="a blind scan has no excess"):
        zd.scan(model, [0.5], blind=True, global_toys=10, progress=False)
    for wrong in (-1, 2.5):
        with pytest.raises(InputError, match=f"global_toys={wrong}: give a whole number"):
            zd.scan(model, [0.5], global_toys=wrong, progress=False)
    with pytest.raises(InputError, match="converged at no mass"):
        elsewhere.largest_excesses(compiled(model.loss), [], model.poi, 10, 1)
