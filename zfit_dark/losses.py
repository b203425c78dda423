"""Which losses of zfit a limit can be made of; the others are refused with what to do instead."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import zfit

from zfit_dark.errors import InputError

UNBINNED = (zfit.loss.UnbinnedNLL, zfit.loss.ExtendedUnbinnedNLL)
BINNED = (zfit.loss.BinnedNLL, zfit.loss.ExtendedBinnedNLL)


def check_kind(loss: Any) -> None:
    """Refuse what is none of the losses above.

    Raises:
        InputError: if it is none.
    """
    if type(loss) not in (*UNBINNED, *BINNED):
        raise InputError(
            f"a {type(loss).__name__} cannot be used for a limit: "
            "give a (extended) unbinned or binned NLL of zfit"
        )


def check(loss: Any) -> None:
    """Refuse a loss whose limit would be wrong.

    Args:
        loss: of zfit.

    Raises:
        InputError: if the loss is of another kind than those above, has binned data that it cannot
            take, models without the yields that it counts, a ``fit_range``, nothing to fit or a
            constraint twice, or knows only ratios of the yields that it floats.
    """
    check_kind(loss)
    name = type(loss).__name__
    if type(loss) in UNBINNED and any(isinstance(d, zfit.data.BinnedData) for d in loss.data):
        raise InputError(
            f"{name} takes no binned data: give unbinned ones, or an "
            f"{'Extended' * loss.is_extended}BinnedNLL of model.to_binned(...)"
        )
    if loss.is_extended:
        for model in loss.model:
            if not model.is_extended:
                raise InputError(
                    f"{name} counts events, but its model {model.name} has no yield: make its "
                    f"parts with extended=, or give an {name.removeprefix('Extended')}"
                )
    if any(fit_range is not None for fit_range in loss.fit_range or ()):
        raise InputError("the loss has a fit_range: restrict the spaces of PDF and data instead")
    floating = loss.get_params(floating=True)
    if not floating:
        raise InputError("the loss has no floating parameter")
    if not loss.is_extended:
        _refuse_yields(loss, floating)
    _refuse_doubled(loss.constraints or ())


def _refuse_yields(loss: Any, floating: Collection[Any]) -> None:
    """A likelihood of ratios is flat along a common factor of all yields."""
    yields = {
        parameter.name
        for model in loss.model
        if model.is_extended
        for parameter in model.get_yield().get_params(floating=True)
        if parameter in floating
    }
    if yields:
        name = type(loss).__name__
        raise InputError(
            f"{name} knows only the ratios of the yields {', '.join(sorted(yields))}: give an "
            f"Extended{name}"
        )


def _refuse_doubled(constraints: Sequence[Any]) -> None:
    """The sum of two losses has the constraint that they share twice."""
    for i, constraint in enumerate(constraints):
        if any(constraint is other or _same(constraint, other) for other in constraints[:i]):
            names = ", ".join(sorted(p.name for p in constraint.get_params()))
            raise InputError(
                f"the loss has the same constraint of {names} twice, which halves its variance: "
                "build one loss, such as ExtendedUnbinnedNLL([model1, model2], [data1, data2], "
                "constraints=...)"
            )


def _same(one: Any, other: Any) -> bool:
    """Two Gaussian constraints that say the same of the same parameters."""
    if not type(one) is type(other) is zfit.constraint.GaussianConstraint:
        return False
    if list(one.params.values()) != list(other.params.values()):
        return False

    def numbers(constraint: Any) -> Any:
        observed = [float(np.asarray(value)) for value in constraint.observation]
        return np.append(observed, np.ravel(constraint.covariance))

    return bool(np.array_equal(numbers(one), numbers(other)))
