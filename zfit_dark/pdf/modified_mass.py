"""A PDF of the invariant mass seen in the modified mass."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pydantic.v1 as pydantic
import tensorflow as tf
import zfit
from zfit import supports, z
from zfit.core.serialmixin import SerializableMixin
from zfit.models.basefunctor import FunctorPDFRepr
from zfit.models.functor import BaseFunctor
from zfit.serialization import Serializer, SpaceRepr  # noqa: F401 (annotations of FunctorPDFRepr)

from zfit_dark.errors import InputError
from zfit_dark.kinematics import daughter_mass, invariant_mass, modified_mass
from zfit_dark.pdf._space import tensor_space

__all__ = ["ModifiedMass"]


class ModifiedMass(BaseFunctor, SerializableMixin):
    r"""A PDF of the invariant mass M of a pair x⁺x⁻, seen in M′ = √(M² − 4m²).

    .. math::
        f'(M') = f\bigl(M(M')\bigr)\,\frac{M'}{M}, \qquad M = \sqrt{M'^2 + 4m^2}

    for M′ > 0, and 0 below. Integrals are those of the inner PDF between M(a) and M(b), so they
    are analytic where the inner ones are. An extended inner PDF makes an extended one with the
    same yield: the events between two masses M are those between their images M′.

    Args:
        pdf: PDF of M, in one dimension, in GeV.
        daughter: what x is: "e", "mu", "pi", "K" or a mass in GeV.
        obs: the observable in M′ with its limits, in GeV, named as that of `pdf`; by default the
            image of the space of `pdf`, starting at 0 where that reaches below the threshold 2m.
        extended: yield, the expected events in the normalisation range; by default that of `pdf`,
            `False` for none.
        norm: normalisation range in M′; the space of `obs` by default.
        name: name of the PDF.
        label: name for humans.

    Attributes:
        daughter: as given.

    Raises:
        InputError: if the daughter is unknown, `pdf` is not one-dimensional, its space lies below
            threshold, or the yield of `pdf` would be taken over into a range that is not the
            image of its own (what it counts would change: give `extended`).

    Source: Belle II, arXiv:2306.02830 (M′ starts at 0 and keeps a narrow peak smooth there).
    """

    def __init__(
        self,
        pdf: Any,
        daughter: str | float,
        obs: Any = None,
        *,
        extended: Any = None,
        norm: Any = None,
        name: str | None = None,
        label: str | None = None,
    ) -> None:
        if pdf.n_obs != 1:
            raise InputError(
                f"ModifiedMass needs a PDF of one mass, {pdf.name} has {pdf.n_obs} observables"
            )
        original_init = {"extended": extended, "obs": obs}
        self.daughter = daughter
        self._mass = daughter_mass(daughter)
        obs = _image(pdf.space, self._mass) if obs is None else obs
        inherited = extended is None or extended is True
        super().__init__(
            pdfs=pdf,
            obs=obs,
            extended=pdf.get_yield() if inherited else extended,
            norm=norm,
            name="ModifiedMass" if name is None else name,
            label=label,
        )
        self.hs3.original_init.update(original_init)
        if inherited and pdf.is_extended:
            self._check_same_range()

    def _check_same_range(self) -> None:
        inner = np.array(_limits(self.pdfs[0].norm))
        mine = invariant_mass(np.maximum(_limits(self.norm), 0.0), self._mass)
        if not np.allclose(inner, mine, rtol=1e-9, atol=0.0):
            raise InputError(
                f"{self.name}: the yield of {self.pdfs[0].name} counts events in M = {inner[0]:.6g}"
                f" to {inner[1]:.6g} GeV, but the range in M′ is M = {mine[0]:.6g} to"
                f" {mine[1]:.6g} GeV: give the yield in that range as extended="
            )

    @property
    def pdfs_extended(self) -> list[bool]:
        """Not extended, whatever the inner PDF is: else zfit samples that, in M instead of M′."""
        return [False]

    @supports(norm=False)
    def _pdf(self, x: Any, norm: Any) -> tf.Tensor:
        del norm
        m_prime = z.unstack_x(x)
        physical = tf.greater(m_prime, 0.0)
        m_prime = tf.where(physical, m_prime, 0.0)
        mass = self._invariant_mass(m_prime)
        data = zfit.Data.from_tensor(tensor=mass[:, tf.newaxis], obs=self.pdfs[0].obs)
        return self.pdfs[0].pdf(data, norm=False) * m_prime / mass

    @supports(norm=False)
    def _integrate(self, limits: Any, norm: Any, options: Any) -> tf.Tensor:
        del norm
        return self.pdfs[0].integrate(self._inner(limits), norm=False, options=options)

    @supports(norm=False)
    def _analytic_integrate(self, limits: Any, norm: Any) -> tf.Tensor:
        del norm
        return self.pdfs[0].analytic_integrate(self._inner(limits), norm=False)

    def _invariant_mass(self, m_prime: tf.Tensor) -> tf.Tensor:
        return tf.sqrt(tf.square(m_prime) + 4.0 * self._mass**2)

    def _inner(self, limits: Any) -> Any:
        """The limits in M′ as a space in M."""
        masses = [
            self._invariant_mass(tf.where(tf.greater(limit, 0.0), limit, 0.0))
            for limit in limits.v1.limits
        ]
        return tensor_space(self.pdfs[0].obs, *masses)

    def copy(self, **overrides: Any) -> ModifiedMass:
        """A new PDF of the same inner PDF, arguments of the constructor replaced by `overrides`.

        Returns:
            The copy, extended with the same yield (`create_extended` uses it).
        """
        arguments = {
            "pdf": self.pdfs[0],
            "daughter": self.daughter,
            "obs": self.space,
            "extended": self.get_yield() if self.is_extended else False,
            "norm": self.norm,
            "name": self.name,
            "label": self.label,
        }
        return type(self)(**(arguments | overrides))


def _limits(space: Any) -> tuple[float, float]:
    lower, upper = space.v1.limits
    return float(lower[0]), float(upper[0])


def _image(space: Any, mass: float) -> Any:
    lower, upper = _limits(space)
    if upper <= 2.0 * mass:
        raise InputError(
            f"the mass range {lower:.6g} to {upper:.6g} GeV lies below the threshold"
            f" 2m = {2.0 * mass:.6g} GeV: nothing is left of it in M′"
        )
    low = modified_mass(max(lower, 2.0 * mass), mass)
    return zfit.Space(space.obs, low, modified_mass(upper, mass))


class _ModifiedMassRepr(FunctorPDFRepr):
    _implementation = ModifiedMass
    hs3_type: Literal["zfit_dark.ModifiedMass"] = pydantic.Field(
        "zfit_dark.ModifiedMass", alias="type"
    )
    daughter: float

    # As a mass, also where it was given by name: on loading, zfit replaces every string that is
    # the name of a parameter ("mu") by that parameter.
    @pydantic.validator("daughter", pre=True)
    def _mass(cls, daughter: str | float) -> float:
        return daughter_mass(daughter)

    def _to_orm(self, init: dict[str, Any]) -> Any:
        init["pdf"] = init.pop("pdfs")[0]
        return super()._to_orm(init)
