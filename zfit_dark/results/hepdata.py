"""Results as records for HEPData: tables in YAML, with what is needed to read them.

A record is a folder with ``submission.yaml``, a YAML file a table, and the plots as PNG with their
thumbnails. Masses and lifetimes are written in full, all other numbers with six significant digits;
a number that is not there is ``-``, an infinite one ``inf`` or ``-inf``.

Source: the format of HEPData, https://hepdata-submission.readthedocs.io.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zfit_dark import __version__
from zfit_dark.errors import InputError
from zfit_dark.results.scan import EXPECTED_COLUMNS, by_reason, cause, flagged_of, yes_no

if TYPE_CHECKING:
    from zfit_dark.results.exclusion import Exclusion, Interval
    from zfit_dark.results.lifetimes import LifetimeScan
    from zfit_dark.results.scan import Scan

Qualifiers = Mapping[str, tuple[float | str, str]]
"""Name to value and unit."""

_DIGITS = 6
_ALL_DIGITS = 17
_THUMBNAIL = (240, 180)
_MISSING = "-"
_SIGMAS = ("-2 sigma", "-1 sigma", "median", "+1 sigma", "+2 sigma")
_PSEUDO_DATA = "PSEUDO-DATA: these numbers come from generated, not from recorded data."
_BLIND = "Blind: only what is expected, nothing of the data."


# -- the records ----------------------------------------------------------------------------


def write_scan(
    scan: Scan,
    folder: str | os.PathLike[str],
    images: Iterable[str | os.PathLike[str]],
    qualifiers: Qualifiers | None,
) -> None:
    """The record of `Scan.to_hepdata`."""
    table = _limits("Table 1", scan, _about(scan), _checked(qualifiers))
    _write(Path(folder), [(table, images)], _origin(scan))


def write_lifetimes(
    result: LifetimeScan,
    folder: str | os.PathLike[str],
    images: Mapping[str, Iterable[str | os.PathLike[str]]] | None,
    qualifiers: Qualifiers | None,
) -> None:
    """The record of `LifetimeScan.to_hepdata`."""
    images = images or {}
    for channel in set(images) - set(result.channels):
        known = ", ".join(result.channels)
        raise InputError(f"images of an unknown channel {channel!r}; the channels are {known}")
    given = _checked(qualifiers)
    tables: list[tuple[Any, Iterable[str | os.PathLike[str]]]] = []
    for channel, scans in result.scans.items():
        plots = images.get(channel, ())
        for ctau, scan in zip(result.lifetimes, scans, strict=True):
            about = f"Channel {channel} at a lifetime c tau of {ctau:g} cm. {_about(scan)}"
            at_ctau = {**given, "Channel": (channel, ""), "Lifetime c tau": (float(ctau), "cm")}
            tables.append((_limits(f"Table {len(tables) + 1}", scan, about, at_ctau), plots))
            plots = ()
    _write(Path(folder), tables, _origin(result.scans[result.channels[0]][0]))


def write_exclusion(
    exclusion: Exclusion,
    folder: str | os.PathLike[str],
    images: Iterable[str | os.PathLike[str]],
    qualifiers: Qualifiers | None,
) -> None:
    """The record of `Exclusion.to_hepdata`."""
    regions = {"observed": exclusion.observed, "expected": exclusion.expected}
    if exclusion.blind:
        del regions["observed"]
    tables = [
        _excluded(f"Table {number}", exclusion, which, region, _checked(qualifiers))
        for number, (which, region) in enumerate(regions.items(), start=1)
    ]
    pictures = [list(images), *([] for _ in tables[1:])]
    _write(Path(folder), list(zip(tables, pictures, strict=True)), _origin(exclusion))


# -- tables ---------------------------------------------------------------------------------


def _limits(name: str, scan: Scan, about: str, qualifiers: Qualifiers) -> Any:
    """The table of limits: one row a hypothesis, those that were not scanned too."""
    frame = scan.to_pandas()
    common = {**qualifiers, **_data(scan)}
    of_limits: Qualifiers = {
        **common,
        "Confidence level": (float(f"{100 * scan.level:.12g}"), "%"),
        "Procedure": ("CLs", ""),
        "Method": (scan.method, ""),
        "Test statistic": (scan.test_statistic, ""),
    }
    columns = [_independent("Mass", frame["mass_GeV"], "GeV")]
    of, unit = scan.poi_label, scan.poi_unit
    if not scan.blind:
        observed = _dependent(f"Observed upper limit on {of}", frame["observed"], unit, of_limits)
        columns.append(_with_errors(observed, frame["observed_error"], "toys"))
    for column, sigma in zip(EXPECTED_COLUMNS, _SIGMAS, strict=True):
        title = f"Expected upper limit on {of}, {sigma}"
        columns.append(_dependent(title, frame[column], unit, of_limits))
    if not scan.blind:
        best = _dependent(f"Best fit of {of}", frame["poi_hat"], unit, common)
        columns.append(_with_errors(best, frame["poi_error"], "fit"))
        columns.append(_dependent("Local p-value", frame["p0"], "", common))
        columns.append(_dependent("Local significance", frame["significance"], "sigma", common))
    valid = frame["valid"].map({True: yes_no(True), False: yes_no(False)}).fillna(_MISSING)
    columns.append(_dependent("Converged", valid))
    remarks = zip(frame["warnings"], frame["how"], strict=True)
    columns.append(_dependent("Remarks", ["; ".join(filter(None, both)) for both in remarks]))
    return _table(name, about, scan, scan.poi, ["upper limits", "CLs"], columns, qualifiers)


def _excluded(
    name: str,
    exclusion: Exclusion,
    which: str,
    region: Sequence[tuple[Interval, ...]],
    qualifiers: Qualifiers,
) -> Any:
    """The table of excluded intervals: one row an interval, and one a mass without any."""
    rows: list[tuple[float, Interval | None, str, str]] = []
    for mass, intervals, valid in zip(exclusion.masses, region, exclusion.valid, strict=True):
        rows += [(mass, interval, yes_no(valid), "") for interval in intervals]
        rows += [] if intervals else [(mass, None, yes_no(valid), "nothing is excluded")]
    rows += [(s.mass, None, _MISSING, f"not scanned: {s.reason}") for s in exclusion.skipped]
    rows.sort(key=lambda row: row[0])
    common: Qualifiers = {
        **qualifiers,
        "Confidence level": (float(f"{100 * exclusion.level:.12g}"), "%"),
        "Limits": (which, ""),
        **_data(exclusion),
    }
    of, unit = exclusion.coupling_label, exclusion.coupling_unit
    columns = [_independent("Mass", [row[0] for row in rows], "GeV")]
    for end in ("low", "high"):
        values = [math.nan if row[1] is None else getattr(row[1], end) for row in rows]
        columns.append(_dependent(f"Excluded {of}, {end} end", values, unit, common))
        kinds = [_kind_of_end(row[1], end) for row in rows]
        columns.append(_dependent(f"What the {end} end is", kinds))
    columns.append(_dependent("Limits valid", [row[2] for row in rows]))
    columns.append(_dependent("Remarks", [row[3] for row in rows]))
    about = (
        f"Intervals of {exclusion.coupling} that the {which} limits exclude against mass, one row "
        f"an interval. Model: {exclusion.model}. Channels: {', '.join(exclusion.channels)}. "
        f"Assumptions: {'; '.join(exclusion.assumptions) or 'none'}. A crossing is where theory"
        " and limit are equal; where the limits end, nothing is known beyond. Where the limits are"
        f" not valid, more may be excluded. Not scanned: {by_reason(exclusion.skipped) or '0'}."
    )
    return _table(name, about, exclusion, exclusion.coupling, ["exclusion"], columns, qualifiers)


def _kind_of_end(interval: Interval | None, end: str) -> str:
    if interval is None:
        return _MISSING
    return "crossing" if getattr(interval, f"{end}_is_crossing") else "the limits end there"


def _about(scan: Scan) -> str:
    """What the table of limits holds, in sentences."""
    return (
        f"Upper limits on {scan.poi} against mass at {100 * scan.level:g} % confidence level by CLs"
        f" (method {scan.method}, test statistic {scan.test_statistic}). Where a fit did not"
        " converge ('Converged' is 'no') the numbers are not to be relied on."
        f" Masses {flagged_of([scan])}; not scanned: {by_reason(scan.skipped) or '0'}."
    )


def _checked(qualifiers: Qualifiers | None) -> Qualifiers:
    for name, pair in (qualifiers or {}).items():
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise InputError(
                f'the qualifier {name} is {pair!r}; give (value, unit), "" for no unit'
            )
    return qualifiers or {}


def _data(result: Scan | Exclusion) -> Qualifiers:
    return {"Data": ("pseudo-data" if result.pseudo_data else "data", "")}


def _origin(result: Scan | Exclusion) -> str:
    """Where the record comes from: the comment on all its tables."""
    lines = [
        f"Written by zfit_dark {__version__}.",
        f"Search: {result.provenance.get('search') or 'none by name'}.",
        *([_PSEUDO_DATA] if result.pseudo_data else []),
    ]
    return " ".join(lines)


# -- hepdata-lib ----------------------------------------------------------------------------


def _library() -> Any:
    try:
        import hepdata_lib
    except ImportError as error:
        raise InputError(
            "a record for HEPData needs hepdata-lib: pip install 'zfit-dark[hepdata]'"
        ) from error
    return hepdata_lib


def _cell(value: Any) -> float | str:
    """A value as HEPData wants it."""
    if isinstance(value, str):
        return " ".join(value.split()) or _MISSING
    if math.isnan(value):
        return _MISSING
    return float(value) if math.isfinite(value) else str(float(value))


def _independent(name: str, values: Iterable[float], unit: str) -> Any:
    column = _library().Variable(name, is_independent=True, is_binned=False, units=unit)
    column.values = [_cell(value) for value in values]
    column.digits = _ALL_DIGITS
    return column


def _dependent(
    name: str,
    values: Iterable[float | str],
    unit: str = "",
    qualifiers: Qualifiers | None = None,
) -> Any:
    column = _library().Variable(
        name, is_independent=False, is_binned=False, units=unit, zero_uncertainties_warning=False
    )
    column.values = [_cell(value) for value in values]
    column.digits = _DIGITS
    for key, (value, its_unit) in (qualifiers or {}).items():
        column.add_qualifier(key, value, its_unit)
    return column


def _with_errors(column: Any, errors: Iterable[float], label: str) -> Any:
    """The column with symmetric errors, where it has a number and the error is one."""
    uncertainty = _library().Uncertainty(label)
    uncertainty.values = [
        None if isinstance(value, str) or math.isnan(error) else _cell(error)
        for value, error in zip(column.values, errors, strict=True)
    ]
    column.add_uncertainty(uncertainty)
    return column


def _table(
    name: str,
    about: str,
    result: Scan | Exclusion,
    observable: str,
    phrases: list[str],
    columns: Iterable[Any],
    qualifiers: Qualifiers,
) -> Any:
    table = _library().Table(name)
    notes = [_PSEUDO_DATA] if result.pseudo_data else []
    notes += [_BLIND] if result.blind else []
    table.description = " ".join([*notes, about])
    table.location = ""  # a figure or table of the paper, once there is one
    kinds = ["pseudo-data"] if result.pseudo_data else []
    kinds += ["blind"] if result.blind else []
    table.keywords = {"observables": [observable], "phrases": [*phrases, *kinds]}
    if "SQRT(S)" in qualifiers:
        table.keywords["cmenergies"] = [qualifiers["SQRT(S)"][0]]
    for column in columns:
        table.add_variable(column)
    return table


# -- files ----------------------------------------------------------------------------------


def _write(
    folder: Path,
    tables: Sequence[tuple[Any, Iterable[str | os.PathLike[str]]]],
    comment: str,
) -> None:
    """Write a record in one step, after HEPData's own validator has accepted it."""
    import yaml

    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder}: is there, and not empty; give a new folder")
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as parent:
            record = Path(parent) / "record"
            record.mkdir()
            made_with = _library().Submission().additional_resources
            head = yaml.safe_dump(
                {"comment": comment, "additional_resources": made_with}, explicit_start=True
            )
            (record / "submission.yaml").write_text(head, encoding="utf-8")
            for table, images in tables:
                for image in images:
                    _add_image(table, Path(image), record)
                table.write_output(str(record))  # adds itself to submission.yaml
            _check(record, folder)
            os.replace(record, folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({cause(error)})") from error


def _add_image(table: Any, image: Path, record: Path) -> None:
    """Copy a plot into the record, with the thumbnail that HEPData shows beside its table."""
    from PIL import Image

    if image.suffix != ".png":
        raise InputError(
            f"{image}: HEPData shows PNG; save the plot under a name that ends in .png"
        )
    if (record / image.name).exists():
        raise InputError(f"{image}: another image has the same file name; rename one of them")
    thumbnail = f"thumb_{image.name}"
    try:
        with Image.open(image) as picture:
            picture.thumbnail(_THUMBNAIL)
            picture.save(record / thumbnail)
        shutil.copyfile(image, record / image.name)
    except OSError as error:
        raise InputError(f"{image}: cannot be read ({cause(error)})") from error
    table.add_additional_resource("Image file", image.name)
    table.add_additional_resource("Thumbnail image file", thumbnail)


def _check(record: Path, folder: Path) -> None:
    """Refuse a record that HEPData would refuse."""
    from hepdata_validator.full_submission_validator import FullSubmissionValidator

    validator = FullSubmissionValidator()
    if not validator.validate(directory=str(record)):
        told = [message.message for found in validator.get_messages().values() for message in found]
        words = " ".join("; ".join(told).split()).replace(f"{record}{os.sep}", "")
        raise InputError(f"{folder}: HEPData would refuse the record: {words}")
