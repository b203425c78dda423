from __future__ import annotations

import pickle
from itertools import pairwise
from unittest import mock

import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
import zfit
from hypothesis import given
from scipy.integrate import quad

from zfit_dark.errors import InputError
from zfit_dark.once import once, remembered
from zfit_dark.pdf import DoubleCB, Vetoed
from zfit_dark.pdf._closed_form import integrals
from zfit_dark.pdf.crystal_ball import double_cb_integral
from zfit_dark.pdf.vetoed import _VisibleFraction, in_order, visible_pieces

LOWER, UPPER = 0.3, 0.7
SHAPE = (0.008, 1.2, 3.0, 1.5, 4.0)
MU = 0.45

HOLES = {
    "beside the peak": [(0.48, 0.52)],
    "cutting the peak": [(0.448, 0.46)],
    "covering the peak": [(0.42, 0.48)],
    "overlapping, in any order": [(0.5, 0.6), (0.33, 0.34), (0.47, 0.52), (0.51, 0.55)],
    "past the space": [(0.0, 0.35), (0.6, np.inf)],
    "outside": [(0.1, 0.2), (0.7, 0.8)],
    "touching": [(0.4, 0.44), (0.44, 0.46)],
    "none": [],
}


def left_of(holes, lower=LOWER, upper=UPPER):
    """What the holes leave, by the midpoints between all edges."""
    edges = sorted({lower, upper, *(np.clip(e, lower, upper) for hole in holes for e in hole)})
    return [
        (a, b)
        for a, b in pairwise(edges)
        if not any(low < (a + b) / 2 < high for low, high in holes)
    ]


def cb_integral(lower, upper, mu=MU):
    return double_cb_integral(
        *(tf.constant(v, tf.float64) for v in (lower, upper, mu, *SHAPE))
    ).numpy()


@pytest.fixture(scope="module")
def obs():
    return zfit.Space("mass", LOWER, UPPER)


@pytest.fixture(scope="module")
def mu():
    return zfit.Parameter("mu", MU, 0.3, 0.7)


@pytest.fixture(scope="module")
def peak(obs, mu):
    return DoubleCB(mu, *SHAPE, obs, extended=zfit.Parameter("n_signal", 200.0, -1e4, 1e4))


@pytest.fixture(scope="module")
def background(obs):
    n_background = zfit.Parameter("n_background", 4000.0, 0.0, 1e5)
    return zfit.pdf.Chebyshev(obs, [-0.4, 0.05], extended=n_background)


edge = st.floats(-1.0, 2.0, allow_subnormal=False)  # TensorFlow takes those for 0


@given(st.lists(st.tuples(edge, edge), max_size=6))
def test_visible_pieces(holes):
    lows, highs = np.reshape(holes, (-1, 2)).T
    start, stop = (tf.constant(edge, tf.float64) for edge in (0.0, 1.0))
    edges = in_order(tf.constant(lows), tf.constant(highs))
    pieces = np.transpose(visible_pieces(start, stop, *edges))
    assert pieces.shape == (len(holes) + 1, 2)
    assert np.all(np.diff(pieces.ravel()) >= 0.0)
    assert pieces[0, 0] == 0.0
    assert pieces[-1, 1] == 1.0
    expected = left_of(holes, 0.0, 1.0)
    assert np.sum(pieces[:, 1] - pieces[:, 0]) == pytest.approx(sum(b - a for a, b in expected))
    for a, b in expected:
        middle = (a + b) / 2
        assert np.any((pieces[:, 0] <= middle) & (middle <= pieces[:, 1]))


@pytest.mark.parametrize("holes", HOLES.values(), ids=HOLES)
def test_against_the_inner_pdf(obs, peak, holes):
    pdf = Vetoed(peak, holes)
    x = np.linspace(LOWER, UPPER, 81) + 1e-4  # on no edge
    visible = np.array([not any(low < value < high for low, high in holes) for value in x])
    whole = sum(cb_integral(a, b) for a, b in left_of(holes))
    expected = np.where(visible, peak.pdf(x, norm=False).numpy(), 0.0) / whole
    np.testing.assert_allclose(pdf.pdf(x), expected, rtol=1e-12)
    for limits in ((LOWER, UPPER), (0.35, 0.5), (0.44, 0.455)):
        part = sum(cb_integral(a, b) for a, b in left_of(holes, *limits))
        assert pdf.integrate(limits).numpy()[0] == pytest.approx(part / whole, rel=1e-12)
    assert pdf.has_analytic_integral
    assert pdf.visible_fraction().numpy() == pytest.approx(
        whole / cb_integral(LOWER, UPPER), rel=1e-12
    )


def test_against_truncated(obs, peak):
    limits = [obs.with_limits(piece) for piece in ((0.3, 0.44), (0.46, 0.5), (0.55, 0.7))]
    truncated = zfit.pdf.TruncatedPDF(peak, limits, obs=obs)
    pdf = Vetoed(peak, [(0.44, 0.46), (0.5, 0.55)])
    x = np.linspace(0.3005, 0.6995, 67)
    np.testing.assert_allclose(pdf.pdf(x), truncated.pdf(x), rtol=1e-12)


def test_edge_is_outside(peak):
    """A hole is open: where data are cut with < and >, an event on the edge stays."""
    density = Vetoed(peak, [(0.45, 0.5)]).pdf([0.45, np.nextafter(0.45, 1), 0.5]).numpy()
    assert density[0] > 0.0
    assert density[1] == 0.0
    assert density[2] > 0.0


@pytest.mark.parametrize(
    ("place", "counts"),
    [("cutting the peak", "visible"), ("cutting the peak", "all"), ("covering the peak", "all")],
)
def test_binned_total_is_the_yield(obs, peak, place, counts):
    """The holes take no yield along, whatever the bins are: the Asimov set of a limit is right."""
    pdf = Vetoed(peak, HOLES[place], counts=counts)
    counted = pdf.to_binned(obs.with_binning(13)).counts().numpy()
    assert counted.sum() == pytest.approx(float(pdf.get_yield().value()), rel=1e-9)
    expected = [
        sum(cb_integral(*piece) for piece in left_of(HOLES[place], *limits))
        for limits in pairwise(np.linspace(LOWER, UPPER, 14))
    ]
    whole = sum(expected) if counts == "visible" else cb_integral(LOWER, UPPER)
    np.testing.assert_allclose(counted, 200.0 * np.array(expected) / whole, rtol=1e-9, atol=1e-12)


def test_binned_sum(obs, peak, background):
    model = zfit.pdf.SumPDF([Vetoed(pdf, [(0.448, 0.46)]) for pdf in (peak, background)])
    counted = model.to_binned(obs.with_binning(10)).counts().numpy()
    assert counted.sum() == pytest.approx(4200.0, rel=1e-9)


def test_sum_cut_as_a_whole(peak, background):
    """Its yield, counted before the cut, is that of its parts."""
    holes = [(0.448, 0.46)]
    whole = Vetoed(zfit.pdf.SumPDF([peak, background]), holes, counts="all")
    fractions = [float(Vetoed(pdf, holes).visible_fraction()) for pdf in (peak, background)]
    expected = 200.0 * fractions[0] + 4000.0 * fractions[1]
    assert float(whole.get_yield().value()) == pytest.approx(expected, rel=1e-12)


def test_what_the_yield_counts(obs, peak, mu):
    holes = [(0.448, 0.46)]
    assert Vetoed(peak, holes).get_yield() is peak.get_yield()
    assert Vetoed(peak, holes).counts == "visible"
    pdf = Vetoed(peak, holes, counts="all")
    for value in (0.45, 0.452, 0.6):
        with zfit.param.set_values([mu], [value]):
            whole = cb_integral(LOWER, UPPER, value)
            seen = sum(cb_integral(a, b, value) for a, b in left_of(holes))
            assert float(pdf.get_yield().value()) == pytest.approx(200.0 * seen / whole, rel=1e-12)
            assert float(pdf.visible_fraction()) == pytest.approx(seen / whole, rel=1e-12)
    assert {p.name for p in pdf.get_params(is_yield=True)} == {"mu", "n_signal"}


def test_what_is_found_in_one_graph_is_not_known_in_another():
    """Such as in the body of a loop, whose tensors nobody else may use."""
    here, there = (tf.Graph() for _ in range(2))
    with once(tf.compat.v1.get_default_graph):
        for graph in (here, there, here):
            with graph.as_default():
                found = remembered("one", lambda: tf.constant(1.0))
                assert found.graph is graph
                assert found is remembered("one", lambda: tf.constant(2.0))


def test_an_integral_is_found_once(peak, background, mu):
    """Where parameters stay: by PDFs with the same holes, by a yield and by a density."""
    hole = zfit.Parameter("once_hole", 0.448)
    pdfs = [Vetoed(pdf, [(hole, 0.46)], counts="all") for pdf in (peak, background)]

    def numbers():
        return [
            np.ravel(value).item()
            for pdf in pdfs
            for value in (pdf.visible_fraction(), pdf.normalization(pdf.norm), pdf.pdf([0.5])[0])
        ]

    right = numbers()
    with (
        mock.patch("zfit_dark.pdf.vetoed.integrals", side_effect=integrals) as integrated,
        mock.patch("zfit_dark.pdf.vetoed.visible_pieces", side_effect=visible_pieces) as cut,
        once(),
    ):
        assert numbers() == pytest.approx(right, rel=1e-14)
    assert (integrated.call_count, cut.call_count) == (2, 1)
    with zfit.param.set_values([hole, mu], [0.44, 0.46]):
        moved = numbers()
        assert moved[0] == pytest.approx(
            sum(cb_integral(a, b, 0.46) for a, b in left_of([(0.44, 0.46)]))
            / cb_integral(LOWER, UPPER, 0.46)
        )
        with once():  # nothing is left of the last time
            assert numbers() == pytest.approx(moved, rel=1e-14)


def test_all_counts_the_range_of_the_inner_pdf(obs, peak):
    """Cut at both ends by a narrower space: that is lost like what lies in a hole."""
    narrow = zfit.Space("mass", 0.43, 0.46)
    pdf = Vetoed(peak, [(0.448, 0.45)], counts="all", obs=narrow)
    seen = cb_integral(0.43, 0.448) + cb_integral(0.45, 0.46)
    expected = 200.0 * seen / cb_integral(LOWER, UPPER)
    assert float(pdf.get_yield().value()) == pytest.approx(expected, rel=1e-12)


def test_extended(obs, peak, mu):
    plain, n_events = DoubleCB(mu, *SHAPE, obs), zfit.Parameter("n_events", 50.0)
    holes = [(0.448, 0.46)]
    assert not Vetoed(plain, holes).is_extended
    assert not Vetoed(peak, holes, extended=False).is_extended
    assert Vetoed(peak, holes, extended=n_events).get_yield() is n_events
    assert Vetoed(plain, holes).create_extended(n_events).get_yield() is n_events
    given = Vetoed(plain, holes, counts="all", extended=n_events)
    for pdf in (Vetoed(plain, holes, counts="all").create_extended(n_events), given.copy()):
        assert float(pdf.get_yield().value()) == pytest.approx(
            50.0 * float(given.visible_fraction())
        )
        assert pdf.intervals == ((0.448, 0.46),)


@pytest.fixture(scope="module")
def moving(obs, peak):
    """A window that follows a parameter, as two holes, and a fixed hole."""
    centre, half = zfit.Parameter("centre", 0.45), zfit.Parameter("half", 0.05)
    low = zfit.ComposedParameter("low", lambda c, h: c - h, params=[centre, half])
    high = zfit.ComposedParameter("high", lambda c, h: c + h, params=[centre, half])
    holes = [(LOWER, low), (0.48, 0.52), (high, UPPER)]
    return Vetoed(peak, holes), Vetoed(peak, holes, counts="all"), centre, half


@pytest.mark.parametrize(
    ("centre", "half"), [(0.45, 0.05), (0.45, 0.01), (0.5, 0.1), (0.65, 0.1), (0.5, 0.3)]
)
def test_edges_move_with_their_parameters(moving, centre, half):
    pdf, all_counted, *parameters = moving
    holes = [(LOWER, centre - half), (0.48, 0.52), (centre + half, UPPER)]
    pieces = left_of(holes)
    x = np.linspace(0.301, 0.699, 53)
    with zfit.param.set_values(parameters, [centre, half]):
        density, seen = pdf.pdf(x).numpy(), float(all_counted.get_yield().value())
        below = pdf.integrate((LOWER, 0.46)).numpy()[0]
    visible = np.any([(a <= x) & (x <= b) for a, b in pieces], axis=0)
    whole = sum(cb_integral(a, b) for a, b in pieces)
    expected = np.where(visible, pdf.pdfs[0].pdf(x, norm=False).numpy(), 0.0) / whole
    np.testing.assert_allclose(density, expected, rtol=1e-11)
    assert seen == pytest.approx(200.0 * whole / cb_integral(LOWER, UPPER), rel=1e-11)
    part = sum(cb_integral(a, b) for a, b in left_of(holes, LOWER, 0.46))
    assert below == pytest.approx(part / whole, rel=1e-11, abs=1e-15)


def test_one_graph_serves_every_value(moving):
    pdf, _, centre, half = moving
    traces = []

    @tf.function(autograph=False)
    def density():
        traces.append(None)
        return pdf.pdf(tf.constant([0.44, 0.455], tf.float64))

    for value in (0.45, 0.46, 0.6):
        with zfit.param.set_values([centre, half], [value, 0.06]):
            np.testing.assert_allclose(density(), pdf.pdf([0.44, 0.455]))
    assert len(traces) == 1


def test_nothing_left_of_a_moving_window(moving):
    """There is no density then, and none is made up."""
    pdf, _, centre, half = moving
    with zfit.param.set_values([centre, half], [0.5, 0.005]):
        assert float(pdf.visible_fraction()) == 0.0
        assert not np.any(np.isfinite(pdf.pdf([0.5, 0.6])))


def test_compiled(moving):
    """Value and derivatives under XLA, also in an edge, are those of the graph."""
    pdf, _, centre, _ = moving
    x = tf.constant(np.linspace(0.41, 0.479, 5))
    parameters = [pdf.pdfs[0].params["mu"], centre]

    @tf.function(autograph=False)
    def everything():
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                value = -tf.reduce_sum(tf.math.log(pdf.pdf(x)))
            gradient = inner.gradient(value, parameters)
            slope = gradient[1]
        return value, tf.stack(gradient), tf.stack(outer.gradient(slope, parameters))

    traced = everything.get_concrete_function()
    _, gradient, curvature = graph = [array.numpy() for array in traced()]
    compiled = tf.function(traced, jit_compile=True, autograph=False)()
    for ours, expected in zip(compiled, graph, strict=True):
        assert np.all(np.isfinite(ours))
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())
    for i, parameter in enumerate(parameters):
        at, step, ends = float(parameter.value()), 1e-6, []
        for shifted in (at - step, at + step):
            with zfit.param.set_values([parameter], [shifted]):
                value, slopes, _ = traced()
                ends.append([value.numpy(), slopes.numpy()[1]])
        differences = np.diff(ends, axis=0)[0] / (2 * step)
        np.testing.assert_allclose([gradient[i], curvature[i]], differences, rtol=1e-6)


def test_batched_over_the_edges(moving):
    """With values in place of the variables, one compiled program takes many hypotheses at once."""
    pdf, _, centre, half = moving
    x = tf.constant(np.linspace(0.44, 0.47, 5))
    stored = zfit.Parameter.value

    def nll(theta):
        values = {"centre": theta[0], "half": theta[1]}
        with mock.patch.object(
            zfit.Parameter, "value", lambda self: values.get(self.name, stored(self))
        ):
            return -tf.reduce_sum(tf.math.log(pdf.pdf(x)))

    batch = tf.function(
        lambda thetas: tf.vectorized_map(nll, thetas, fallback_to_while_loop=False),
        autograph=False,
        jit_compile=True,
    )
    thetas = np.array([[0.45, 0.05], [0.46, 0.03], [0.5, 0.09]])
    for theta, value in zip(thetas, batch(tf.constant(thetas)), strict=True):
        with zfit.param.set_values([centre, half], theta):
            assert float(value) == pytest.approx(-np.log(pdf.pdf(x).numpy()).sum(), rel=1e-12)


def test_numeric_inner_integral(obs):
    class Custom(zfit.pdf.ZPDF):
        _PARAMS = ("slope",)

        @zfit.supports(norm=False)
        def _pdf(self, x, norm, params):
            x = zfit.z.unstack_x(x)
            return tf.exp(-params["slope"] * x) * (1.0 + x**2)

    low = zfit.Parameter("low", 0.41)
    holes = [(low, 0.44), (0.43, 0.5)]
    pdf = Vetoed(Custom(obs=obs, slope=2.0), holes, extended=zfit.Parameter("n", 10.0))
    assert not pdf.has_analytic_integral
    for value in (0.41, 0.35):
        low.set_value(value)
        expected = sum(
            quad(lambda x: np.exp(-2.0 * x) * (1.0 + x**2), a, b, epsabs=0, epsrel=1e-12)[0]
            for a, b in left_of([(value, 0.5)])
        )
        assert pdf.integrate(obs, norm=False).numpy()[0] == pytest.approx(expected, rel=1e-9)
    counted = pdf.to_binned(obs.with_binning(4)).counts().numpy()
    assert counted.sum() == pytest.approx(10.0, rel=1e-9)


@pytest.mark.parametrize("place", ["cutting the peak", "past the space"])
def test_sample(obs, peak, place):
    pdf = Vetoed(peak, HOLES[place])
    sample = pdf.sample(2000).value().numpy().ravel()
    assert sample.size == 2000
    for low, high in HOLES[place]:
        assert not np.any((low < sample) & (sample < high))
    for limits in ((LOWER, 0.445), (0.445, 0.47)):
        expected = pdf.integrate(limits).numpy()[0]
        # chance of failure 6e-5
        assert np.mean((limits[0] < sample) & (sample < limits[1])) == pytest.approx(
            expected, abs=4 * np.sqrt(expected * (1 - expected) / 2000)
        )


def test_sample_of_what_little_is_left(obs, background):
    """Five in 100 000 of the range: accept and reject alone would take forever."""
    pdf = Vetoed(background, [(LOWER, 0.5), (0.50002, UPPER)])
    sample = pdf.sample(500).value().numpy().ravel()
    assert sample.min() >= 0.5
    assert sample.max() <= 0.50002
    assert np.mean(sample) == pytest.approx(0.50001, abs=5 * 2e-5 / np.sqrt(12 * 500))


def test_extended_sample(background):
    """zfit samples a functor of an extended PDF by sampling that: with events in the hole, here."""
    pdf = Vetoed(background, [(0.44, 0.5)], counts="all")
    sample = pdf.sample().value().numpy().ravel()
    assert not np.any((sample > 0.44) & (sample < 0.5))
    expected = float(pdf.get_yield().value())
    assert abs(sample.size - expected) < 5 * np.sqrt(expected)


def test_fit(obs):
    rng = np.random.default_rng(3)
    data = rng.normal(0.45, 0.008, 2000)
    data = data[(data <= 0.446) | (data >= 0.455)]
    mu, n_signal = zfit.Parameter("mu", 0.451, 0.4, 0.5), zfit.Parameter("n_s", 1000.0, 0, 5000)
    signal = DoubleCB(mu, 0.008, 4.0, 20.0, 4.0, 20.0, obs, extended=n_signal)
    model = Vetoed(signal, [(0.446, 0.455)], counts="all")
    loss = zfit.loss.ExtendedUnbinnedNLL(model, zfit.Data.from_numpy(obs=obs, array=data))
    assert zfit.minimize.Minuit(gradient="zfit").minimize(loss).valid
    # seeded; about 4 standard deviations
    assert float(mu.value()) == pytest.approx(0.45, abs=4 * 0.008 / np.sqrt(2000))
    assert float(n_signal.value()) == pytest.approx(2000.0, abs=4 * 60)
    # the maximum is there exactly; Minuit stops within a small part of a standard deviation
    total = float(model.get_yield().value())
    assert total == pytest.approx(data.size, abs=0.1 * data.size**0.5)


def test_refuses(obs, peak):
    for holes in ([(0.2, 0.8)], [(0.2, 0.5), (0.45, 0.7)], [(0.5, 0.8), (0.2, 0.5)]):
        with pytest.raises(InputError, match=r"cover the whole range 0\.3 to 0\.7"):
            Vetoed(peak, holes)
    with pytest.raises(InputError, match="the lower edge comes first"):
        Vetoed(peak, [(0.5, 0.4)])
    for wrong in ((0.4, 0.5), [(0.4, 0.5, 0.6)], [("a", 0.5)], [(None, 0.5)]):
        with pytest.raises(InputError, match="give a pair"):
            Vetoed(peak, wrong)
    with pytest.raises(InputError, match="NaN"):
        Vetoed(peak, [(zfit.Parameter("low", 0.4), np.nan)])
    with pytest.raises(InputError, match="give 'visible' or 'all'"):
        Vetoed(peak, [(0.4, 0.5)], counts="some")
    plane = zfit.pdf.ProductPDF([peak, zfit.pdf.Gauss(0.0, 1.0, obs=zfit.Space("y", -1, 1))])
    with pytest.raises(InputError, match="has 2"):
        Vetoed(plane, [(0.4, 0.5)])


@pytest.mark.filterwarnings("ignore::zfit.util.warnings.ExperimentalFeatureWarning")
@pytest.mark.parametrize("counts", ["visible", "all"])
def test_hs3_round_trip(obs, peak, counts):
    low = zfit.Parameter("low", 0.5)
    high = zfit.ComposedParameter("high", lambda low: low + 0.02, params=[low])
    pdf = Vetoed(peak, [(0.44, 0.455), (low, high), (0.6, low)], counts=counts)
    (loaded,) = zfit.hs3.loads(zfit.hs3.dumps(pdf))["distributions"].values()
    assert type(loaded) is Vetoed
    assert loaded.counts == counts
    assert loaded.intervals[0] == (0.44, 0.455)
    assert loaded.intervals[2][0] == 0.6
    x = np.linspace(LOWER, UPPER, 21)
    np.testing.assert_array_equal(loaded.pdf(x), pdf.pdf(x))
    assert float(loaded.get_yield().value()) == float(pdf.get_yield().value())
    # what was loaded moves by itself
    (moved,) = (p for p in loaded.get_params(floating=None, is_yield=False) if p.name == "low")
    with zfit.param.set_values([moved, low], [0.52, 0.52]):
        np.testing.assert_array_equal(loaded.pdf(x), pdf.pdf(x))
        assert float(loaded.get_yield().value()) == float(pdf.get_yield().value())


def test_a_pickled_yield_does_not_come_back(peak):
    """HS3 pickles the functions in a sum: a yield with parameters of its own would not follow."""
    pdf = Vetoed(peak, [(0.44, 0.5)], counts="all")
    fraction = pickle.loads(pickle.dumps(_VisibleFraction(pdf)))
    with pytest.raises(InputError, match="cannot be loaded as part of a sum"):
        fraction({})
