"""Limits against mass and lifetime, in several channels."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zfit_dark.errors import InputError
from zfit_dark.results import trees
from zfit_dark.results.checks import BoolArray, FloatArray, frozen
from zfit_dark.results.scan import (
    Scan,
    Skipped,
    by_reason,
    check_format,
    damage_told,
    decoded,
    encoded,
    flagged_of,
    settings_of,
    typed,
)

if TYPE_CHECKING:
    import pandas

_FORMAT_NAME = "zfit_dark lifetime scan"
_FORMAT_VERSION = 1
_COMMON = ("level", "method", "test_statistic", "blind", "poi_unit", "pseudo_data")
_OF_A_SCAN = ("poi", "poi_label")
_SAME = 1e-9
"""Masses, and lifetimes, that differ by less than this part of them are the same."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LifetimeScan:
    """Upper limits against mass for several lifetimes, in one or more channels.

    Attributes:
        lifetimes: Proper lifetimes ctau in cm, increasing, shape (k,). Read-only.
        scans: Channel to its k scans, one a lifetime. Masses may differ between channels and
            between lifetimes; a scan without a mass says that there is no limit at its lifetime.

    Raises:
        InputError: Lifetimes are not positive and increasing, a channel has another number of
            scans, or scans differ in level, method, test statistic, blinding, unit or kind of data.
    """

    lifetimes: FloatArray
    scans: Mapping[str, tuple[Scan, ...]]

    def __post_init__(self) -> None:
        lifetimes = frozen("LifetimeScan.lifetimes", self.lifetimes, (None,))
        positive = np.all(np.isfinite(lifetimes) & (lifetimes > 0))
        if not len(lifetimes) or not positive or np.any(np.diff(lifetimes) <= 0):
            raise InputError("LifetimeScan.lifetimes must be positive and increasing, in cm")
        object.__setattr__(self, "lifetimes", lifetimes)
        scans = {channel: tuple(of_channel) for channel, of_channel in self.scans.items()}
        if not scans:
            raise InputError("LifetimeScan.scans has no channel; give at least one")
        object.__setattr__(self, "scans", scans)
        for channel, of_channel in scans.items():
            if len(of_channel) != len(lifetimes):
                raise InputError(
                    f"{channel}: {len(of_channel)} scans for {len(lifetimes)} lifetimes"
                )
            for lifetime, scan in zip(lifetimes, of_channel, strict=True):
                self._check_common(f"{channel} at ctau = {lifetime:g} cm", scan)

    def _check_common(self, where: str, scan: Scan) -> None:
        for name in _COMMON:
            wanted, found = getattr(self._first, name), getattr(scan, name)
            if found != wanted:
                raise InputError(
                    f"{where}: {name} is {found!r}, but {wanted!r} in the first scan; "
                    "scan all with one of them"
                )

    @property
    def _first(self) -> Scan:
        return next(iter(self.scans.values()))[0]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return tuple(self.scans)

    @property
    def level(self) -> float:
        """Confidence level of all limits, e.g. 0.90."""
        return self._first.level

    @property
    def blind(self) -> bool:
        """Whether no number comes from the data under the signal hypothesis, see `Scan`."""
        return self._first.blind

    @property
    def pseudo_data(self) -> bool:
        """Whether the data was generated, not recorded."""
        return self._first.pseudo_data

    # -- limits -----------------------------------------------------------------------------

    def at(self, channel: str, ctau: float) -> Scan:
        """The limits of a channel at one of the lifetimes.

        Args:
            channel: Name of the channel.
            ctau: Lifetime in cm.

        Raises:
            InputError: There is no such channel or lifetime.
        """
        scans = self._of(channel)
        row = _row(self.lifetimes, ctau)
        if row is None:
            known = ", ".join(f"{lifetime:g}" for lifetime in self.lifetimes)
            raise InputError(f"no limits at ctau = {ctau:g} cm; the lifetimes are {known} cm")
        return scans[row]

    def masses(self, channel: str) -> FloatArray:
        """All masses of a channel with a limit at one lifetime or more, increasing, in GeV.

        Raises:
            InputError: There is no such channel.
        """
        masses: FloatArray = np.unique(np.concatenate([scan.masses for scan in self._of(channel)]))
        return masses

    def limits_at(self, channel: str, mass: float) -> FloatArray:
        """Observed limits against lifetime.

        Args:
            channel: Name of the channel.
            mass: One of its `masses`, in GeV.

        Returns:
            One number a lifetime, shape (k,); NaN where the mass has none, or fits behind it did
            not converge.

        Raises:
            InputError: There is no such channel, or no limit at this mass.
        """
        limits = np.full(len(self.lifetimes), np.nan)
        for k, row in self._rows(channel, mass):
            scan = self.scans[channel][k]
            limits[k] = scan.observed[row] if scan.valid[row] else np.nan
        return limits

    def expected_at(self, channel: str, mass: float) -> FloatArray:
        """Expected limits against lifetime, for -2, -1, 0, +1, +2 sigma.

        Args:
            channel: Name of the channel.
            mass: One of its `masses`, in GeV.

        Returns:
            Five numbers a lifetime, shape (k, 5); NaN as in `limits_at`.

        Raises:
            InputError: There is no such channel, or no limit at this mass.
        """
        limits = np.full((len(self.lifetimes), 5), np.nan)
        for k, row in self._rows(channel, mass):
            scan = self.scans[channel][k]
            limits[k] = scan.expected[row] if scan.valid[row] else np.nan
        return limits

    def flagged_at(self, channel: str, mass: float) -> BoolArray:
        """Lifetimes where the limit at a mass is not valid or carries a warning, shape (k,).

        Args:
            channel: Name of the channel.
            mass: One of its `masses`, in GeV.

        Raises:
            InputError: There is no such channel, or no limit at this mass.
        """
        flagged = np.zeros(len(self.lifetimes), dtype=np.bool_)
        for k, row in self._rows(channel, mass):
            scan = self.scans[channel][k]
            flagged[k] = not scan.valid[row] or bool(scan.warnings[row])
        return flagged

    def _of(self, channel: str) -> tuple[Scan, ...]:
        if channel not in self.scans:
            known = ", ".join(self.channels)
            raise InputError(f"unknown channel {channel!r}; the channels are {known}")
        return self.scans[channel]

    def _rows(self, channel: str, mass: float) -> list[tuple[int, int]]:
        """(lifetime, row) of each scan of the channel with this mass."""
        scans = self._of(channel)
        rows = [(k, _row(scan.masses, mass)) for k, scan in enumerate(scans)]
        found = [(k, row) for k, row in rows if row is not None]
        if not found:
            raise InputError(f"{channel}: no limit at {mass:.6g} GeV ({_why(scans, mass)})")
        return found

    # -- tables and files -------------------------------------------------------------------

    def to_pandas(self) -> pandas.DataFrame:
        """All hypotheses of all channels and lifetimes, also the skipped ones, as one table.

        Its index is sorted and has the levels ``channel``, ``ctau_cm`` and ``mass_GeV``; its
        columns are the others of `Scan.to_pandas`.
        """
        import pandas as pd

        frames = {
            (channel, lifetime): scan.to_pandas().set_index("mass_GeV")
            for channel, lifetime, scan in self._all()
        }
        table: pandas.DataFrame = pd.concat(frames, names=["channel", "ctau_cm", "mass_GeV"])
        return table.sort_index()

    def _all(self) -> Iterator[tuple[str, float, Scan]]:
        """Channel, lifetime and scan of each scan, in order."""
        for channel, scans in self.scans.items():
            yield from zip([channel] * len(scans), self.lifetimes.tolist(), scans, strict=True)

    def to_root(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a ROOT file, in one step: a reader never sees half a file.

        `from_root` gives back the same, bit for bit. For other tools, the file holds:

        - ``limits``: a TTree with one entry a limit and the branches ``channel`` (its number),
          ``ctau_cm``, ``mass_GeV``, ``observed``, ``observed_error``, ``expected_m2``,
          ``expected_m1``, ``expected_median``, ``expected_p1``, ``expected_p2``, ``poi_hat``,
          ``poi_error``, ``p0``, ``valid``, ``warnings`` and ``how`` (numbers of texts).
        - ``metadata``: level, method and so on, ``channels`` in the order of their numbers, and
          where each scan comes from; a text in JSON, as are the next two.
        - ``texts``: the ``warnings`` and the ``how`` that the tree counts.
        - ``skipped``: the masses that were not scanned, by channel, lifetime and reason.
        - ``zfit_dark_pseudo_data``: there only if the limits come from pseudo-data.

        Raises:
            InputError: The file cannot be written.
        """
        branches, texts = self._branches()
        content = {"metadata": self._metadata(), "texts": texts, "skipped": self._skipped()}
        trees.write(Path(path), branches, content, self.level, pseudo_data=self.pseudo_data)

    def _branches(self) -> tuple[trees.Branches, dict[str, list[Any]]]:
        """The columns of the tree, and the texts that two of them count."""
        scans = [scan for *_, scan in self._all()]
        sizes = [len(scan.masses) for scan in scans]
        k = len(self.lifetimes)
        columns, texts = trees.branches_of(scans)
        place: trees.Branches = {
            "channel": np.repeat(np.arange(len(scans), dtype=np.int32) // k, sizes),
            "ctau_cm": np.repeat(np.tile(self.lifetimes, len(self.scans)), sizes),
        }
        return place | columns, texts

    def _metadata(self) -> dict[str, Any]:
        provenance = [json.dumps(scan.provenance) for *_, scan in self._all()]
        numbers, distinct = trees.numbered(provenance)
        records = [
            {
                "channel": channel,
                "ctau_cm": lifetime,
                "limits": len(scan.masses),
                **{name: getattr(scan, name) for name in _OF_A_SCAN},
                "largest_excess": encoded(scan.largest_excess),
                "toy_excesses": encoded(scan.toy_excesses.tolist()),
                "provenance": int(number),
            }
            for (channel, lifetime, scan), number in zip(self._all(), numbers, strict=True)
        ]
        return {
            "format": f"{_FORMAT_NAME} {_FORMAT_VERSION}",
            **{name: getattr(self._first, name) for name in _COMMON},
            "channels": list(self.channels),
            "lifetimes_cm": self.lifetimes.tolist(),
            "scans": records,
            "provenance": [json.loads(text) for text in distinct],
        }

    def _skipped(self) -> list[dict[str, Any]]:
        records = []
        for channel, lifetime, scan in self._all():
            masses: dict[str, list[float]] = {}
            for hypothesis in scan.skipped:
                masses.setdefault(hypothesis.reason, []).append(hypothesis.mass)
            records.append({"channel": channel, "ctau_cm": lifetime, "masses_GeV": masses})
        return records

    def to_hepdata(
        self,
        folder: str | os.PathLike[str],
        *,
        images: Mapping[str, Iterable[str | os.PathLike[str]]] | None = None,
        qualifiers: Mapping[str, tuple[float | str, str]] | None = None,
    ) -> None:
        """Write a record for HEPData with a table of each channel and lifetime, against mass.

        Args:
            folder: See `Scan.to_hepdata`.
            images: Channel to its plots, PNG files; they belong to its first table.
            qualifiers: See `Scan.to_hepdata`.

        Raises:
            InputError: See `Scan.to_hepdata`; or images are those of an unknown channel.
        """
        from zfit_dark.results.hepdata import write_lifetimes

        write_lifetimes(self, folder, images, qualifiers)

    @classmethod
    def from_root(cls, path: str | os.PathLike[str]) -> LifetimeScan:
        """The scan written by `to_root`.

        Raises:
            InputError: The file is missing, is none of `to_root`, is written in a newer format,
                or is damaged; the message names the file.
        """
        where = os.fspath(path)
        texts, branches = trees.read(Path(path), "lifetime scan", "LifetimeScan.to_root")
        with damage_told(where, "lifetime scan"):
            content = {name: json.loads(text) for name, text in texts.items()}
        metadata = content["metadata"]
        check_format(metadata, where, _FORMAT_NAME, _FORMAT_VERSION, "LifetimeScan.to_root")
        with damage_told(where, "lifetime scan"):
            scans: dict[str, list[Scan]] = {channel: [] for channel in metadata["channels"]}
            first, there = 0, len(branches["mass_GeV"])
            for record, left_out in zip(metadata["scans"], content["skipped"], strict=True):
                rows = slice(first, first + record["limits"])
                part = {name: values[rows] for name, values in branches.items()}
                scan = _scan(metadata, record, part, content["texts"], left_out["masses_GeV"])
                scans[record["channel"]].append(scan)
                first = rows.stop
            if first != there:
                raise InputError(f"{there} limits are there, not {first}")
            return cls(
                lifetimes=metadata["lifetimes_cm"],
                scans={channel: tuple(of_channel) for channel, of_channel in scans.items()},
            )

    def merge(self, other: LifetimeScan) -> LifetimeScan:
        """The hypotheses of both in one, see `Scan.merge`.

        Raises:
            InputError: They differ in lifetimes or channels, or as `Scan.merge`.
        """
        if self.channels != other.channels:
            mine, others = ", ".join(self.channels), ", ".join(other.channels)
            raise InputError(f"cannot merge scans of different channels: {mine}; {others}")
        if not np.array_equal(self.lifetimes, other.lifetimes):
            raise InputError(
                f"cannot merge scans of different lifetimes: {self.lifetimes}, {other.lifetimes}"
            )
        return LifetimeScan(
            lifetimes=self.lifetimes,
            scans={
                channel: tuple(a.merge(b) for a, b in zip(scans, other.scans[channel], strict=True))
                for channel, scans in self.scans.items()
            },
        )

    def summary(self) -> str:
        """A few lines a channel for a terminal: best limit, what is flagged and what is missing.

        The best limit is that among the masses whose fits converged.
        """
        k = len(self.lifetimes)
        span = f"{self.lifetimes[0]:g} to {self.lifetimes[-1]:g} cm"
        lines = [
            f"{len(self.scans)} channels, {k} lifetimes ctau from {span}"
            f" ({settings_of(self._first)})"
        ]
        for channel, scans in self.scans.items():
            lines.append(f"{channel}: {sum(len(scan.masses) for scan in scans)} limits")
            lines += [f"  {line}" for line in self._best(scans)]
            lines.append(f"  {flagged_of(scans)}")
            skipped = chain.from_iterable(scan.skipped for scan in scans)
            lines.append(f"  not scanned: {by_reason(skipped) or '0'}")
        return "\n".join(lines)

    def _best(self, scans: tuple[Scan, ...]) -> list[str]:
        """The line on the best limit of a channel, if there is one."""
        best = []
        for lifetime, scan in zip(self.lifetimes, scans, strict=True):
            limits = scan.expected[:, 2] if self.blind else scan.observed
            known = scan.valid & np.isfinite(limits)
            if known.any():
                row = int(np.argmin(np.where(known, limits, np.inf)))
                best.append((limits[row], scan.masses[row], lifetime))
        if not best:
            return []
        limit, mass, lifetime = min(best)
        kind = "expected" if self.blind else "observed"
        unit = f" {scans[0].poi_unit}" if scans[0].poi_unit else ""
        return [
            f"best {kind} limit: {scans[0].poi} < {limit:.3g}{unit}"
            f" at {mass:.4g} GeV, ctau = {lifetime:g} cm"
        ]


def _row(values: FloatArray, wanted: float) -> int | None:
    """Which of the increasing values is the wanted one."""
    near = int(np.searchsorted(values, wanted))
    for row in (near - 1, near):
        if 0 <= row < len(values) and math.isclose(values[row], wanted, rel_tol=_SAME):
            return row
    return None


def _why(scans: tuple[Scan, ...], mass: float) -> str:
    """Why there is no limit at a mass."""
    for hypothesis in chain.from_iterable(scan.skipped for scan in scans):
        if math.isclose(hypothesis.mass, mass, rel_tol=_SAME):
            return f"not scanned: {hypothesis.reason}"
    masses = np.concatenate([scan.masses for scan in scans])
    if not len(masses):
        return "it has none at any mass"
    return f"the nearest mass with one is {masses[np.argmin(np.abs(masses - mass))]:.6g} GeV"


def _scan(
    metadata: Mapping[str, Any],
    record: Mapping[str, Any],
    part: Mapping[str, npt.NDArray[Any]],
    texts: Mapping[str, list[Any]],
    skipped: Mapping[str, list[float]],
) -> Scan:
    """One of the scans in a file: its own record, and its part of the tree."""
    return Scan(
        **trees.columns_from(part, texts),
        skipped=tuple(Skipped(mass, reason) for reason in skipped for mass in skipped[reason]),
        **{name: typed(metadata, name) for name in _COMMON},
        **{name: typed(record, name) for name in _OF_A_SCAN},
        largest_excess=decoded(record["largest_excess"]),
        toy_excesses=np.array(decoded(record["toy_excesses"])),
        provenance=metadata["provenance"][record["provenance"]],
    )
