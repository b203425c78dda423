"""Limits at many masses: in any order, on any number of threads, and with what is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import reference_jobs as jobs

import zfit_dark as zd
from zfit_dark.errors import InputError
from zfit_dark.profile import compiled

MASSES = np.linspace(0.36, 0.64, 12)


@pytest.fixture(scope="module")
def one():
    return jobs.one_channel()


def scanned(job, masses=MASSES, **how):
    return zd.scan(job.loss, masses, poi=job.poi, mass=job.mass, progress=False, **how)


@pytest.fixture(scope="module")
def scan(one):
    return scanned(one)


def numbers(scan):
    return np.column_stack([scan.observed, scan.expected])


def test_a_scan_is_its_limits_one_by_one(one, scan):
    np.testing.assert_array_equal(scan.masses, MASSES)
    for i in range(0, len(MASSES), 4):
        one.mass.set_value(MASSES[i])
        limit = zd.upper_limit(one.loss, one.poi)
        np.testing.assert_array_equal(numbers(scan)[i], [limit.observed, *limit.expected])


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing_to_the_last_bit(one, scan, threads):
    with ThreadPoolExecutor(threads) as pool:
        found = scanned(one, executor=pool)
    np.testing.assert_array_equal(numbers(found), numbers(scan))
    np.testing.assert_array_equal(found.p0, scan.p0)


def test_a_limit_does_not_depend_on_the_masses_before_it(one, scan):
    np.testing.assert_array_equal(numbers(scanned(one, MASSES[7:9])), numbers(scan)[7:9])


def test_masses_are_sorted_and_each_is_done_once(one, scan):
    again = scanned(one, [*MASSES[3::-1], MASSES[2]])
    np.testing.assert_array_equal(again.masses, MASSES[:4])
    np.testing.assert_array_equal(numbers(again), numbers(scan)[:4])


def test_the_mass_stands_where_it_stood(one):
    one.mass.set_value(0.47)
    scanned(one, MASSES[:2])
    assert float(one.mass.value()) == 0.47


def test_all_masses_share_one_program(one, scan):
    assert [name for name, *_ in compiled(one.loss)._programs] == ["hypothesis"]


def test_what_a_scan_refuses(one):
    with pytest.raises(InputError, match="at least one mass"):
        scanned(one, [])
    with pytest.raises(InputError, match="only finite ones"):
        scanned(one, [0.4, np.nan])
    with pytest.raises(InputError, match="give mass="):
        zd.scan(one.loss, MASSES, poi=one.poi)
    with pytest.raises(InputError, match=f"not a fixed parameter.* that are: .*{one.mass.name}"):
        zd.scan(one.loss, MASSES, poi=one.poi, mass=one.poi)
    with pytest.raises(InputError, match=r"mass=0.47: give the parameter itself"):
        zd.scan(one.loss, MASSES, poi=one.poi, mass=0.47)


def test_an_error_in_a_thread_comes_out(one, monkeypatch):
    from zfit_dark.profile import CompiledLoss

    whole, calls = CompiledLoss.hypothesis, []

    def failing(self, *args, **how):
        calls.append(args)
        if len(calls) == 4:
            raise InputError("the fourth")
        return whole(self, *args, **how)

    monkeypatch.setattr(CompiledLoss, "hypothesis", failing)
    with pytest.raises(InputError, match="the fourth"):
        scanned(one)
    assert float(one.mass.value()) == 0.47


def test_a_mass_outside_the_limits_of_its_parameter_is_skipped_with_the_reason(one, scan):
    one.mass.upper = 0.5
    try:
        found = scanned(one, MASSES)
    finally:
        one.mass.upper = None
    inside = MASSES <= 0.5
    np.testing.assert_array_equal(found.masses, MASSES[inside])
    np.testing.assert_array_equal(numbers(found), numbers(scan)[inside])
    assert [each.mass for each in found.skipped] == MASSES[~inside].tolist()
    assert all("outside the limits of parameter" in each.reason for each in found.skipped)


def test_a_mass_whose_signal_is_outside_the_range_of_the_fit_is_skipped(one):
    stood = float(one.mass.value())
    found = scanned(one, [0.25, 0.47, 470.0])
    assert found.masses.tolist() == [0.47]
    assert [each.mass for each in found.skipped] == [0.25, 470.0]
    assert {e.reason for e in found.skipped} == {
        "its signal is outside the range of the fit, 0.3 to 0.7"
    }
    assert float(one.mass.value()) == stood
