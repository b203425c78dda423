"""Limits on g_aW against closed solutions, a dense grid of couplings, and BaBar's own limits."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zfit_dark as zd
from zfit_dark.errors import InputError
from zfit_dark.theory import alp, coupling_limit, decay_length
from zfit_dark.theory.couplings import COUPLING_RANGE, CouplingLimit
from zfit_dark.theory.exclusion import ExcludedInterval

NAN = float("nan")
RATIO = alp.branching_ratio_per_coupling_squared("Kplus", 1.0)  # B/g² at 1 GeV
CTAU = alp.lifetime_ctau_cm(1.0, 1.0)  # cτ g² at 1 GeV


def everywhere(ctau: np.ndarray) -> np.ndarray:
    return np.ones_like(ctau)


def lost_beyond(reach: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda ctau: 1.0 / (1.0 + ctau / reach)


def test_it_is_a_name_of_theory() -> None:
    assert zd.theory.coupling_limit is coupling_limit


# -- a limit for a prompt particle and an efficiency ----------------------------------------


@pytest.mark.parametrize("mode", alp.MODES)
@given(fraction=st.floats(0.02, 0.98), log_limit=st.floats(-10.0, -5.0))
def test_without_a_loss_it_is_the_prompt_limit(
    mode: str, fraction: float, log_limit: float
) -> None:
    mass, limit = fraction * alp.kinematic_end(mode), 10**log_limit
    found = coupling_limit(mass, limit, efficiency=everywhere, mode=mode)
    prompt = alp.coupling_from_branching_fraction(mode, mass, limit)
    assert found.limit == pytest.approx(prompt, rel=1e-10)
    assert found.solutions == (found.limit,)
    (interval,) = found.excluded
    assert interval.high == pytest.approx(COUPLING_RANGE[1])
    assert (interval.low_edge, interval.high_edge) == ("crossing", "range")


@given(
    log_mass=st.floats(-0.8, 0.6), log_limit=st.floats(-9.0, -5.0), log_reach=st.floats(-3.0, 3.0)
)
def test_loss_at_long_lifetimes_in_closed_form(
    log_mass: float, log_limit: float, log_reach: float
) -> None:
    mass, limit, reach = 10**log_mass, 10**log_limit, 10**log_reach
    found = coupling_limit(mass, limit, efficiency=lost_beyond(reach))
    # R g² = limit (1 + C / (g² reach)) is quadratic in g²
    ratio = alp.branching_ratio_per_coupling_squared("Kplus", mass)
    loss = alp.lifetime_ctau_cm(mass, 1.0) / reach
    squared = (limit + math.sqrt(limit**2 + 4 * ratio * limit * loss)) / (2 * ratio)
    assert found.limit == pytest.approx(math.sqrt(squared), rel=1e-10)
    assert len(found.solutions) == 1


def test_events_go_with_the_fourth_power_at_long_lifetimes() -> None:
    limits = [coupling_limit(0.2, bf, efficiency=lost_beyond(1e-5)).limit for bf in (1e-7, 1.6e-6)]
    assert limits[1] / limits[0] == pytest.approx(2.0, rel=1e-3)


def test_the_size_of_an_efficiency_does_not_count() -> None:
    relative = coupling_limit(0.3, 1e-7, efficiency=lost_beyond(2.0))
    absolute = coupling_limit(0.3, 1e-7, efficiency=lambda ctau: 0.1 * lost_beyond(2.0)(ctau))
    assert absolute.limit == pytest.approx(relative.limit, rel=1e-11)


def test_decays_in_a_volume_as_the_efficiency() -> None:
    def seen(ctau: np.ndarray) -> np.ndarray:
        return decay_length.probability_within("Kplus", 0.3, ctau, 50.0, transverse=True)

    found = coupling_limit(0.3, 3e-7, efficiency=seen)
    predicted = alp.branching_fraction("Kplus", 0.3, found.limit)
    beyond = decay_length.probability_beyond(
        "Kplus", 0.3, alp.lifetime_ctau_cm(0.3, found.limit), 50.0, transverse=True
    )
    assert predicted * (1.0 - beyond) == pytest.approx(3e-7, rel=1e-9)
    assert found.limit > 1.2 * alp.coupling_from_branching_fraction("Kplus", 0.3, 3e-7)


def test_more_than_one_solution_is_told() -> None:
    # seen where it decays at once, and where it flies for about 10 cm, but not in between
    def twice(ctau: np.ndarray) -> np.ndarray:
        return 1e-3 + np.exp(-0.5 * (np.log((ctau + 1e-30) / 10.0) / 0.3) ** 2)

    found = coupling_limit(1.0, 1e-6, efficiency=twice)

    def excess(g: float) -> float:  # prediction over limit; ε is 1e-3 at 0
        return RATIO * g**2 * float(twice(np.array(CTAU / g**2))) / 1e-3 / 1e-6

    assert len(found.solutions) == 3
    for g, sign in zip(found.solutions, (1, -1, 1), strict=True):
        assert excess(g) == pytest.approx(1.0, rel=1e-8)
        assert sign * (excess(g * 1.001) - 1.0) > 0.0
    assert found.limit == found.solutions[0] == found.excluded[0].low
    assert [i.high_edge for i in found.excluded] == ["crossing", "range"]
    assert "prediction is below the limit again; 1 more interval(s) above" in str(found)


def test_no_solution_is_told() -> None:
    found = coupling_limit(1.0, 0.9, efficiency=everywhere)
    assert found.excluded == found.solutions == ()
    assert math.isnan(found.limit)
    assert str(found) == "m = 1 GeV: no g_aW is excluded from 1e-09 to 0.01 GeV^-1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"efficiency": None}, "either ctau_cm"),
        ({"ctau_cm": [1.0, 2.0]}, "either ctau_cm"),
        ({"bf_limit": [1e-7, 1e-7]}, "one positive limit"),
        ({"bf_limit": 0.0}, "one positive limit"),
        ({"bf_limit": NAN}, "one positive limit"),
        ({"prompt_below_cm": 0.1}, "prompt_below_cm belongs to a table"),
        ({"efficiency": lambda ctau: 1.0}, r"shape \(\) for 1 lifetimes"),
        ({"efficiency": lambda ctau: 1.0 - ctau}, "efficiency is -"),
        ({"efficiency": lambda ctau: ctau}, "efficiency is 0 at cτ = 0"),
        ({"efficiency": lambda ctau: ctau * NAN}, "efficiency is nan at cτ = 0 cm"),
        ({"mode": "Kst"}, "unknown mode 'Kst'"),
        ({"mode": "Kst0", "mass": 4.4}, "mode Kst0 is closed at 4.4 GeV"),
        ({"mass": -1.0}, "positive, finite mass"),
        ({"coupling_range": (1e-5, 1e-6)}, "coupling_range"),
        ({"coupling_range": (1e-5, 1e-3)}, "at the lowest coupling, 1e-05 GeV"),
    ],
)
def test_bad_input_is_refused(change: dict[str, Any], message: str) -> None:
    arguments = {"mass": 1.0, "bf_limit": 1e-7, "efficiency": everywhere}
    with pytest.raises(InputError, match=message):
        coupling_limit(**{**arguments, **change})


def test_inputs_are_passed_on() -> None:
    inputs = alp.Inputs(vtb_vts=0.0808, sin2_theta_w=0.46244)  # g_abs and g_aγγ doubled
    found = coupling_limit(0.3, 1e-7, efficiency=lost_beyond(0.5), inputs=inputs)
    halved = coupling_limit(0.3, 1e-7, efficiency=lost_beyond(0.5))
    assert found.limit == pytest.approx(halved.limit / 2, rel=1e-10)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.mass = 1.0  # type: ignore[misc]


# -- limits at several lifetimes ------------------------------------------------------------


@given(log_limit=st.floats(-8.0, -6.0), power=st.floats(-0.8, 3.0), log_ctau=st.floats(-2.0, 2.0))
def test_power_law_in_closed_form(log_limit: float, power: float, log_ctau: float) -> None:
    # at cτ₁ the limit is L₁, and (cτ/cτ₁)^power as much elsewhere
    limit, ctau = 10**log_limit, 10**log_ctau
    grid = np.geomspace(1e-9, 1e9, 3)
    found = coupling_limit(1.0, limit * (grid / ctau) ** power, ctau_cm=grid)
    expected = (limit / RATIO * (CTAU / ctau) ** power) ** (1.0 / (2.0 + 2.0 * power))
    assert found.limit == pytest.approx(expected, rel=1e-9)


def test_table_and_efficiency_agree() -> None:
    grid = np.geomspace(1e-3, 1e3, 600)
    for mass in (0.2, 1.0, 4.0):
        by_table = coupling_limit(
            mass, 1e-7 * (1.0 + grid / 3.0), ctau_cm=grid, prompt_below_cm=1e-3
        )
        by_efficiency = coupling_limit(mass, 1e-7, efficiency=lost_beyond(3.0))
        assert by_table.limit == pytest.approx(by_efficiency.limit, rel=1e-4)


@given(
    steps=st.lists(st.floats(-3.0, 3.0), min_size=5, max_size=5), log_limit=st.floats(-9.0, -6.0)
)
def test_all_solutions_of_a_rough_table(steps: list[float], log_limit: float) -> None:
    grid = np.geomspace(1e-3, 1e3, 7)
    logs = np.log(10.0) * (log_limit + np.cumsum([0.0, *steps, 0.0]))
    if np.exp(logs[-1]) < RATIO * CTAU / 1e3:  # excluded at the longest lifetime
        with pytest.raises(InputError, match=r"cτ = 1000 cm.*longer"):
            coupling_limit(1.0, np.exp(logs), ctau_cm=grid, prompt_below_cm=1e-3)
        return
    found = coupling_limit(1.0, np.exp(logs), ctau_cm=grid, prompt_below_cm=1e-3)
    # by brute force: signs on a fine grid of couplings
    g = np.geomspace(math.sqrt(CTAU / 999.999), 1e-2, 100_001)
    excess = np.log(RATIO * g**2) - np.interp(np.log(CTAU / g**2), np.log(grid), logs)
    crossings = np.flatnonzero(np.diff(np.sign(excess)))
    assert found.solutions == pytest.approx(g[crossings], rel=2e-4)


def test_prompt_is_as_far_as_one_says() -> None:
    limits, grid = [1e-8, 1e-8, 1e-5], [0.01, 1.0, 10.0]
    prompt = alp.coupling_from_branching_fraction("Kplus", 3.0, 1e-8)
    assert alp.lifetime_ctau_cm(3.0, prompt) > 0.01
    inside = coupling_limit(3.0, limits, ctau_cm=grid)
    assert inside.limit == pytest.approx(prompt, rel=1e-10)
    (interval,) = inside.excluded
    assert interval.high_edge == "lifetimes"
    assert alp.lifetime_ctau_cm(3.0, interval.high) == pytest.approx(0.01, rel=1e-9)
    assert "lifetimes are shorter than those with a limit" in str(inside)
    # the limit at the shortest lifetime goes on, or the one at 0 does
    for where in ([0.01, 1.0, 10.0], [0.0, 1.0, 10.0]):
        extended = coupling_limit(3.0, limits, ctau_cm=where, prompt_below_cm=0.005)
        assert extended.limit == pytest.approx(prompt, rel=1e-10)
        assert extended.excluded[0].high_edge == "range"


def test_between_prompt_and_the_next_lifetime() -> None:
    # 1e-8 up to 0.1 cm, 1e-5 at 10 cm: the power 3/2, from 0.1 cm on
    found = coupling_limit(1.0, [1e-8, 1e-5], ctau_cm=[0.0, 10.0], prompt_below_cm=0.1)
    expected = (1e-8 / RATIO * (CTAU / 0.1) ** 1.5) ** (1 / 5)
    assert found.limit == pytest.approx(expected, rel=1e-10)


def test_a_limit_outside_the_table_is_refused() -> None:
    limits = [1e-10, 1e-10]
    with pytest.raises(InputError, match=r"0\.31 GeV.*cτ = 10 cm.*ends at 10 cm.*longer"):
        coupling_limit(0.31, limits, ctau_cm=[0.1, 10.0])
    with pytest.raises(
        InputError, match=r"at all lifetimes of the table, 0\.1 to 10 cm; .*shorter"
    ):
        coupling_limit(1.0, [1e-4, 1e-4], ctau_cm=[0.1, 10.0])
    # next to a lifetime without a limit there is none either
    with pytest.raises(InputError, match=r"cτ = 1 cm, and no limit is given right beyond it"):
        coupling_limit(1.0, [1e-10, 1e-10, NAN, 1e-10], ctau_cm=[0.1, 1.0, 2.0, 10.0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ctau_cm": [0.0, 1.0, 10.0]}, "say with prompt_below_cm how far"),
        ({"ctau_cm": [1.0, 10.0]}, r"shape \(2,\) and bf_limit \(3,\)"),
        ({"bf_limit": 1e-7}, r"bf_limit \(\)"),
        ({"prompt_below_cm": 0.2}, "below the shortest lifetime of the table, 0.1 cm"),
        ({"prompt_below_cm": 0.0}, "must be positive"),
        ({"prompt_below_cm": NAN}, "must be positive"),
        ({"ctau_cm": [0.0, 0.1, 1.0], "prompt_below_cm": 0.1}, "shortest lifetime"),
        ({"ctau_cm": [1.0, 0.1, 10.0]}, "ascending"),
        ({"bf_limit": [1e-7, -1e-7, 1e-7]}, "limits are positive"),
    ],
)
def test_bad_tables_are_refused(change: dict[str, Any], message: str) -> None:
    arguments = {"mass": 1.0, "bf_limit": [1e-7] * 3, "ctau_cm": [0.1, 1.0, 10.0]}
    with pytest.raises(InputError, match=message):
        coupling_limit(**{**arguments, **change})


def test_text_of_one_solution() -> None:
    interval = ExcludedInterval(2.06e-5, 1e-2, "crossing", "range")
    assert str(CouplingLimit(0.31, "Kplus", (1e-9, 1e-2), (interval,))) == (
        "m = 0.31 GeV: g_aW < 2.06e-05 GeV^-1; excluded up to 0.01 GeV^-1, the largest that was "
        "looked at"
    )


# -- BaBar, arXiv:2111.01800 ----------------------------------------------------------------


@pytest.fixture(scope="module")
def babar() -> dict[float, np.ndarray]:
    """BaBar's limits on B(B⁺ → K⁺ a) by cτ in cm, 0 for a prompt a: masses and limits."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ZFIT_DARK_DATA", beside)) / "babar_bkgg_limits"
    if not folder.is_dir():
        pytest.skip(
            "no babar_bkgg_limits here: set ZFIT_DARK_DATA to the folder that holds them, or put "
            "them in shared/data beside the repository"
        )
    names = {0.0: "prompt", 0.1: "displ_1mm", 1.0: "displ_10mm", 10.0: "displ_100mm"}
    return {
        ctau: np.loadtxt(folder / f"babar_{name}.txt", usecols=(0, 2))
        for ctau, name in names.items()
    }


def babar_limits(babar: dict[float, np.ndarray], mass: float) -> list[float]:
    """At the nearest mass of each table: they are 4 to 8 MeV apart."""
    nearest = [rows[np.argmin(np.abs(rows[:, 0] - mass))] for rows in babar.values()]
    assert all(abs(m - mass) < 0.009 for m, _ in nearest)
    return [limit for _, limit in nearest]


@pytest.mark.parametrize("prompt_below", [1e-4, 1e-2])
@pytest.mark.parametrize(
    ("mass", "coupling"),
    [(0.20, 3.2e-5), (0.31, 2.06e-5)],  # digitised from BaBar's curve outside this package
)
def test_babar_limits_become_babar_couplings(
    babar: dict[float, np.ndarray], mass: float, coupling: float, prompt_below: float
) -> None:
    limits = babar_limits(babar, mass)
    found = coupling_limit(mass, limits, ctau_cm=list(babar), prompt_below_cm=prompt_below)
    assert found.limit == pytest.approx(coupling, rel=0.1)
    assert found.solutions == (found.limit,)
    prompt = alp.coupling_from_branching_fraction("Kplus", mass, limits[0])
    assert prompt < 0.7 * coupling  # with the lifetime ignored


def test_without_the_lifetime_light_masses_come_out_a_factor_of_two_too_small(
    babar: dict[float, np.ndarray],
) -> None:
    masses = [m for m in np.arange(0.205, 0.45, 0.005) if not 0.285 < m < 0.305]
    ratio = []
    for mass in masses:
        limits = babar_limits(babar, mass)
        found = coupling_limit(mass, limits, ctau_cm=list(babar), prompt_below_cm=0.01)
        ratio.append(found.limit / alp.coupling_from_branching_fraction("Kplus", mass, limits[0]))
    assert min(ratio) > 1.3
    assert max(ratio) < 3.3
    assert 1.6 < np.exp(np.mean(np.log(ratio))) < 2.4


def test_lifetime_does_not_matter_for_babar_where_the_a_is_heavy(
    babar: dict[float, np.ndarray],
) -> None:
    for mass in (1.3, 1.8, 2.2):
        limits = babar_limits(babar, mass)
        found = coupling_limit(mass, limits, ctau_cm=list(babar), prompt_below_cm=0.01)
        prompt = alp.coupling_from_branching_fraction("Kplus", mass, limits[0])
        assert found.limit == pytest.approx(prompt, rel=0.1)
