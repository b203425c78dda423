"""One result of the shards of a scan."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

from zfit_dark.errors import InputError
from zfit_dark.results import LifetimeScan, Scan

_READERS: dict[str, Callable[[Path], Scan | LifetimeScan]] = {
    "scan.json": Scan.from_json,
    "limits.root": LifetimeScan.from_root,
}


def merged(folder: str | os.PathLike[str]) -> Scan | LifetimeScan:
    """The whole scan that ``zfit-dark scan --shard K/N --out FOLDER`` left the parts of.

    Args:
        folder: with a folder for every shard.

    Raises:
        InputError: there is no shard, one is missing, or they are not of the same scan; what is
            missing, or differs, is named.
    """
    found: dict[tuple[int, int], tuple[Path, Any]] = {}
    for name, read in _READERS.items():
        for path in sorted(Path(folder).glob(f"shard-*/{name}")):
            part = read(path)
            number = _shard_of(part, path)
            if number in found:
                raise InputError(f"{path}: shard {_text(number)} is also in {found[number][0]}")
            found[number] = path, part
    if not found:
        raise InputError(f"{folder}: no shard is there; zfit-dark scan --shard K/N makes them")
    totals = sorted({n for _, n in found})
    if len(totals) > 1:
        raise InputError(f"{folder}: shards of {' and of '.join(map(str, totals))}")
    missing = [k for k in range(1, totals[0] + 1) if (k, totals[0]) not in found]
    if missing:
        numbers = ", ".join(_text((k, totals[0])) for k in missing)
        raise InputError(f"{folder}: shards are missing: {numbers}; run them again")
    parts = [found[number] for number in sorted(found)]

    def joined(so_far: Any, each: tuple[Path, Any]) -> Any:
        path, part = each
        if type(part) is not type(so_far):
            raise InputError(f"{path}: a shard of another kind of scan than {parts[0][0]}")
        try:
            return so_far.merge(part)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    whole: Scan | LifetimeScan = reduce(joined, parts[1:], parts[0][1])
    return whole


def _shard_of(part: Scan | LifetimeScan, path: Path) -> tuple[int, int]:
    """The number of a shard, and how many there are, as its settings tell."""
    scan = part if isinstance(part, Scan) else next(iter(part.scans.values()))[0]
    try:
        k, n = scan.provenance["settings"]["shard"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a shard of a scan") from error
    return int(k), int(n)


def _text(shard: tuple[int, int]) -> str:
    return f"{shard[0]}/{shard[1]}"
