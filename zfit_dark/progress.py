"""What is told of work that takes a while: a bar, lines of a batch log, a record for programs.

Every limit is a record of Python's logger ``zfit_dark``: INFO, or WARNING if it is not valid, with
its numbers in ``record.result``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from threading import Lock
from time import monotonic
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from zfit_dark.errors import InputError
from zfit_dark.results import Limit

LOG = logging.getLogger("zfit_dark")

SECONDS_BETWEEN_LINES = 30.0
"""Of a batch log, where a bar cannot be drawn."""

_Item = TypeVar("_Item")


def in_gev(mass: Any) -> str:
    """A mass as a bar names it."""
    return f"{mass:.4g} GeV"


def shown(
    items: Sequence[_Item], progress: bool, tell: Callable[[_Item], str] = in_gev
) -> Iterator[_Item]:
    """Masses, or other items, with a progress bar on standard error if wanted.

    Args:
        items: what is worked on.
        progress: whether to show the bar.
        tell: what the bar says of an item that is done.
    """
    with bar(len(items), progress) as advance:
        for item in items:
            yield item
            advance(tell(item))


@contextmanager
def bar(total: int, progress: bool) -> Iterator[Callable[[str], None]]:
    """A progress bar on standard error, with rate and time left.

    In a terminal or a notebook it is drawn; elsewhere, in the log of a batch job, it is a line
    every half a minute.

    Args:
        total: how many items there are.
        progress: whether to show anything.

    Yields:
        What is to be called when an item is done, with what is said of it; any thread may.
    """
    console = Console(stderr=True)
    if progress and (console.is_terminal or console.is_jupyter):
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True, get_time=monotonic) as drawn:
            task = drawn.add_task("compiling", total=total)
            yield lambda words: drawn.update(task, advance=1, description=words)
    elif progress:
        yield _lines(total, console)
    else:
        yield lambda words: None


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.3g}/s")


def _lines(total: int, console: Console) -> Callable[[str], None]:
    """What counts items and tells of them in lines."""
    alone, last = Lock(), monotonic()
    done, first = 0, last

    def advance(words: str) -> None:
        nonlocal done, last, first
        with alone:
            done, now = done + 1, monotonic()
            if done == 1:  # which took as long as compiling
                first = now
            if now - last < SECONDS_BETWEEN_LINES:
                return
            last, pace = now, ""
            if now > first:
                rate = (done - 1) / (now - first)
                left = timedelta(seconds=round((total - done) / rate))
                pace = f"{rate:.3g}/s, {left} left, "
            line = f"{done} of {total} done, {pace}last {words}"
            console.print(line, soft_wrap=True, highlight=False)

    return advance


def tell(mass: float, limit: Limit) -> None:
    """Tell the logger of a limit at a mass."""
    result = {
        "mass_GeV": mass,
        "observed": limit.observed,
        "expected": limit.expected,
        "poi_hat": limit.poi_hat,
        "p0": limit.p0,
        "method": limit.method,
        "valid": limit.valid,
        "warnings": limit.warnings,
    }
    if limit.valid:
        LOG.info("%s: limit %.6g", in_gev(mass), limit.observed, extra={"result": result})
    else:
        reasons = "; ".join(limit.warnings) or "no reason is known"
        LOG.warning("%s: no valid limit: %s", in_gev(mass), reasons, extra={"result": result})


@contextmanager
def logged(path: str | os.PathLike[str]) -> Iterator[None]:
    """Append all that the logger is told to a file, a line of JSON each.

    Every line has ``time`` (UTC), ``level`` and ``message``, that of a limit its numbers too; NaN
    and infinities are null.

    Raises:
        InputError: the file cannot be written, now or later.
    """
    try:
        handler = _File(path, encoding="utf-8")
    except OSError as error:
        raise _not_written(path, error) from error
    handler.setFormatter(_JsonLines())
    before = LOG.level
    LOG.setLevel(logging.INFO)
    LOG.addHandler(handler)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        LOG.setLevel(before)
        with suppress(OSError):  # of what could not be written, which was told
            handler.close()


def _not_written(path: str | os.PathLike[str], error: OSError) -> InputError:
    return InputError(f"{path}: the log cannot be written ({error.strerror}); give another --log")


class _File(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            raise _not_written(self.baseFilename, error) from error
        super().handleError(record)


class Words(logging.Handler):
    """Tells of records on what standard error is by then: a bar puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line; above the bar if one is drawn."""
        with suppress(OSError):  # nobody reads it
            print(f"zfit-dark: {record.getMessage()}", file=sys.stderr, flush=True)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(),
            "level": record.levelname,
            "message": record.getMessage(),
            **getattr(record, "result", {}),
        }
        return json.dumps({name: _plain(value) for name, value in line.items()})


def _plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    if isinstance(value, (str, bool)) or value is None:
        return value
    return [_plain(each) for each in value]
