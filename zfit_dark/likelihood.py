"""The simultaneous model of several channels: one signal, one parameter of interest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import zfit

from zfit_dark.channel import Background, Channel, CountingChannel, Nuisance
from zfit_dark.counting import Count
from zfit_dark.errors import InputError
from zfit_dark.newton import FloatArray
from zfit_dark.pdf import Counted, Vetoed, Windowed

BLIND_HALF_WIDTH = 3.0
"""Half width, in units of the resolution, of what a blind analysis does not look at."""

_BEYOND = 25.0
"""The peak is normalised this many resolutions beyond the range of the data."""


_MOST_CHOICES = 64


class Choice(NamedTuple):
    """One background for every channel, of those that there are to choose from.

    Attributes:
        name: of the backgrounds, those of all channels that have a choice.
        left_out: parameters of the other backgrounds, and what they are held at.
        penalty: what is added to the negative log-likelihood for its free parameters.
    """

    name: str
    left_out: Mapping[Any, float]
    penalty: float


class Counting(NamedTuple):
    """The counting experiment that a likelihood is.

    Attributes:
        counts: of each open channel.
        uncertainties: of its signal, relative, shape (nuisances, open channels).
    """

    counts: tuple[Count, ...]
    uncertainties: FloatArray


class Likelihood:
    """One extended likelihood of several channels that a signal of one mass would show up in.

    The model is built once; ``move_to`` takes it from mass to mass. The signal yield of a channel
    is the parameter of interest times ``signal_per_poi`` times the factors of its nuisances, and
    counts all signal events, also those outside the fit window or in a veto. The background yield
    counts the events that the background would have in the window without holes. A channel that
    has no signal at a mass stays in the fit with its background; its range and vetoes do not tell
    what can be a hypothesis.

    Where a channel has several backgrounds to choose from, the choice is profiled like a nuisance:
    at each value of the parameter of interest the likelihood is that of the background that makes
    it largest, less a penalty for its free parameters (P. D. Dauncey, M. Kenzie, N. Wardle,
    G. J. Davies, JINST 10 (2015) P04015, arXiv:1408.6865, sections 3 and 6). Limits and scans
    (asymptotic ones), and plots of fits, do so; ``loss`` itself holds the sum of all backgrounds.

    Args:
        channels: ``ShapeChannel`` or ``CountingChannel``, of different names.
        poi: name of the parameter of interest.
        correction: what a free parameter of a background adds to -2 ln L when backgrounds compete:
            1 is the expectation of a p-value (section 6.3 of the paper), 2 Akaike's criterion.

    Attributes:
        channels: as given.
        poi: the parameter of interest, a zfit parameter without limits.
        mass: the mass hypothesis, a fixed zfit parameter; ``move_to`` sets it.
        correction: as given.
        held: fixed parameters of the signal shapes, and what ``move_to`` sets them to.
        loss: a zfit ``ExtendedUnbinnedNLL`` of all channels, each constraint in it once.
        choices: all combinations of backgrounds; a single one if there is nothing to choose.

    Raises:
        InputError: if there is no channel, or two share a name or disagree on a nuisance, if there
            are more than 64 combinations of backgrounds, or the correction is negative.
    """

    def __init__(
        self, channels: Sequence[Channel], poi: str = "mu", *, correction: float = 1.0
    ) -> None:
        self.channels = tuple(channels)
        names = [channel.name for channel in self.channels]
        if not names:
            raise InputError("a likelihood needs a channel")
        if len(set(names)) < len(names):
            raise InputError(f"two channels have the same name: {', '.join(names)}")
        combinations = int(np.prod([len(channel.backgrounds) for channel in self.channels]))
        if combinations > _MOST_CHOICES:
            raise InputError(
                f"{combinations} combinations of backgrounds; at most {_MOST_CHOICES} can be "
                "profiled: give fewer channels a choice"
            )
        if not correction >= 0:
            raise InputError(f"correction={correction}: a free parameter cannot be a bonus")
        first = self.channels[0]
        start = max(float(first.signal.masses[0]), first.threshold)
        self.mass = zfit.Parameter("mass_hypothesis", start, floating=False)
        self.poi = zfit.Parameter(poi, 0.0)
        self._hidden = 0.0
        self._thetas = self._make_thetas()
        self._per_poi = {n: zfit.Parameter(f"{n}_per_poi", 1.0, floating=False) for n in names}
        # of each channel and each of its backgrounds: yields, and all floating parameters
        self._yields: dict[str, dict[str, list[Any]]] = {}
        self._own: dict[str, dict[str, set[Any]]] = {}
        self.held: Mapping[Any, float] = {}
        # signal and background of channels of which two numbers are all that is seen
        self._counted: dict[str, tuple[Any, Any]] = {}
        self._fractions: Callable[[], tf.Tensor] | None = None
        # Set to what the data are cut with, to the last bit: no event is outside the model.
        self._edges = {
            c.name: {
                edge: zfit.Parameter(f"{c.name}_{edge}", value, floating=False)
                for edge, value in c.edges(start).items()
            }
            for c in self.channels
        }
        self._data: list[Any] = []
        models = []
        for channel in self.channels:
            models.append(self._model(channel))
            self._data.append(_updatable(models[-1].space))
        thetas = list(self._thetas.values())
        constraints = (
            [
                zfit.constraint.GaussianConstraint(
                    thetas, observation=[0.0] * len(thetas), sigma=[1.0] * len(thetas)
                )
            ]
            if thetas
            else None
        )
        self.correction = correction
        self.loss = zfit.loss.ExtendedUnbinnedNLL(models, self._data, constraints=constraints)
        self._start = {p: float(p.value()) for p in self.loss.get_params(floating=True)}
        self.choices = self._make_choices(correction)

    def why_not(self, mass: float) -> str | None:
        """Why a mass cannot be a hypothesis of this likelihood, or None if it can."""
        there = [c for c in self.channels if np.isfinite(mass) and c.yield_per_poi(mass) > 0]
        for channel in there or self.channels:
            if reason := channel.why_not(mass):
                return reason
        return None if there else "no channel is open"

    def move_to(self, mass: float) -> Likelihood:
        """Take the model to a mass hypothesis: fit windows, data, signal shapes and yields.

        All floating parameters are set to where a fit may well start, whatever was fitted before.

        Returns:
            This likelihood.

        Raises:
            InputError: if the mass cannot be a hypothesis; see ``why_not``.
        """
        if reason := self.why_not(mass):
            raise InputError(f"no hypothesis at {mass:.6g} GeV: {reason}")
        self.mass.assign(mass)
        for parameter, value in self.held.items():
            parameter.assign(value)
        for channel in self.channels:
            self._per_poi[channel.name].assign(channel.yield_per_poi(mass))
        for parameter, value in self._start.items():
            parameter.assign(value)
        for name, events in zip(self._yields, self._load(), strict=True):
            for yields in self._yields[name].values():
                for background_yield in yields:
                    background_yield.assign(max(events, 1.0) / len(yields))
        self.poi.stepsize = 1.0 / sum(c.yield_per_poi(mass) for c in self.channels)
        return self

    def rescaled(
        self,
        signal_per_poi: Mapping[str, float | Callable[[float], float]],
        held: Mapping[Any, float] | None = None,
    ) -> Likelihood:
        """This likelihood with other signal yields, such as those of another lifetime.

        It shares data, parameters and the compiled program with this one: move it to a mass before
        it is used, and again after the other one was moved.

        Args:
            signal_per_poi: of each channel, by name; see ``ShapeChannel``.
            held: fixed parameters of the signal shapes, such as a lifetime that they depend on, and
                what ``move_to`` sets them to.

        Raises:
            InputError: if the names are not those of the channels.
        """
        names = [channel.name for channel in self.channels]
        if set(signal_per_poi) != set(names):
            raise InputError(
                f"signal_per_poi of {', '.join(signal_per_poi)}; the channels are "
                f"{', '.join(names)}"
            )
        found = copy(self)
        found.channels = tuple(
            replace(channel, signal_per_poi=signal_per_poi[channel.name])  # type: ignore[type-var]
            for channel in self.channels
        )
        found.held = {**self.held, **(held or {})}
        return found

    @property
    def background_yields(self) -> tuple[Any, ...]:
        """The parameters that count background events, of all channels and their backgrounds."""
        return tuple(p for of in self._yields.values() for each in of.values() for p in each)

    def largest_windows(self, masses: Sequence[float] | FloatArray) -> list[int]:
        """The largest number of candidates in any of the masses' windows, for each channel."""
        return [
            max((channel.fitted(float(mass)).size for mass in masses), default=0)
            for channel in self.channels
        ]

    def only_counts(self) -> bool:
        """Whether all that is seen of every channel is how many candidates are where."""
        return set(self._counted) == {channel.name for channel in self.channels}

    def counting(self) -> Counting:
        """The counting experiment at the present mass.

        Raises:
            InputError: if a channel looks at more than numbers of candidates, or has a nuisance
                that is not lognormal.
        """
        for channel in self.channels:
            if channel.name not in self._counted:
                raise InputError(
                    f"channel {channel.name!r} does not only count: exact sums are for a "
                    "CountingChannel with a background of fixed shape; use method='toys'"
                )
        if self._fractions is None:
            self._fractions = tf.function(self._traced_fractions, autograph=False)
        mass, counts = float(self.mass.value()), []
        events = [channel.yield_per_poi(mass) for channel in self.channels]
        for channel, per_poi, (signal, background) in zip(
            self.channels, events, self._fractions().numpy(), strict=True
        ):
            if not per_poi:
                continue
            seen, edges = channel.fitted(mass), channel.edges(mass)
            on = int(((seen >= edges["on_low"]) & (seen <= edges["on_high"])).sum())
            counts.append(
                Count(
                    on=on,
                    per_poi=per_poi * float(signal[0]),
                    off=seen.size - on,
                    tau=float(background[1] / background[0]),
                    off_per_poi=per_poi * float(signal[1]),
                    name=channel.name,
                )
            )
        is_open = [per_poi > 0 for per_poi in events]
        return Counting(tuple(counts), self._uncertainties()[:, is_open])

    def _traced_fractions(self) -> tf.Tensor:
        """Of signal and background of each channel: what is in window and sidebands, (c, 2, 2)."""
        return tf.stack(
            [
                tf.stack([pdf.region_fractions() for pdf in self._counted[channel.name]])
                for channel in self.channels
            ]
        )

    def _uncertainties(self) -> FloatArray:
        """The relative uncertainties of the signal, shape (nuisances, channels)."""
        found = np.zeros((len(self._thetas), len(self.channels)))
        for c, channel in enumerate(self.channels):
            for nuisance in channel.nuisances:
                if nuisance.prior != "lognormal":
                    raise InputError(
                        f"exact sums average over lognormal nuisances, and {nuisance.name!r} is "
                        f"{nuisance.prior}; use method='toys'"
                    )
                found[list(self._thetas).index(nuisance.name), c] = nuisance.uncertainty
        return found

    @contextmanager
    def signal_region_hidden(self) -> Iterator[None]:
        """Hide what lies within three resolutions of the hypothesis: a hole in data and model."""
        self._hidden = BLIND_HALF_WIDTH
        self._load()
        try:
            yield
        finally:
            self._hidden = 0.0
            self._load()

    def _load(self) -> list[int]:
        """Cut data and model for the mass; how many candidates are left of each channel."""
        mass, events = float(self.mass.value()), []
        for channel, data in zip(self.channels, self._data, strict=True):
            for edge, value in channel.edges(mass, self._hidden).items():
                self._edges[channel.name][edge].assign(value)
            candidates = channel.fitted(mass, self._hidden)
            data.update_data(candidates[:, None], guarantee_limits=True)
            events.append(candidates.size)
        return events

    def _make_thetas(self) -> dict[str, Any]:
        found: dict[str, Nuisance] = {}
        for channel in self.channels:
            for nuisance in channel.nuisances:
                known = found.setdefault(nuisance.name, nuisance)
                if known.prior != nuisance.prior:
                    raise InputError(
                        f"nuisance {nuisance.name!r} is {known.prior} in one channel and "
                        f"{nuisance.prior} in another"
                    )
        return {name: zfit.Parameter(f"theta_{name}", 0.0, -7.0, 7.0) for name in found}

    def _model(self, channel: Channel) -> Any:
        low, high = channel.limits
        signal, name = channel.signal, channel.name
        reach = _BEYOND * float(np.max(signal.table["sigma"]))
        start_of_peak = low - reach if channel.daughter is None else max(low - reach, 0.0)
        obs = zfit.Space(f"{name}_mass", start_of_peak, high + reach)
        edges = self._edges[name]
        holes = channel.holes(edges)
        beyond = [(low - 2 * reach, edges["window_low"]), (edges["window_high"], high + 2 * reach)]
        background_holes = holes if channel.reach_of_fit is not None else [*holes, *beyond]
        backgrounds: list[Any] = []
        self._yields[name], self._own[name] = {}, {}
        made = {}
        for choice, background in channel.backgrounds.items():
            label = "_".join(filter(None, (name, "background", choice)))
            made[label] = choice, self._shapes(channel, background, obs, label)
        cut = self._cutter(channel, [shape for _, shapes in made.values() for shape in shapes])
        for label, (choice, shapes) in made.items():
            tags = [""] if len(shapes) == 1 else [f"_{i}" for i in range(len(shapes))]
            yields = [zfit.Parameter(f"{label}_yield{tag}", 1.0, 0.0) for tag in tags]
            backgrounds += [
                cut(
                    shape,
                    background_holes,
                    counts="all",
                    extended=background_yield,
                    obs=obs,
                    name=shape.name,
                )
                for shape, background_yield in zip(shapes, yields, strict=True)
            ]
            self._yields[name][choice] = yields
            of_shapes = [p for shape in shapes for p in shape.get_params(floating=True)]
            self._own[name][choice] = {*yields, *of_shapes}
        peak = cut(
            signal.pdf(self._peak(channel), obs, name=f"{name}_signal"),
            [*holes, *beyond],
            counts="all",
            extended=self._signal_yield(channel),
            obs=obs,
            name=f"{name}_signal",
        )
        if isinstance(peak, Counted) and len(peak.regions) > 1:
            self._counted[name] = peak, backgrounds[0]
        return zfit.pdf.SumPDF([peak, *backgrounds], name=name)

    def _peak(self, channel: Channel) -> Any:
        """``ShapeChannel.position`` as a zfit parameter that follows the mass."""
        threshold, (low, high) = channel.threshold, channel.reach

        def position(params: Any) -> Any:
            mass = params["mass"]
            if channel.daughter is not None:
                mass = tf.sqrt(tf.maximum((mass - threshold) * (mass + threshold), 0.0))
            return tf.clip_by_value(mass, low, high)

        return zfit.ComposedParameter(
            f"{channel.name}_peak", position, params={"mass": self.mass}, unpack_params=False
        )

    def _shapes(self, channel: Channel, background: Background, obs: Any, name: str) -> Any:
        """The PDFs that a background is made of, laid over the window if there is one."""
        if channel.reach_of_fit is None:
            return _several(background(zfit.Space(obs.obs, *channel.limits), name))
        start, stop = (self._edges[channel.name][f"window_{side}"] for side in ("low", "high"))
        return [
            Windowed(shape, start, stop, obs, name=shape.name)
            for shape in _several(background(zfit.Space(obs.obs, -1.0, 1.0), name))
        ]

    def _cutter(self, channel: Channel, backgrounds: Sequence[Any]) -> Any:
        """What makes a PDF with holes of a shape, and sees only numbers where the channel counts.

        Sidebands need only be counted if the background has a single, fixed shape.
        """
        if not isinstance(channel, CountingChannel):
            return Vetoed
        window, sidebands = channel.regions(self._edges[channel.name])
        if len(backgrounds) > 1 or backgrounds[0].get_params(floating=True):
            return partial(Counted, regions=[window])
        return partial(Counted, regions=[window, sidebands])

    def _make_choices(self, correction: float) -> tuple[Choice, ...]:
        """All combinations of the channels' backgrounds."""
        yields = set(self.background_yields)
        everything = {p for of in self._own.values() for each in of.values() for p in each}
        found = []
        for names in product(*(channel.backgrounds for channel in self.channels)):
            used = {
                p
                for channel, name in zip(self.channels, names, strict=True)
                for p in self._own[channel.name][name]
            }
            left_out = everything - used
            found.append(
                Choice(
                    name=", ".join(filter(None, names)),
                    left_out={p: 0.0 if p in yields else self._start[p] for p in left_out},
                    penalty=0.5 * correction * len(used),
                )
            )
        return tuple(found)

    def _signal_yield(self, channel: Channel) -> Any:
        nuisances = channel.nuisances

        def events(params: Any) -> Any:
            expected = params["poi"] * params["per_poi"]
            for nuisance in nuisances:
                expected = expected * nuisance.factor(params[nuisance.name])
            return expected

        thetas = {nuisance.name: self._thetas[nuisance.name] for nuisance in nuisances}
        return zfit.ComposedParameter(
            f"{channel.name}_signal_yield",
            events,
            params={"poi": self.poi, "per_poi": self._per_poi[channel.name]} | thetas,
            unpack_params=False,
        )


def _several(background: Any) -> list[Any]:
    """The PDFs that a background is made of."""
    return list(background) if isinstance(background, (list, tuple)) else [background]


def _updatable(space: Any) -> Any:
    """A zfit data set, empty, that can be given other candidates later."""

    def nothing_to_sample(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the data of a Likelihood are candidates, not samples")

    holder = tf.Variable(
        np.empty((0, 1)), trainable=False, shape=(None, 1), dtype=tf.float64, validate_shape=False
    )
    return zfit.data.SamplerData(
        zfit.core.data.LightDataset.from_tensor(holder, ndims=1),
        sample_and_weights_func=nothing_to_sample,
        sample_holder=holder,
        n=0,
        obs=space,
        guarantee_limits=True,
    )
