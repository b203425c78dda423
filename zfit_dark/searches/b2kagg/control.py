"""The mesons that decay to two photons, as a control of b2kagg."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache, partial
from typing import Any

from zfit_dark import fitting
from zfit_dark.channel import ShapeChannel
from zfit_dark.errors import InputError
from zfit_dark.likelihood import Likelihood
from zfit_dark.profile import compiled
from zfit_dark.results import Fit
from zfit_dark.searches import Sample
from zfit_dark.searches._samples import sample_of, unknown
from zfit_dark.searches.b2kagg.limits import POI, WINDOW, channel
from zfit_dark.searches.b2kagg.samples import read
from zfit_dark.searches.b2kagg.signal import (
    NARROW,
    NUMBERS,
    RESOLUTION,
    events_per_branching_fraction,
)


def control(data: Any, meson: str, *, modes: Iterable[str] | None = None) -> Fit:
    """Validation: fit B → K(*) h, h → γγ, as if h were the a.

    No mass is vetoed. The fit gives B(B⁺ → K⁺ h) B(h → γγ); the other modes are tied to K⁺ by the
    products in ``b2kagg.yaml``, so that a fit of pseudo-data gives back what was put in,
    ``NUMBERS.mesons[meson].products["Kplus"]``.

    Args:
        data: A `Sample`, or what `read` takes.
        meson: "pi0", "eta" or "etap". The η_c is wider than the resolution and none of them.
        modes: Some of `MODES`; None for all.

    Returns:
        The fit: ``poi_hat`` and ``poi_error`` are the product and its uncertainty.

    Raises:
        InputError: the meson is none of these, or see `read`.
    """
    if meson not in NARROW:
        raise InputError(unknown("control channel", meson, NARROW))
    h = NARROW[meson]
    sample, chosen = sample_of(data, modes, read)
    return fitting.fit(
        _control_model(sample, chosen),
        h.mass.value,
        poi_label=rf"$\mathcal{{B}}(B^+ \to K^+ {h.tex}) \mathcal{{B}}({h.tex} \to \gamma\gamma)$",
        pseudo_data=sample.pseudo_data is not None,
    )


@lru_cache(maxsize=1)
def _control_model(sample: Sample, modes: tuple[str, ...]) -> Likelihood:
    """One model for all control channels: their fit windows do not overlap."""
    channels = [
        ShapeChannel(
            mode,
            signal_per_poi=partial(_control_events, mode),
            signal=RESOLUTION,
            window=WINDOW,
            label=NUMBERS.modes[mode].label.replace(" a$", " h$"),
            **channel(mode, sample),
        )
        for mode in modes
    ]
    model = Likelihood(channels, poi=f"{POI}_control")
    largest = model.largest_windows([meson.mass.value for meson in NARROW.values()])
    compiled(model.loss).reserve(largest)
    return model


def _control_events(mode: str, mass: float) -> float:
    """Events of a mode for B(B⁺ → K⁺ h) B(h → γγ) = 1, h being the meson at this mass."""
    h = min(NARROW.values(), key=lambda meson: abs(meson.mass.value - mass))
    ratio = h.products[mode].value / h.products["Kplus"].value
    return events_per_branching_fraction(mode, mass) * ratio
