"""What is told of a scan while it runs: bars, lines of batch logs, JSON for programs."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import sys
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sixty_candidates import counting
from test_cli import Capture, refused

import zfit_dark as zd
from zfit_dark import cli, progress
from zfit_dark.checkpoint import masses_done
from zfit_dark.errors import InputError
from zfit_dark.results import Limit

LIMIT = Limit(
    observed=3.0,
    expected=(1.0, 2.0, 3.0, 4.0, 5.0),
    poi_hat=0.5,
    poi_error=1.0,
    p0=0.25,
    level=0.95,
    method="asymptotic",
    test_statistic="qtilde",
    valid=True,
)
FAILED = replace(LIMIT, valid=False, warnings=("the fit did not converge", "at a bound"))
FULL = Path("/dev/full")


def lines_of(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


# -- the log for programs -------------------------------------------------------------------


def scan(out: Path, masses: str, *more: object) -> list[str]:
    """The arguments of a quick scan, of counts, that draws nothing."""
    common = ["scan", "idm", "--modes", "mumu", "--shard", "1/1", "--out", out]
    return [str(each) for each in [*common, "--masses", masses, *more]]


def test_the_log_of_a_scan_that_goes_on(tmp_path: Path, capsys: Capture) -> None:
    """A line a limit, with the numbers of the result; those found before are not told again."""
    log = tmp_path / "scan.log"
    assert cli.main(scan(tmp_path, "0.7,1.6", "--log", log)) == 0
    first = lines_of(log)
    assert cli.main(scan(tmp_path, "0.7,1.6,2.4", "--log", log)) == 0
    both = lines_of(log)
    assert both[: len(first)] == first
    assert [line.get("mass_GeV") for line in both] == [None, 0.7, 1.6, None, None, 2.4, None]
    assert both[0]["message"].startswith(f"zfit-dark {zd.__version__}: ")
    assert both[-1]["message"] == "finished"
    assert {line["level"] for line in both} == {"INFO"}
    times = [datetime.fromisoformat(line["time"]) for line in both]
    assert times == sorted(times)
    assert {time.utcoffset() for time in times} == {timedelta(0)}
    found = zd.Scan.from_json(tmp_path / "shard-1-of-1" / "scan.json")
    limits = [line for line in both if "mass_GeV" in line]
    assert [line["p0"] for line in limits] == found.p0.tolist()
    assert [line["valid"] for line in limits] == found.valid.tolist()
    assert "2 limits were found before" in capsys.readouterr().out


def test_the_log_has_the_numbers_of_the_scan(tmp_path: Path) -> None:
    log = tmp_path / "scan.log"
    with progress.logged(log):
        found = zd.scan(counting(), [0.7, 1.2, 1.6, 2.4], progress=False)
    lines = sorted(lines_of(log), key=lambda line: line["mass_GeV"])  # several threads
    for name in ("observed", "expected", "poi_hat", "p0", "valid"):
        assert [line[name] for line in lines] == getattr(found, name).tolist()
    assert [tuple(line["warnings"]) for line in lines] == list(found.warnings)
    assert [line["message"] for line in lines] == [
        f"{mass:.4g} GeV: limit {limit:.6g}"
        for mass, limit in zip(found.masses, found.observed, strict=True)
    ]
    table = pd.read_json(log, lines=True)  # as the documentation says
    assert table.sort_values("mass_GeV")["p0"].tolist() == pytest.approx(found.p0.tolist())


def test_limits_are_records_of_the_logger(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="zfit_dark"):
        found = zd.scan(counting(), [0.7], progress=False)
        progress.tell(2.4, FAILED)
    told = [
        (record.name, record.levelname, record.__dict__["result"]["mass_GeV"])
        for record in caplog.records
    ]
    limits = [("zfit_dark", "INFO", mass) for mass in found.masses]
    assert told == [*limits, ("zfit_dark", "WARNING", 2.4)]


def test_what_json_does_not_know_is_null(tmp_path: Path) -> None:
    log = tmp_path / "scan.log"
    blind = replace(LIMIT, observed=np.nan, poi_hat=np.nan, poi_error=np.nan, p0=np.nan, blind=True)
    with progress.logged(log):
        progress.tell(0.7, blind)
        progress.tell(1.6, replace(FAILED, observed=np.inf))
    hidden, failed = lines_of(log)
    assert (hidden["observed"], hidden["p0"], hidden["expected"]) == (None, None, [1, 2, 3, 4, 5])
    assert hidden["level"] == "INFO"
    assert (failed["level"], failed["valid"], failed["observed"]) == ("WARNING", False, None)
    assert failed["warnings"] == ["the fit did not converge", "at a bound"]


def test_the_logger_is_left_as_it_was(tmp_path: Path) -> None:
    before = (progress.LOG.level, list(progress.LOG.handlers))
    with pytest.raises(ZeroDivisionError), progress.logged(tmp_path / "scan.log"):
        1 / 0  # noqa: B018
    assert (progress.LOG.level, list(progress.LOG.handlers)) == before


@pytest.mark.parametrize(
    ("name", "why"),
    [("", "Is a directory"), ("none/scan.log", "No such file or directory")],
)
def test_a_log_that_cannot_be_written(name: str, why: str, tmp_path: Path, capsys: Capture) -> None:
    log = tmp_path / name
    told = refused(capsys, *scan(tmp_path, "0.7", "--log", log))
    assert told == f"{log}: the log cannot be written ({why}); give another --log"
    assert not list(tmp_path.rglob("scan.json"))


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
def test_a_log_on_a_full_disk(tmp_path: Path, capsys: Capture) -> None:
    told = refused(capsys, *scan(tmp_path, "0.7", "--log", FULL))
    assert (
        told == f"{FULL}: the log cannot be written (No space left on device); give another --log"
    )
    kept = tmp_path / "scan.checkpoint"
    with pytest.raises(InputError, match="the log cannot be written"), progress.logged(FULL):
        zd.scan(counting(), [0.7, 1.6], progress=False, checkpoint=kept)
    assert masses_done(kept) == [0.7]  # what was found before it could not be told


# -- standard error -------------------------------------------------------------------------


@pytest.mark.parametrize("quiet", [False, True])
def test_a_line_for_every_limit_that_is_not_valid(
    quiet: bool, tmp_path: Path, capsys: Capture
) -> None:
    log = tmp_path / "scan.log"
    with cli.words.told(log, quiet):
        progress.tell(0.7, LIMIT)
        progress.tell(1.6, FAILED)
        progress.tell(2.4, replace(FAILED, warnings=()))
    lines = [
        "zfit-dark: 1.6 GeV: no valid limit: the fit did not converge; at a bound",
        "zfit-dark: 2.4 GeV: no valid limit: no reason is known",
    ]
    assert capsys.readouterr().err.splitlines() == ([] if quiet else lines)
    levels = [line["level"] for line in lines_of(log)]
    assert levels == ["INFO", "INFO", "WARNING", "WARNING", "INFO"]


def test_quiet_leaves_only_errors(tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(scan(tmp_path, "0.7", "--quiet")) == 0
    assert capsys.readouterr() == ("", "")
    told = refused(capsys, *scan(tmp_path, "0.7", "--quiet", "--shard", "1/none"))
    assert told == "--shard '1/none': give K/N, K from 1 to N"


class Clock:
    """Seconds, which pass only when told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(progress, "monotonic", lambda: self.now)


def test_lines_of_a_batch_log(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """With rate and time left, at most one in half a minute."""
    clock = Clock(monkeypatch)
    with progress.bar(100, progress=True) as advance:
        for k in range(100):
            clock.now += 8.0 if k < 50 else 1.0
            advance(progress.in_gev(0.5 + k / 100))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "4 of 100 done, 0.125/s, 0:12:48 left, last 0.53 GeV"
    assert lines[1] == "8 of 100 done, 0.125/s, 0:12:16 left, last 0.57 GeV"
    counts = [int(line.split()[0]) for line in lines]
    assert counts == [*range(4, 49, 4), 64, 94]  # 30 s: first 2 of 8 s and 14 of 1 s, then 30
    assert lines[-1] == "94 of 100 done, 0.213/s, 0:00:28 left, last 1.43 GeV"


def test_a_quick_scan_tells_nothing(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    clock = Clock(monkeypatch)
    with progress.bar(2, progress=True) as advance:
        clock.now += progress.SECONDS_BETWEEN_LINES - 1
        advance("one")
        advance("two")
    assert capsys.readouterr().err == ""


def test_a_scan_in_a_batch_job(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Of several threads, each mass counts once."""
    ticks = iter(range(0, 10**6, 40))
    monkeypatch.setattr(progress, "monotonic", lambda: float(next(ticks)))
    masses = [0.7, 1.2, 1.6, 2.4]
    zd.scan(counting(), masses)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(", last")[0] for line in lines] == [
        "1 of 4 done",  # the first waits for the compiler, and tells no rate
        *(f"{k} of 4 done, 0.025/s, {timedelta(seconds=40 * (4 - k))} left" for k in range(2, 5)),
    ]
    assert {line.rpartition("last ")[2] for line in lines} == {f"{m} GeV" for m in masses}
    zd.scan(counting(), masses, progress=False)
    assert capsys.readouterr().err == ""


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Standard error on a terminal; what is called tells what was written to it."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "JPY_PARENT_PID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    ours, theirs = pty.openpty()
    tty.setraw(theirs)

    def written() -> str:
        os.set_blocking(ours, False)
        found = b""
        while True:
            try:
                found += os.read(ours, 65536)
            except OSError:  # no more
                return found.decode()

    with monkeypatch.context() as patch, os.fdopen(theirs, "w", encoding="utf-8") as stream:
        patch.setattr(sys, "stderr", stream)
        yield written
    os.close(ours)


def shown(text: str) -> list[str]:
    """The lines of a terminal, as far as the bar moves in it: up, home and erase."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|.|\n", text):
        if part == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif part == "\r":
            column = 0
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part.endswith("A") and part.startswith("\x1b"):
            row -= int(part[2:-1] or 1)
        elif not part.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


def test_a_bar_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """With number, rate and time left; it is gone at the end."""
    clock = Clock(monkeypatch)
    with terminal(monkeypatch) as written:
        with progress.bar(10, progress=True) as advance:
            for words in ("0.7 GeV", "1.6 GeV", "2.4 GeV"):
                clock.now += 2.0
                advance(words)
        text = written()
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
        assert "compiling" in plain
        assert re.search("2.4 GeV ━[^\r\n]* 3/10 0.5/s 0:00:14", plain)
        assert not any(shown(text))
        with progress.bar(3, progress=False) as advance:
            advance("0.7 GeV")
        assert written() == ""


def test_a_failed_fit_is_told_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as written:
        with cli.words.told(None, False), progress.bar(2, progress=True) as advance:
            for mass, limit in ((0.7, LIMIT), (1.6, FAILED)):
                progress.tell(mass, limit)
                advance(progress.in_gev(mass))
        lines = [line for line in shown(written()) if line]
    assert lines == ["zfit-dark: 1.6 GeV: no valid limit: the fit did not converge; at a bound"]


def test_a_scan_in_a_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with terminal(monkeypatch) as written:
        assert cli.main(scan(tmp_path, "0.7,1.6")) == 0
        text = written()
    assert "2/2" in text
    assert not any(shown(text))
