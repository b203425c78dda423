"""The record of a scan at work: one line of a file for every mass that is done.

A line is written in one go as soon as its mass is done, and only ever at the end, so that the end
of the process at any instant, by ``kill -9`` too, loses at most the masses in flight. What a
process has written, the system keeps; only a power cut can lose it before it is on the disk, where
it is sent once a second. Every line carries a checksum.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

from zfit_dark.errors import InputError
from zfit_dark.results import Limit
from zfit_dark.results.scan import WRONG, cause, check_format, decoded, encoded, plain_json

_FORMAT_NAME = "zfit_dark checkpoint"
_FORMAT_VERSION = 1
_NUMBERS = ("observed", "observed_error", "expected", "poi_hat", "poi_error", "p0", "level")
_SECONDS_BETWEEN_SYNCS = 1.0
_LONGEST = 80


class Record:
    """The limits that are done, and the file that keeps them; see `opened`.

    Args:
        path: Its name.
        file: Its descriptor; None to keep the limits in memory only.

    Attributes:
        done: Mass in GeV to limit.
    """

    def __init__(self, path: Path | None = None, file: int | None = None) -> None:
        self.done: dict[float, Limit] = {}
        self._path, self._file = path, file
        self._head, self._size, self._synced = b"", 0, monotonic()
        self._alone = Lock()

    def add(self, mass: float, limit: Limit) -> None:
        """Keep the limit at a mass; any thread may.

        Raises:
            InputError: it cannot be written; those before it are kept.
        """
        line = _point(mass, limit)
        with self._alone:
            self._write(self._head + line)
            self._head = b""
            self.done[mass] = limit

    def _write(self, line: bytes) -> None:
        """Append to the file, all or nothing."""
        if self._file is None:
            return
        whole = False
        try:
            whole = os.write(self._file, line) == len(line)
            if not whole:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
                os.fsync(self._file)
                self._synced = monotonic()
        except OSError as error:
            raise InputError(
                f"{self._path}: cannot be written ({cause(error)}); masses kept: "
                f"{len(self.done)}; make room, and run the same again"
            ) from error
        finally:
            if whole:
                self._size += len(line)
            else:
                os.ftruncate(self._file, self._size)

    def _resume(self, identity: Mapping[str, Any]) -> None:
        """Take over what is in the file; a new one is begun with its first limit."""
        assert self._file is not None
        first = _line({"format": f"{_FORMAT_NAME} {_FORMAT_VERSION}", "identity": identity})
        with os.fdopen(self._file, "rb", closefd=False) as stream:
            text = stream.read()
        if first.startswith(text) and text != first:
            os.ftruncate(self._file, 0)
            self._head = first
            return
        there, self.done, self._size = _content(text, str(self._path))
        _check_same(there, identity, str(self._path))
        os.ftruncate(self._file, self._size)


@contextmanager
def opened(
    path: str | os.PathLike[str] | None, identity: Callable[[], Mapping[str, Any]]
) -> Iterator[Record]:
    """The record in a file, which is made if it is not there; no other process can open it.

    A last line that is not whole, of the mass that was in flight, is cut off.

    Args:
        path: The file; None to keep the limits in memory only.
        identity: Tells all that decides the limits, names to plain JSON values. It is not called
            without a file.

    Raises:
        InputError: the file cannot be opened or written, another process has it, it is no
            checkpoint or a damaged one, or its limits have another identity; what differs is named.
    """
    if path is None:
        yield Record()
        return
    here = plain_json("provenance", identity())
    with _locked(Path(path), os.O_CREAT) as file:
        record = Record(Path(path), file)
        record._resume(here)
        yield record
        os.fsync(file)


def masses_done(path: str | os.PathLike[str]) -> list[float]:
    """The masses that a checkpoint holds, in GeV; none if there is no such file.

    Raises:
        InputError: it cannot be read, or is damaged.
    """
    try:
        text = Path(path).read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({cause(error)})") from error
    return list(_content(text, os.fspath(path))[1]) if b"\n" in text else []


def clear(path: str | os.PathLike[str]) -> None:
    """Forget all that a checkpoint holds, if there is one.

    Raises:
        InputError: it cannot be written, or a process has it.
    """
    if Path(path).exists():
        with _locked(Path(path)) as file:
            os.ftruncate(file, 0)


# -- the file -------------------------------------------------------------------------------


@contextmanager
def _locked(path: Path, flags: int = 0) -> Iterator[int]:
    """A descriptor of a file that nobody else has; the system takes the lock off at the end."""
    try:
        file = os.open(path, os.O_RDWR | os.O_APPEND | flags, 0o666)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({cause(error)}); give another") from error
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise InputError(f"{path}: no file that can keep a checkpoint; give another")
        if sys.platform != "win32":  # it has no such locks
            _lock(file, path)
        yield file
    finally:
        os.close(file)


def _lock(file: int, path: Path) -> None:
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"{path}: another process is at work on it; wait for its end, or give another"
        ) from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be locked ({cause(error)}); give one on another disk"
        ) from error


def _line(content: Mapping[str, Any]) -> bytes:
    """A line of the file, with its checksum."""
    text = json.dumps(content, allow_nan=False)
    return json.dumps({**content, "crc32": zlib.crc32(text.encode())}).encode() + b"\n"


def _unpacked(line: bytes) -> dict[str, Any]:
    """The inverse of `_line`.

    Raises:
        ValueError: the line is damaged.
    """
    content = json.loads(line)
    if not isinstance(content, dict):
        raise ValueError("no entries")
    checksum = content.pop("crc32", None)
    if checksum != zlib.crc32(json.dumps(content).encode()):
        raise ValueError("wrong checksum")
    return content


def _point(mass: float, limit: Limit) -> bytes:
    content = {"mass": float(mass), **asdict(limit), "expected": list(limit.expected)}
    return _line(content | {name: encoded(content[name]) for name in _NUMBERS})


def _content(text: bytes, where: str) -> tuple[Mapping[str, Any], dict[float, Limit], int]:
    """Identity and limits of a file, and how long its whole lines are."""
    first, *lines = text.split(b"\n")
    try:
        header = _unpacked(first if lines else b"")
    except (RecursionError, ValueError) as error:
        raise InputError(
            f"{where}, line 1: not the first line of a checkpoint; give another, or delete this "
            "file to start over"
        ) from error
    check_format(header, where, _FORMAT_NAME, _FORMAT_VERSION, "zfit_dark.scan")
    if not isinstance(header.get("identity"), dict):
        raise InputError(f"{where}, line 1: damaged (no identity); delete the file to start over")
    done = {}
    for number, line in enumerate(lines[:-1], 2):
        try:
            content = _unpacked(line)
            mass = float(content.pop("mass"))
            done[mass] = Limit(**content | {name: decoded(content[name]) for name in _NUMBERS})
        except WRONG as error:
            raise InputError(
                f"{where}, line {number}: damaged ({error}); delete it and the lines below it to "
                "work out their masses again, or the file to start over"
            ) from error
    return header["identity"], done, len(text) - len(lines[-1])


def _check_same(there: Mapping[str, Any], here: Mapping[str, Any], where: str) -> None:
    """Refuse limits of another identity."""
    names = [name for name in {**here, **there} if there.get(name) != here.get(name)]
    if names:
        first, *others = names
        both = f"{_short(there.get(first))} there, {_short(here.get(first))} here"
        also = f" (and in {_short(', '.join(others))})" if others else ""
        raise InputError(
            f"{where}: a checkpoint of another scan, which differs in {first}: {both}{also}; give "
            "another, or start this one over (--fresh, or delete the file)"
        )


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
