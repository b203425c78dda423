"""Channels: nuisances, vetoes, fit windows, and which candidates are fitted."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import zfit
from hypothesis import given
from hypothesis import strategies as st

from zfit_dark.channel import Nuisance, ShapeChannel, Veto, bernstein, chebyshev
from zfit_dark.errors import InputError
from zfit_dark.signal_shape import SignalShape

SHAPE = SignalShape(
    np.array([0.1, 1.0, 3.0]), {"sigma": np.array([0.01, 0.02, 0.05])}, source="t", status="assumed"
)


def channel(data: Any = (), **arguments: Any) -> ShapeChannel:
    usual: dict[str, Any] = {"limits": (0.1, 3.0), "signal": SHAPE, "signal_per_poi": 10.0}
    return ShapeChannel("Kp", data, **(usual | arguments))


# ------------------------------------------------------------------ nuisances and vetoes


def test_lognormal_factor_is_a_power() -> None:
    nuisance = Nuisance("n_bb", 0.1)
    assert [nuisance.factor(t) for t in (0.0, 1.0, -1.0)] == pytest.approx([1.0, 1.1, 1 / 1.1])


def test_gaussian_factor_is_a_line() -> None:
    nuisance = Nuisance("n_bb", 0.1, "gaussian")
    assert [nuisance.factor(t) for t in (0.0, 1.0, -1.0)] == pytest.approx([1.0, 1.1, 0.9])


@given(size=st.floats(1e-6, 0.99), theta=st.floats(-7, 7))
def test_lognormal_factor_is_positive_and_of_the_right_spread(size: float, theta: float) -> None:
    factor = Nuisance("n", size).factor(theta)
    assert factor > 0
    assert np.log(factor) == pytest.approx(theta * np.log1p(size), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("size", [0.0, -0.1, 1.0, 14.0, np.nan, np.inf])
def test_nuisance_refuses_sizes_that_are_no_fraction(size: float) -> None:
    with pytest.raises(InputError, match=r"nuisance 'eff': uncertainty .* not between 0 and 1"):
        Nuisance("eff", size)


def test_nuisance_refuses_unknown_priors() -> None:
    with pytest.raises(InputError, match="nuisance 'eff': prior 'flat' is not known"):
        Nuisance("eff", 0.1, "flat")  # type: ignore[arg-type]


@pytest.mark.parametrize("edges", [(0.5, 0.5), (0.6, 0.5), (np.nan, 0.5), (0.5, np.nan)])
def test_veto_refuses_an_empty_range(edges: tuple[float, float]) -> None:
    with pytest.raises(InputError, match=r"veto 'eta': .* GeV is no range"):
        Veto(*edges, "eta")


# ------------------------------------------------------------------ background


@pytest.mark.parametrize("order", [0, 1, 3])
def test_chebyshev_has_a_coefficient_for_every_power(order: int) -> None:
    obs = zfit.Space(f"channel_background_{order}", -1, 1)
    pdf = chebyshev(order)(obs, f"bkg{order}")
    names = {p.name for p in pdf.get_params(is_yield=None)}
    assert names == {f"bkg{order}_c{i}" for i in range(1, order + 1)}
    # all coefficients start at 0: flat
    np.testing.assert_allclose(np.asarray(pdf.pdf(np.array([-0.9, 0.0, 0.9]))), 0.5, rtol=1e-12)


def test_chebyshev_refuses_negative_orders() -> None:
    with pytest.raises(InputError, match="order -1"):
        chebyshev(-1)


# ------------------------------------------------------------------ bad channels


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"data": [[1.0, 2.0]]}, "give a flat array of masses, not one of shape (1, 2)"),
        ({"data": 1.0}, "not one of shape ()"),
        ({"data": [1.0, np.nan, np.inf]}, "2 of 3 masses are NaN or infinite"),
        ({"data": [1.0, 0.05, 3.1, 2.0]}, "2 of 4 masses are outside 0.1 to 3 GeV"),
        ({"data": [1000.0]}, "1 of 1 masses are outside"),
        ({"limits": (3.0, 0.1)}, "limits 3.0 to 0.1 GeV are no range"),
        ({"limits": (0.1, np.nan)}, "are no range"),
        ({"window": 2.9}, "a window of 2.9 resolutions leaves no sidebands"),
        ({"window": np.nan}, "a window of nan resolutions"),
        ({"window": -20.0}, "a window of -20.0 resolutions"),
        ({"nuisances": (Nuisance("a", 0.1), Nuisance("a", 0.2))}, "the same nuisance twice"),
    ],
)
def test_bad_channels(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)) as caught:
        channel(**arguments)
    assert str(caught.value).startswith("channel 'Kp': ")


@pytest.mark.parametrize("events", [-1.0, np.nan, np.inf])
def test_signal_per_poi_must_be_a_number_of_events(events: float) -> None:
    for per_poi in (events, lambda _: events):
        with pytest.raises(InputError, match=r"channel 'Kp': signal_per_poi is .* at 0\.7 GeV"):
            channel(signal_per_poi=per_poi).yield_per_poi(0.7)


def test_signal_per_poi_is_a_number_or_a_function_of_the_mass() -> None:
    assert channel(signal_per_poi=12).yield_per_poi(0.7) == 12.0
    assert channel(signal_per_poi=lambda mass: 100 * mass).yield_per_poi(0.5) == 50.0
    assert channel(signal_per_poi=lambda mass: 0).yield_per_poi(0.5) == 0.0


def test_label_is_the_name_if_not_given() -> None:
    assert channel().label == "Kp"
    assert channel(label="$K^+$").label == "$K^+$"


def test_data_are_a_sorted_copy() -> None:
    data = np.array([2.0, 1.0, 1.5])
    kept = np.asarray(channel(data).data)
    np.testing.assert_array_equal(kept, [1.0, 1.5, 2.0])
    np.testing.assert_array_equal(data, [2.0, 1.0, 1.5])
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 9.0


# ------------------------------------------------------------------ windows and candidates


def test_window_is_so_many_resolutions_wide_and_ends_at_the_limits() -> None:
    assert channel(window=20).window_at(1.0) == pytest.approx((0.6, 1.4))
    assert channel(window=20).window_at(0.2) == (0.1, 0.2 + 20 * SHAPE.sigma(0.2))
    assert channel(window=20).window_at(2.9) == (2.9 - 20 * SHAPE.sigma(2.9), 3.0)
    assert channel(window=None).window_at(1.0) == (0.1, 3.0)


@given(
    mass=st.floats(0.1, 3.0),
    window=st.none() | st.floats(3, 40),
    hidden=st.just(0.0) | st.floats(0.5, 5),
    holes=st.lists(st.tuples(st.floats(0, 3), st.floats(0.01, 1)), max_size=4),
    seed=st.integers(0, 1000),
)
def test_fitted_candidates_as_found_one_by_one(
    mass: float,
    window: float | None,
    hidden: float,
    holes: list[tuple[float, float]],
    seed: int,
) -> None:
    vetoes = tuple(Veto(low, low + width, "hole") for low, width in holes)
    sigma = SHAPE.sigma(mass)
    edges = [edge for veto in vetoes for edge in (veto.low, veto.high)]
    edges += [mass, 0.1, 3.0, mass - hidden * sigma, mass + hidden * sigma]
    data = np.random.default_rng(seed).uniform(0.1, 3.0, 60)
    data = np.concatenate([data, [edge for edge in edges if 0.1 <= edge <= 3.0]])
    made = channel(data, window=window, vetoes=vetoes)
    low, high = made.window_at(mass)
    expected = [
        x
        for x in sorted(data)
        if low <= x <= high
        and not any(veto.low < x < veto.high for veto in vetoes)
        and not mass - hidden * sigma < x < mass + hidden * sigma
    ]
    np.testing.assert_array_equal(made.fitted(mass, hidden), expected)


def test_nothing_is_hidden_unless_asked_for() -> None:
    np.testing.assert_array_equal(channel([0.5]).fitted(0.5), [0.5])
    assert channel([0.5]).fitted(0.5, hidden=3.0).size == 0


def test_channel_without_candidates() -> None:
    assert channel([], window=20).fitted(1.0).shape == (0,)


def test_bernstein_adds_up_to_any_positive_straight_line() -> None:
    """Basis polynomials of order 2 with yields a, (a + b) / 2, b make a line from a to b."""
    import zfit

    obs = zfit.Space("bernstein_mass", -1.0, 1.0)
    x = np.linspace(-0.99, 0.99, 23)
    shapes = [np.asarray(pdf.pdf(x)) for pdf in bernstein(2)(obs, "bernstein_line")]
    t = 0.5 * (x + 1)
    for shape, exact in zip(shapes, [(1 - t) ** 2, 2 * t * (1 - t), t**2], strict=True):
        np.testing.assert_allclose(shape, 1.5 * exact, rtol=1e-9, atol=1e-12)
    line = 3.0 * shapes[0] + 2.0 * shapes[1] + 1.0 * shapes[2]
    np.testing.assert_allclose(line, 1.5 * (3.0 - 2.0 * t), rtol=1e-9)


def test_bernstein_of_order_0_is_flat_and_a_negative_order_is_refused() -> None:
    import zfit

    obs = zfit.Space("bernstein_flat", 1.0, 3.0)
    (flat,) = bernstein(0)(obs, "bernstein_flat")
    np.testing.assert_allclose(flat.pdf(np.array([1.5, 2.5])), 0.5)
    with pytest.raises(InputError, match="order -1"):
        bernstein(-1)
