from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import zfit
from scipy.integrate import quad

from zfit_dark.errors import InputError
from zfit_dark.kinematics import daughter_mass, invariant_mass, modified_mass
from zfit_dark.pdf import DoubleCB, ModifiedMass, Threshold

THRESHOLD = 2.0 * daughter_mass("mu")
UPPER = 1.0


def nodes_on(lower, upper, joints=(), count=120):
    """Gauss-Legendre nodes and weights between the joints."""
    x, w = np.polynomial.legendre.leggauss(count)
    edges = np.array([lower, *(j for j in sorted(joints) if lower < j < upper), upper])
    half, middle = np.diff(edges) / 2, (edges[:-1] + edges[1:]) / 2
    return (middle[:, None] + half[:, None] * x).ravel(), (half[:, None] * w).ravel()


@pytest.fixture(scope="module")
def obs():
    return zfit.Space("mass", THRESHOLD, UPPER)


@pytest.fixture(scope="module")
def inner(obs):
    """Three shapes, each with its joints in M."""
    mu, sigma = zfit.Parameter("mu", 0.24, 0.2, 1.0), 0.008
    return {
        "Gauss": (
            zfit.pdf.Gauss(mu, sigma, obs=obs, extended=zfit.Parameter("n_g", 300.0)),
            [0.24],
        ),
        "DoubleCB": (
            DoubleCB(mu, sigma, 1.2, 3.0, 1.5, 40.0, obs, extended=zfit.Parameter("n_s", 70.0)),
            [0.24 - 1.2 * sigma, 0.24, 0.24 + 1.5 * sigma],
        ),
        "Chebyshev": (
            zfit.pdf.Chebyshev(obs, [-0.3, 0.1], extended=zfit.Parameter("n_c", 5000.0)),
            [],
        ),
    }


@pytest.fixture(scope="module", params=["Gauss", "DoubleCB", "Chebyshev"])
def pair(request, inner):
    pdf, joints = inner[request.param]
    return pdf, ModifiedMass(pdf, "mu"), joints


def test_space_is_the_image(pair):
    _, outer, _ = pair
    lower, upper = (float(edge[0]) for edge in outer.space.v1.limits)
    assert outer.space.obs == ("mass",)
    assert (lower, upper) == (0.0, modified_mass(UPPER, "mu"))
    assert outer.daughter == "mu"
    assert outer.has_analytic_integral


def test_density_by_change_of_variable(pair):
    """f′(M′) = f(M) dM/dM′, with dM/dM′ by a difference quotient."""
    inner, outer, _ = pair
    m_prime = np.array([0.02, 0.1, 0.13, 0.2, 0.6, 0.97])
    step = 1e-6
    slope = (invariant_mass(m_prime + step, "mu") - invariant_mass(m_prime - step, "mu")) / (
        2 * step
    )
    expected = inner.pdf(invariant_mass(m_prime, "mu")).numpy() * slope
    np.testing.assert_allclose(outer.pdf(m_prime), expected, rtol=1e-8)


def test_vanishes_at_threshold(pair):
    _, outer, _ = pair
    density = outer.pdf([0.0, 1e-8, 1e-4]).numpy()
    assert density[0] == 0.0
    # like M′, for no density in M is singular there
    assert density[2] / density[1] == pytest.approx(1e4, rel=1e-4)


def test_integrals_against_quadrature(pair):
    _, outer, joints = pair
    joints = [modified_mass(joint, "mu") for joint in joints]
    end = modified_mass(UPPER, "mu")
    for lower, upper in ((0.0, end), (0.0, 0.05), (0.1, 0.15), (0.5, end)):
        x, w = nodes_on(lower, upper, joints)
        expected = np.sum(w * outer.pdf(x, norm=False).numpy())
        integral = outer.integrate((lower, upper), norm=False).numpy()[0]
        assert integral == pytest.approx(expected, rel=1e-9)
    assert outer.integrate(outer.space).numpy()[0] == pytest.approx(1.0, rel=1e-14)


def test_integral_is_that_in_the_mass(pair):
    inner, outer, _ = pair
    masses = np.array([THRESHOLD + 1e-4, 0.23, 0.26, 0.9])
    primes = modified_mass(masses, "mu")
    for i in range(3):
        expected = inner.integrate((masses[i], masses[i + 1])).numpy()[0]
        assert outer.integrate((primes[i], primes[i + 1])).numpy()[0] == pytest.approx(
            expected, rel=1e-10
        )


def test_yield_is_carried_over_and_binned(pair):
    inner, outer, _ = pair
    assert outer.is_extended
    assert outer.get_yield() is inner.get_yield()
    counts = outer.to_binned(outer.space.with_binning(37)).counts().numpy()
    assert counts.sum() == pytest.approx(float(inner.get_yield().value()), rel=1e-12)


def test_extended(obs, inner):
    pdf, _ = inner["DoubleCB"]
    plain = DoubleCB(0.24, 0.008, 1.2, 3.0, 1.5, 40.0, obs)
    n_events = zfit.Parameter("n_events", 11.0)
    assert not ModifiedMass(pdf, "mu", extended=False).is_extended
    assert not ModifiedMass(plain, "mu").is_extended
    assert ModifiedMass(plain, "mu", extended=n_events).get_yield() is n_events
    copy = ModifiedMass(plain, "mu", name="signal").create_extended(n_events)
    assert copy.get_yield() is n_events
    x = [0.1, 0.2]
    np.testing.assert_allclose(copy.pdf(x), ModifiedMass(plain, "mu").pdf(x))


def test_daughter_by_mass(inner):
    pdf, _ = inner["Gauss"]
    by_name, by_mass = ModifiedMass(pdf, "mu"), ModifiedMass(pdf, THRESHOLD / 2)
    np.testing.assert_array_equal(by_name.pdf([0.1, 0.3]), by_mass.pdf([0.1, 0.3]))
    assert by_mass.daughter == THRESHOLD / 2


def test_numeric_inner_integral(obs):
    class Bump(zfit.pdf.ZPDF):
        _PARAMS = ("slope",)

        @zfit.supports(norm=False)
        def _pdf(self, x, norm, params):
            x = zfit.z.unstack_x(x)
            return x**2 * tf.exp(-params["slope"] * x)

    outer = ModifiedMass(Bump(obs=obs, slope=2.0), "mu")
    assert not outer.has_analytic_integral

    def density(m_prime):
        m = np.hypot(m_prime, THRESHOLD)
        return m**2 * np.exp(-2.0 * m) * m_prime / m

    expected, _ = quad(density, 0.2, 0.7, epsabs=0, epsrel=1e-12)
    assert outer.integrate((0.2, 0.7), norm=False).numpy()[0] == pytest.approx(expected, rel=1e-8)


def test_sum_inside_and_outside(obs, inner):
    """The sum seen in M′ is the sum of what its parts are there."""
    parts = [inner["DoubleCB"][0], inner["Chebyshev"][0]]
    inside = ModifiedMass(zfit.pdf.SumPDF(parts), "mu")
    outside = zfit.pdf.SumPDF([ModifiedMass(part, "mu") for part in parts])
    x = np.linspace(0.01, 0.97, 13)
    np.testing.assert_allclose(inside.ext_pdf(x), outside.ext_pdf(x), rtol=1e-10)
    for limits in ((0.0, 0.12), (0.1, 0.9)):
        np.testing.assert_allclose(
            inside.ext_integrate(limits), outside.ext_integrate(limits), rtol=1e-10
        )


def test_extended_sample_lies_in_the_modified_mass(inner):
    """zfit samples a functor of an extended PDF by sampling that: in M, here."""
    outer = ModifiedMass(inner["Gauss"][0], "mu")
    sample = np.sort(outer.sample().value().numpy().ravel())
    assert abs(sample.size - 300) < 5 * np.sqrt(300)
    inside = outer.integrate((0.0, 0.11)).numpy()[0]
    # chance of failure 6e-5; sampled in M, none would lie there
    assert np.mean(sample < 0.11) == pytest.approx(
        inside, abs=4 * np.sqrt(inside * (1 - inside) / sample.size)
    )


def test_fit(obs):
    rng = np.random.default_rng(5)
    masses = np.concatenate([rng.normal(0.3, 0.008, 300), THRESHOLD + rng.gamma(1.5, 0.2, 1500)])
    data = modified_mass(masses[masses < UPPER], "mu")
    mu, n_signal = zfit.Parameter("mu", 0.295, 0.28, 0.32), zfit.Parameter("n_s", 100.0, 0, 2000)
    n_background = zfit.Parameter("n_b", 1000.0, 0, 5000)
    falloff = zfit.Parameter("falloff", 3.0, 0, 20)
    model = zfit.pdf.SumPDF(
        [
            ModifiedMass(DoubleCB(mu, 0.008, 3.0, 2.0, 3.0, 2.0, obs, extended=n_signal), "mu"),
            ModifiedMass(Threshold(THRESHOLD, 0.5, falloff, obs, extended=n_background), "mu"),
        ]
    )
    space = model.space
    loss = zfit.loss.ExtendedUnbinnedNLL(model, zfit.Data.from_numpy(obs=space, array=data))
    assert zfit.minimize.Minuit(gradient="zfit").minimize(loss).valid
    # seeded; 4 standard deviations
    assert float(mu.value()) == pytest.approx(0.3, abs=4 * 0.008 / np.sqrt(300))
    assert float(n_signal.value()) == pytest.approx(300.0, abs=4 * 25)
    assert float(falloff.value()) == pytest.approx(5.0, abs=4 * 0.3)


def test_compiled_gradient(inner):
    outer = ModifiedMass(inner["DoubleCB"][0], "mu")
    mu = next(iter(outer.get_params(is_yield=False)))
    x = tf.constant(np.array([1e-6, 0.05, 0.11, 0.3]))

    @tf.function(autograph=False)
    def value_and_slope():
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(tf.math.log(outer.pdf(x)))
        return tf.stack([value, tape.gradient(value, mu)])

    traced = value_and_slope.get_concrete_function()
    compiled = tf.function(traced, jit_compile=True, autograph=False)().numpy()
    np.testing.assert_allclose(compiled, traced(), rtol=1e-10)
    values = []
    for shifted in (float(mu.value()) - 1e-6, float(mu.value()) + 1e-6):
        with zfit.param.set_values([mu], [shifted]):
            values.append(float(traced()[0]))
    assert compiled[1] == pytest.approx(np.diff(values)[0] / 2e-6, rel=1e-6)


def test_refuses(obs, inner):
    pdf, _ = inner["Gauss"]
    with pytest.raises(InputError, match="unknown daughter 'tau'"):
        ModifiedMass(pdf, "tau")
    with pytest.raises(InputError, match="below the threshold 2m"):
        ModifiedMass(zfit.pdf.Gauss(0.1, 0.01, obs=zfit.Space("mass", 0.05, 0.2)), "mu")
    with pytest.raises(InputError, match="reaches below M′ = 0"):
        ModifiedMass(pdf, "mu", zfit.Space("mass", -0.1, 0.9), extended=False)
    with pytest.raises(InputError, match="has no yield"):
        ModifiedMass(zfit.pdf.Gauss(0.3, 0.01, obs=obs), "mu", extended=True)
    plane = zfit.pdf.ProductPDF([pdf, zfit.pdf.Gauss(0.0, 1.0, obs=zfit.Space("y", -1, 1))])
    with pytest.raises(InputError, match="has 2"):
        ModifiedMass(plane, "mu")


def test_refuses_a_yield_that_would_count_other_events(inner):
    wide = zfit.Space("mass", 0.2, 1.0)  # begins below threshold
    pdf = zfit.pdf.Gauss(0.3, 0.01, obs=wide, extended=zfit.Parameter("n", 10.0))
    for obs in (None, zfit.Space("mass", 0.0, 0.5)):
        with pytest.raises(InputError, match="give that yield as extended"):
            ModifiedMass(pdf, "mu", obs)
    n_inside = zfit.Parameter("n_inside", 9.0)
    assert ModifiedMass(pdf, "mu", extended=n_inside).get_yield() is n_inside
    assert ModifiedMass(pdf, "mu", extended=False).space.obs == ("mass",)


@pytest.mark.filterwarnings("ignore::zfit.util.warnings.ExperimentalFeatureWarning")
@pytest.mark.parametrize("window", [None, (0.0, 0.9)])
def test_hs3_round_trip(obs, window):
    """Also with a parameter of the name of the daughter."""
    mu, n_events = zfit.Parameter("mu", 0.3), zfit.Parameter("n", 50.0)
    inner = DoubleCB(mu, 0.008, 1.2, 3.0, 1.5, 4.0, obs)
    space = None if window is None else zfit.Space("mass", *window)
    pdf = ModifiedMass(inner, "mu", space, extended=n_events)
    total = zfit.pdf.SumPDF(
        [ModifiedMass(inner, "mu", space), zfit.pdf.Gauss(0.2, 0.1, obs=pdf.space)], fracs=[0.3]
    )
    x = np.linspace(0.05, 0.85, 9)
    for original in (pdf, total):
        (loaded,) = zfit.hs3.loads(zfit.hs3.dumps(original))["distributions"].values()
        assert type(loaded) is type(original)
        np.testing.assert_array_equal(loaded.pdf(x), original.pdf(x))
    (loaded,) = zfit.hs3.loads(zfit.hs3.dumps(pdf))["distributions"].values()
    assert loaded.daughter == daughter_mass("mu")
    assert float(loaded.get_yield().value()) == 50.0
    np.testing.assert_array_equal(loaded.space.v1.limits, pdf.space.v1.limits)
