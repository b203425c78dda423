from __future__ import annotations

import gc

import hist
import numpy as np
import pytest
import reference_jobs as jobs
import tensorflow as tf
import zfit
from scipy.special import ndtr
from zfit import supports

import zfit_dark as zd
from zfit_dark.errors import InputError
from zfit_dark.profile import CompiledLoss, compiled

OBS = zfit.Space("profile_x", 0.0, 2.0)
_COUNT = iter(range(10_000))


def parameter(value, lower=None, upper=None):
    return zfit.Parameter(f"profile_p{next(_COUNT)}", value, lower, upper)


def candidates(n=300):
    return np.random.default_rng(3).triangular(0.0, 0.3, 2.0, n)


def extended(pdfs, data=None):
    model = zfit.pdf.SumPDF(pdfs) if len(pdfs) > 1 else pdfs[0]
    data = zfit.Data.from_numpy(obs=OBS, array=candidates()) if data is None else data
    return zfit.loss.ExtendedUnbinnedNLL(model, data)


def floating_peak():
    mu, sigma = parameter(0.6, 0.2, 1.0), parameter(0.2, 0.05, 0.5)
    return extended(
        [
            zd.pdf.DoubleCB(mu, sigma, 1.2, 3.0, 1.5, 4.0, obs=OBS, extended=parameter(80.0)),
            zfit.pdf.Exponential(parameter(-1.0), OBS, extended=parameter(220.0)),
        ]
    )


def smooth_peak():
    return extended(
        [
            zfit.pdf.Gauss(parameter(0.6), parameter(0.2), OBS, extended=parameter(80.0)),
            zfit.pdf.Exponential(parameter(-1.0), OBS, extended=parameter(220.0)),
        ]
    )


def not_extended():
    fraction = parameter(0.3, 0.0, 1.0)
    model = zfit.pdf.SumPDF(
        [zfit.pdf.Gauss(0.5, parameter(0.2), OBS), zfit.pdf.Exponential(parameter(-0.8), OBS)],
        fracs=fraction,
    )
    return zfit.loss.UnbinnedNLL(model, zfit.Data.from_numpy(obs=OBS, array=candidates()))


def constrained():
    theta, n_sig = parameter(0.1, -5, 5), parameter(50.0)
    scaled = zfit.ComposedParameter(
        f"profile_scaled{next(_COUNT)}",
        lambda p: p["n"] * 1.1 ** p["theta"],
        params={"n": n_sig, "theta": theta},
        unpack_params=False,
    )
    model = zfit.pdf.SumPDF(
        [
            zfit.pdf.Gauss(0.6, 0.2, OBS, extended=scaled),
            zfit.pdf.Legendre(OBS, [parameter(-0.2)], extended=parameter(250.0)),
        ]
    )
    return zfit.loss.ExtendedUnbinnedNLL(
        model,
        zfit.Data.from_numpy(obs=OBS, array=candidates()),
        constraints=zfit.constraint.GaussianConstraint(theta, observation=0.0, sigma=1.0),
    )


def two_constraints():
    """A correlated Gaussian one, and on one of its parameters another of another kind."""
    shape, events = parameter(-1.1, -3.0, 0.0), parameter(240.0, 1.0, 1000.0)
    model = zfit.pdf.SumPDF(
        [
            zfit.pdf.Gauss(0.6, 0.2, OBS, extended=parameter(60.0)),
            zfit.pdf.Exponential(shape, OBS, extended=events),
        ]
    )
    return zfit.loss.ExtendedUnbinnedNLL(
        model,
        zfit.Data.from_numpy(obs=OBS, array=candidates()),
        constraints=[
            zfit.constraint.GaussianConstraint(
                [events, shape], observation=[250.0, -1.0], cov=[[400.0, 1.2], [1.2, 0.04]]
            ),
            zfit.constraint.PoissonConstraint(events, observation=230.0),
        ],
    )


def binned(extended_loss):
    space = OBS.with_binning(25)
    data = zfit.data.BinnedData.from_hist(
        hist.Hist(hist.axis.Regular(25, 0.0, 2.0, name="profile_x")).fill(candidates())
    )
    if extended_loss:
        model = zfit.pdf.SumPDF(
            [
                zfit.pdf.Gauss(parameter(0.6), 0.2, OBS, extended=parameter(60.0)),
                zfit.pdf.Exponential(parameter(-0.9), OBS, extended=parameter(240.0)),
            ]
        )
        return zfit.loss.ExtendedBinnedNLL(model.to_binned(space), data)
    model = zfit.pdf.Exponential(parameter(-0.9), OBS).to_binned(space)
    return zfit.loss.BinnedNLL(model, data)


# peaks that move, weights and holes are in test_generated_models.py
LOSSES = {
    "not extended": not_extended,
    "constraint": constrained,
    "two constraints": two_constraints,
    "binned, extended": lambda: binned(True),
    "binned": lambda: binned(False),
}


FAST = ("not extended", "constraint")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=() if name in FAST else pytest.mark.slow, id=name)
        for name in LOSSES
    ],
)
def loss(request):
    return LOSSES[request.param]()


def shifted(compiled_loss, k):
    """Parameters moved off their values by a few per cent, a batch of k."""
    rng = np.random.default_rng(5)
    values = compiled_loss.values()
    return values + rng.normal(0, 0.03, (k, len(values))) * np.maximum(np.abs(values), 0.1)


def test_value_and_gradient_are_those_of_zfit(loss):
    """Up to a constant of the data, so that differences of the value are compared."""
    ours = compiled(loss)
    rows = shifted(ours, 3)
    value, gradient, _ = ours.evaluate(rows, ours.observed())
    theirs, slopes = [], []
    for row in rows:
        with zfit.param.set_values(ours.parameters, row):
            theirs.append(float(loss.value(full=True)))
            slopes.append(np.asarray(loss.gradient(ours.parameters)))
    np.testing.assert_allclose(np.diff(value), np.diff(theirs), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-8, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss", ["two constraints", "binned, extended", "binned"], indirect=True, scope="module"
)
def test_hessian_is_that_of_zfit(loss):
    ours = compiled(loss)
    row = shifted(ours, 1)[0]
    found = ours.hessian(row, ours.observed())
    with zfit.param.set_values(ours.parameters, row):
        theirs = np.asarray(loss.hessian(ours.parameters, hessian="zfit"))
    scale = np.sqrt(np.abs(np.outer(np.diag(theirs), np.diag(theirs))))
    np.testing.assert_allclose(found / scale, theirs / scale, rtol=0, atol=1e-9)


def test_expected_curvature_is_the_hessian_of_the_asimov_set():
    """Where the data are the expectation, the expected curvature is the second derivative.

    The peak has to be smooth: second derivatives of a Crystal Ball jump, which no quadrature likes.
    """
    ours = compiled(smooth_peak())
    theta = ours.values()
    sample, error, _ = ours.asimov(theta, ours.loss.model[0].pdfs[0].get_yield())
    assert error < 1e-6
    _, gradient, curvature = ours.evaluate(theta[None], sample)
    assert (np.abs(gradient[0]) < 1e-4 * np.sqrt(np.diag(curvature[0]))).all()
    step = 1e-4 / np.sqrt(np.diag(curvature[0]))
    numerical = np.stack(
        [
            (
                ours.evaluate((theta + h)[None], sample)[1]
                - ours.evaluate((theta - h)[None], sample)[1]
            )[0]
            / (2 * step[i])
            for i, h in enumerate(np.diag(step))
        ]
    )
    scale = np.sqrt(np.outer(np.diag(curvature[0]), np.diag(curvature[0])))
    np.testing.assert_allclose(curvature[0] / scale, numerical / scale, atol=2e-4)


def test_minimum_is_that_of_zfits_minuit(loss):
    ours = compiled(loss)
    start = ours.values()[None]
    minimum = ours.fit(ours.observed(), start, np.ones(start.shape, bool))
    assert minimum.converged.all()

    def above(begin):
        """How much higher Minuit ends."""
        with zfit.param.set_values(ours.parameters, begin):
            result = zfit.minimize.Minuit(tol=1e-6).minimize(loss)
            theirs = np.array([float(result.params[p]["value"]) for p in ours.parameters])
        return ours.evaluate(theirs[None], ours.observed())[0][0] - minimum.value[0]

    # half the square of the distance in standard deviations; ours is never the higher one, and
    # with numerical gradients Minuit stops up to 0.02 standard deviations above it
    from_start = above(start[0])
    assert from_start > -1e-8
    if from_start > 2e-4:  # a peak that moves has several minima, and Minuit found a worse one
        assert -1e-8 < above(minimum.theta[0]) < 2e-4


def test_parameters_and_floating_flags_are_left_alone(loss):
    everything = loss.get_params(floating=None)
    before = [(p.name, float(p.value()), p.floating) for p in everything]
    ours = compiled(loss)
    ours.evaluate(shifted(ours, 2), ours.observed())
    assert [(p.name, float(p.value()), p.floating) for p in everything] == before


def test_compiled_once_for_data_of_any_number_and_any_mass():
    job = jobs.one_channel()
    ours = compiled(job.loss)
    theta = ours.values()[None]
    data = jobs.pseudo_data()[0]
    ours.reserve([2000])
    for mass, n in ((0.4, 10), (0.5, 1700), (0.6, 0), (0.45, 512)):
        job.mass.set_value(mass)
        sample = ours.sample([data[:n, None]], [np.ones(n)])
        value, *_ = ours.evaluate(theta, sample)
        assert np.isfinite(value).all()
    assert [name for name, *_ in ours._programs] == ["fit"]
    assert compiled(job.loss) is ours


def test_limits_of_parameters_are_those_they_have_now():
    job = jobs.one_channel()
    ours, start = compiled(job.loss), compiled(job.loss).values()[None]
    free, index = np.ones(start.shape, bool), compiled(job.loss).index(job.poi)
    assert ours.fit(ours.observed(), start, free).theta[0, index] < 30
    job.poi.lower = 30.0
    bounded = ours.fit(ours.observed(), start, free)
    assert bounded.converged.all()
    assert bounded.theta[0, index] == 30.0


def test_a_released_parameter_makes_a_new_program():
    job = jobs.one_channel()
    ours = compiled(job.loss)
    job.mass.floating = True
    assert compiled(job.loss) is not ours
    assert job.mass in compiled(job.loss).parameters


@pytest.mark.slow
def test_padding_and_batching_change_nothing():
    ours = compiled(floating_peak())
    rows = shifted(ours, 8)
    sample = ours.observed()
    together = ours.evaluate(rows, sample)
    for i, row in enumerate(rows):
        for whole, alone in zip(together, ours.evaluate(row[None], sample), strict=True):
            np.testing.assert_allclose(whole[i], alone[0], rtol=1e-12)
    larger = CompiledLoss(ours.loss)
    larger.reserve([1500])
    np.testing.assert_allclose(larger.evaluate(rows, larger.observed())[0], together[0], rtol=1e-12)


class ByPython(zfit.pdf.ZPDF):
    """A Gaussian that leaves the graph, as a PDF with a table lookup of its own may."""

    _PARAMS = ("mu", "sigma")

    def _unnormalized_pdf(self, x):
        x = zfit.z.unstack_x(x)
        mu, sigma = (np.asarray(self.params[name].value()) for name in self._PARAMS)
        return tf.constant(np.exp(-0.5 * ((x.numpy() - mu) / sigma) ** 2))


class IntegratedByPython(zfit.pdf.BasePDF):
    """A Gaussian that the graph can follow, divided by an integral that it cannot."""

    def __init__(self, mu, sigma, obs, extended):
        super().__init__(obs=obs, params={"mu": mu, "sigma": sigma}, extended=extended)

    @supports(norm=False)
    def _pdf(self, x, norm, params):
        return tf.exp(-0.5 * ((zfit.z.unstack_x(x) - params["mu"]) / params["sigma"]) ** 2)

    @supports(norm=False)
    def _integrate(self, limits, norm, options):
        mu, sigma = (np.asarray(self.params[name].value()) for name in ("mu", "sigma"))
        lower, upper = (ndtr((np.ravel(edge) - mu) / sigma) for edge in limits.v1.limits)
        return tf.constant(np.sqrt(2 * np.pi) * sigma * (upper - lower))


@pytest.mark.slow
def test_second_derivatives_of_a_shape_that_is_left_to_zfit():
    """TensorFlow sees no slope in such a shape, and took its second derivatives for zero."""

    def hessian(kind):
        mu, sigma = parameter(0.6), parameter(0.2, 0.01, 1.0)
        background = zfit.pdf.Exponential(parameter(-1.0), OBS, extended=parameter(220.0))
        peak = kind(mu=mu, sigma=sigma, obs=OBS, extended=parameter(80.0))
        ours = CompiledLoss(extended([peak, background]))
        theirs = {p: i for i, p in enumerate(ours.parameters)}
        order = [theirs[p] for p in (mu, sigma, peak.get_yield(), background.get_yield())]
        return ours.hessian(ours.values(), ours.observed())[np.ix_(order, order)]

    right = hessian(zfit.pdf.Gauss)
    with pytest.warns(UserWarning, match="cannot be compiled"):
        found = hessian(ByPython)
    scale = np.sqrt(np.outer(np.diag(right), np.diag(right)))
    np.testing.assert_allclose(found / scale, right / scale, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("unruly", [ByPython, IntegratedByPython])
def test_a_pdf_that_cannot_be_compiled_is_left_to_zfit_with_a_warning(unruly):
    def made(kind):
        mass = zfit.Parameter(f"profile_mass{next(_COUNT)}", 0.6, floating=False)
        signal = parameter(80.0, -100.0, 1000.0)
        background = zfit.pdf.Exponential(parameter(-1.0), OBS, extended=parameter(220.0))
        peak = kind(mu=mass, sigma=0.2, obs=OBS, extended=signal)
        return extended([peak, background]), signal

    right = zd.upper_limit(*made(zfit.pdf.Gauss))
    loss, signal = made(unruly)
    with pytest.warns(UserWarning, match=rf"cannot be compiled .* \({unruly.__name__}\): NotImpl"):
        found = zd.upper_limit(loss, signal)
    assert found.valid
    np.testing.assert_allclose(found.expected, right.expected, rtol=1e-6)
    assert found.observed == pytest.approx(right.observed, rel=1e-6)
    assert found.poi_hat == pytest.approx(right.poi_hat, rel=1e-5)


def test_what_cannot_be_compiled_or_understood_is_told():
    x = parameter(1.0)
    simple = zfit.loss.SimpleLoss(lambda params: params[0] ** 2, params=[x], errordef=0.5)
    with pytest.raises(InputError, match="SimpleLoss cannot be used for a limit"):
        CompiledLoss(simple)
    fixed = zfit.Parameter("profile_fixed", 100.0, floating=False)
    nothing = extended([zfit.pdf.Uniform(0.0, 2.0, OBS, extended=fixed)])
    with pytest.raises(InputError, match="no floating parameter"):
        CompiledLoss(nothing)


def test_a_fit_that_newton_leaves_is_taken_up_by_minuit(monkeypatch):
    from zfit_dark import profile

    ours = compiled(constrained())
    start = ours.values()[None]
    free = np.ones(start.shape, bool)
    sample = ours.observed()
    right = ours.fit(sample, start, free)
    calls = []
    by_minuit = ours._minuit
    monkeypatch.setattr(profile, "MAX_ITERATIONS", 2)
    monkeypatch.setattr(ours, "_minuit", lambda *args: calls.append(args) or by_minuit(*args))
    assert not ours._fits(sample, start, free, 2).converged.any()
    again = ours.fit(sample, start, free)
    assert len(calls) == 1
    assert again.converged.all()
    np.testing.assert_allclose(again.value, right.value, atol=1e-6)


@pytest.mark.slow
def test_memory_stays_flat_over_many_masses():
    """200 masses with other numbers of events: no new program, and less than 50 MB more."""
    import resource

    job = jobs.one_channel()
    data = jobs.pseudo_data()[0]
    ours = compiled(job.loss)
    ours.reserve([2000])

    def visit(i):
        job.mass.set_value(0.35 + 0.0015 * i)
        n = 100 + 9 * i
        sample = ours.sample([data[:n, None]], [np.ones(n)])
        found = ours.hypothesis(sample, job.poi, ours.values(), 0.05, True)
        assert np.isfinite(found.limits).all()

    for i in range(10):
        visit(i)
    assert [name for name, *_ in ours._programs] == ["hypothesis"]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for i in range(200):
        visit(i)
    gc.collect()
    assert len(ours._programs) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


@pytest.mark.slow
def test_gradient_at_the_kink_of_a_crystal_ball():
    """An event exactly where the tail begins."""
    mu = parameter(1.0)
    data = zfit.Data.from_numpy(obs=OBS, array=np.array([1.0 - 0.12, 1.0 + 0.15, 1.0]))
    loss = extended(
        [
            zd.pdf.DoubleCB(mu, 0.1, 1.2, 3.0, 1.5, 4.0, obs=OBS, extended=parameter(2.0)),
            zfit.pdf.Uniform(0.0, 2.0, OBS, extended=parameter(1.0)),
        ],
        data,
    )
    ours = compiled(loss)
    value, gradient, curvature = ours.evaluate(ours.values()[None], ours.observed())
    for array in (value, gradient, curvature):
        assert np.isfinite(array).all()
    with tf.GradientTape() as tape:
        total = loss.value(full=True)
    zfits = tape.gradient(total, ours.parameters)
    np.testing.assert_allclose(gradient[0], [float(g) for g in zfits], rtol=1e-9, atol=1e-9)
