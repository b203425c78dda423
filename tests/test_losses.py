"""Losses of zfit that a limit is refused for, each with a line that says what to do."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
import zfit

import zfit_dark as zd
from zfit_dark.errors import InputError
from zfit_dark.losses import check

OBS = zfit.Space("losses_x", 0.0, 10.0)
_COUNT = count()


def parameter(value, *limits):
    return zfit.Parameter(f"losses_{next(_COUNT)}", value, *limits)


def data():
    return zfit.Data.from_numpy(obs=OBS, array=np.linspace(0.1, 9.9, 40))


def channel(efficiency):
    """A peak of five times the efficiency, and its loss with the constraint of the efficiency."""
    n_sig = zfit.ComposedParameter(
        f"losses_{next(_COUNT)}",
        lambda p: 5.0 * p["eff"],
        params={"eff": efficiency},
        unpack_params=False,
    )
    peak = zfit.pdf.Gauss(5.0, 0.1, OBS, extended=n_sig)
    flat = zfit.pdf.Uniform(0.0, 10.0, OBS, extended=parameter(40.0, 0.0))
    return zfit.pdf.SumPDF([peak, flat])


def known(efficiency, observation=1.0, sigma=0.2):
    return zfit.constraint.GaussianConstraint(efficiency, observation=observation, sigma=sigma)


def test_yields_need_an_extended_loss():
    """A limit of 217 events came out of 20, valid, from a likelihood that is flat along it."""
    n_sig, n_bkg = zfit.Parameter("losses_sig", 10.0), zfit.Parameter("losses_bkg", 30.0)
    model = zfit.pdf.SumPDF(
        [
            zfit.pdf.Gauss(5.0, 0.1, OBS, extended=n_sig),
            zfit.pdf.Uniform(0.0, 10.0, OBS, extended=n_bkg),
        ]
    )
    with pytest.raises(InputError) as refused:
        zd.upper_limit(zfit.loss.UnbinnedNLL(model, data()), poi=n_sig)
    assert str(refused.value) == (
        "UnbinnedNLL knows only the ratios of the yields losses_bkg, losses_sig: "
        "give an ExtendedUnbinnedNLL"
    )
    check(zfit.loss.ExtendedUnbinnedNLL(model, data()))


def test_an_extended_loss_needs_yields():
    model = zfit.pdf.SumPDF(
        [zfit.pdf.Gauss(5.0, 0.1, OBS), zfit.pdf.Uniform(0.0, 10.0, OBS)],
        fracs=parameter(0.1, 0.0, 1.0),
    )
    with pytest.raises(InputError, match="its model SumPDF has no yield: make its parts with ext"):
        check(zfit.loss.ExtendedUnbinnedNLL(model, data()))


@pytest.mark.parametrize("kind", ["UnbinnedNLL", "ExtendedUnbinnedNLL"])
def test_binned_data_are_for_binned_losses(kind):
    model = zfit.pdf.Uniform(0.0, 10.0, OBS, extended=parameter(40.0))
    binned = data().to_binned(10)
    with pytest.raises(InputError) as refused:
        check(getattr(zfit.loss, kind)(model, binned))
    instead = kind.replace("Unbinned", "Binned")
    assert str(refused.value) == (
        f"{kind} takes no binned data: give unbinned ones, or an {instead} of model.to_binned(...)"
    )


@pytest.mark.parametrize("what", [np.linspace(0.1, 9.9, 40), "loss", None])
def test_what_is_no_loss(what):
    with pytest.raises(InputError, match=f"a {type(what).__name__} cannot be used for a limit"):
        zd.upper_limit(what, poi=parameter(1.0))


def test_a_fraction_needs_none():
    """The yield of the sum is not in the loss: nothing is flat."""
    model = zfit.pdf.SumPDF(
        [zfit.pdf.Gauss(5.0, 0.1, OBS), zfit.pdf.Uniform(0.0, 10.0, OBS)],
        fracs=parameter(0.1, 0.0, 1.0),
        extended=parameter(40.0),
    )
    check(zfit.loss.UnbinnedNLL(model, data()))


def test_a_constraint_that_two_losses_share():
    efficiency = parameter(1.0)
    once = known(efficiency)
    losses = [
        zfit.loss.ExtendedUnbinnedNLL(channel(efficiency), data(), constraints=once)
        for _ in range(2)
    ]
    with pytest.raises(InputError, match=f"the same constraint of {efficiency.name} twice"):
        check(losses[0] + losses[1])


def test_a_constraint_written_twice():
    efficiency = parameter(1.0)
    one, other = (
        zfit.loss.ExtendedUnbinnedNLL(channel(efficiency), data(), constraints=known(efficiency))
        for _ in range(2)
    )
    with pytest.raises(InputError, match="build one loss"):
        zd.upper_limit(one + other, poi=efficiency)


@pytest.mark.parametrize("second", [{"observation": 1.1}, {"sigma": 0.3}])
def test_two_measurements_of_one_parameter_are_two(second):
    efficiency = parameter(1.0)
    constraints = [known(efficiency), known(efficiency, **second)]
    check(zfit.loss.ExtendedUnbinnedNLL(channel(efficiency), data(), constraints=constraints))


def test_constraints_of_other_kinds_and_parameters():
    one, two = parameter(1.0), parameter(1.0)
    poisson = zfit.constraint.PoissonConstraint(one, observation=1.0)
    model = zfit.pdf.SumPDF([channel(one), channel(two)])
    check(zfit.loss.ExtendedUnbinnedNLL(model, data(), constraints=[known(one), known(two)]))
    with pytest.raises(InputError, match="twice"):
        check(zfit.loss.ExtendedUnbinnedNLL(model, data(), constraints=[poisson, poisson]))


def test_fit_ranges_are_for_spaces():
    model = channel(parameter(1.0))
    with pytest.warns(Warning, match="fit_range"):
        loss = zfit.loss.ExtendedUnbinnedNLL(model, data(), fit_range=(1.0, 9.0))
    with pytest.raises(InputError, match="restrict the spaces"):
        check(loss)
