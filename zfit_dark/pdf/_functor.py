"""What the PDFs that are made from one other PDF share."""

from __future__ import annotations

from typing import Any

from zfit.models.basefunctor import FunctorPDFRepr
from zfit.models.functor import BaseFunctor
from zfit.serialization import Serializer, SpaceRepr  # noqa: F401 (annotations of FunctorPDFRepr)

from zfit_dark.errors import InputError


class SinglePDFFunctor(BaseFunctor):
    """A PDF of one observable made from one other, by default with the space and yield of that.

    Raises:
        InputError: if the inner PDF has more than one observable, or no yield where
            `extended` is True.
    """

    def __init__(self, pdf: Any, *, obs: Any, extended: Any, **arguments: Any) -> None:
        kind = type(self).__name__
        if pdf.n_obs != 1:
            raise InputError(f"{kind} takes a PDF of one observable, {pdf.name} has {pdf.n_obs}")
        if extended is True and not pdf.is_extended:
            raise InputError(f"{kind}: extended=True, but {pdf.name} has no yield: give one")
        inherited = extended is None or extended is True
        super().__init__(
            pdfs=pdf,
            obs=self._image(pdf.space) if obs is None else obs,
            extended=pdf.get_yield() if inherited else extended,
            **arguments,
        )

    def _image(self, space: Any) -> Any:
        """The space of the inner PDF as this one has it."""
        return space

    @property
    def pdfs_extended(self) -> list[bool]:
        """Not extended, whatever the inner PDF is: else zfit samples that instead of this one."""
        return [False]


class SinglePDFFunctorRepr(FunctorPDFRepr):
    """HS3 representation of a `SinglePDFFunctor`, whose constructor takes `pdf`, not `pdfs`."""

    _implementation: Any = None

    def _to_orm(self, init: dict[str, Any]) -> Any:
        init["pdf"] = init.pop("pdfs")[0]
        return super()._to_orm(init)


def bounds(space: Any) -> tuple[float, float]:
    """The limits of a space in one observable as numbers."""
    lower, upper = space.v1.limits
    return float(lower[0]), float(upper[0])
