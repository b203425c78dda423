"""A PDF of the invariant mass seen in the modified mass."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pydantic.v1 as pydantic
import tensorflow as tf
import zfit
from zfit import supports, z
from zfit.core.serialmixin import SerializableMixin
from zfit.serialization import Serializer, SpaceRepr  # noqa: F401 (annotations of the base)

from zfit_dark.errors import InputError
from zfit_dark.kinematics import daughter_mass, invariant_mass, modified_mass
from zfit_dark.pdf._functor import SinglePDFFunctor, SinglePDFFunctorRepr, bounds
from zfit_dark.pdf._space import tensor_space

__all__ = ["ModifiedMass"]


class ModifiedMass(SinglePDFFunctor, SerializableMixin):
    r"""A PDF of the invariant mass M of a pair x⁺x⁻, seen in M′ = √(M² − 4m²).

    .. math::
        f'(M') = f\bigl(M(M')\bigr)\,\frac{M'}{M}, \qquad M = \sqrt{M'^2 + 4m^2}

    Integrals are those of the inner PDF between M(a) and M(b), so they are analytic where the
    inner ones are. An extended inner PDF makes an extended one with the same yield: the events
    between two masses M are those between their images M′.

    Args:
        pdf: PDF of M, in one dimension, in GeV.
        daughter: what x is: "e", "mu", "pi", "K" or a mass in GeV.
        obs: the observable in M′ with its limits, in GeV, named as that of `pdf`; by default the
            image of the space of `pdf`, which starts at 0 where that reaches below threshold.
        extended: yield, the expected events in the normalisation range; by default that of `pdf`,
            `False` for none.
        norm: normalisation range in M′; the space of `obs` by default.
        name: name of the PDF.
        label: name for humans.

    Attributes:
        daughter: as given; the mass in GeV after a round trip through HS3.

    Raises:
        InputError: if the daughter is unknown, `pdf` is not one-dimensional, its space lies below
            the threshold 2m, `obs` or `norm` reaches below 0, or the yield of `pdf` would be taken
            over into a range that is not the image of its own: it would count other events there,
            so give it as `extended`.

    Source: Belle II, arXiv:2306.02830.
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
        original_init = {"extended": extended, "obs": obs}
        self.daughter = daughter
        self._mass = daughter_mass(daughter)
        super().__init__(
            pdf,
            obs=obs,
            extended=extended,
            norm=norm,
            name="ModifiedMass" if name is None else name,
            label=label,
        )
        self.hs3.original_init.update(original_init)
        for space in (self.space, self.norm):
            lower, upper = bounds(space)
            if lower < 0.0:
                raise InputError(
                    f"{self.name}: the range {lower:.6g} to {upper:.6g} GeV reaches below M′ = 0,"
                    " where the pair begins: start it at 0"
                )
        if self.is_extended and self.get_yield() is pdf.get_yield():
            self._check_same_events()

    def _image(self, space: Any) -> Any:
        lower, upper = bounds(space)
        threshold = 2.0 * self._mass
        if upper <= threshold:
            raise InputError(
                f"the mass range {lower:.6g} to {upper:.6g} GeV lies below the threshold"
                f" 2m = {threshold:.6g} GeV: nothing of it is left in M′"
            )
        start, stop = modified_mass([max(lower, threshold), upper], self._mass)
        return zfit.Space(space.obs, float(start), float(stop))

    def _check_same_events(self) -> None:
        inner = bounds(self.pdfs[0].norm)
        mine = invariant_mass(bounds(self.norm), self._mass)
        if not np.allclose(inner, mine, rtol=1e-9, atol=0.0):
            raise InputError(
                f"{self.name}: the yield of {self.pdfs[0].name} counts events in M ="
                f" {inner[0]:.6g} to {inner[1]:.6g} GeV, here it would count those in M ="
                f" {mine[0]:.6g} to {mine[1]:.6g} GeV: give that yield as extended"
            )

    @supports(norm=False)
    def _pdf(self, x: Any, norm: Any) -> tf.Tensor:
        del norm
        m_prime = z.unstack_x(x)
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

    def _inner(self, limits: Any) -> Any:
        """The limits in M′ as a space in M."""
        masses = (self._invariant_mass(limit) for limit in limits.v1.limits)
        return tensor_space(self.pdfs[0].obs, *masses)

    def _invariant_mass(self, m_prime: tf.Tensor) -> tf.Tensor:
        return tf.sqrt(tf.square(m_prime) + 4.0 * self._mass**2)

    def copy(self, **overrides: Any) -> ModifiedMass:
        """A new PDF of the same inner PDF, with other arguments where `overrides` gives them.

        Returns:
            The copy, extended with the same yield; `create_extended` uses it.
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


class _ModifiedMassRepr(SinglePDFFunctorRepr):
    _implementation = ModifiedMass
    hs3_type: Literal["zfit_dark.ModifiedMass"] = pydantic.Field(
        "zfit_dark.ModifiedMass", alias="type"
    )
    daughter: float

    # As a mass, also where it was given by name: on loading, zfit replaces every string that is
    # the name of a parameter ("mu") by that parameter.
    @pydantic.validator("daughter", pre=True)
    def _mass(cls, daughter: str | float) -> float:  # noqa: N805 (a class method for pydantic)
        return daughter_mass(daughter)
