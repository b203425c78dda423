"""Candidates of a search: from a file or from objects in memory to one array per channel.

Nothing is dropped in silence: whatever does not reach the arrays is counted in the report, and
what cannot be right is an `InputError`.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from zfit_dark.errors import InputError

if TYPE_CHECKING:
    import boost_histogram

__all__ = ["Candidates", "read"]

FloatArray = npt.NDArray[np.float64]
_T = TypeVar("_T")

_CHUNK = "16 MB"
_TREE_TYPES = ("TTree", "ROOT::RNTuple")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""How the address of a file elsewhere begins, such as https:// and root://."""

_IN_A_CUT = (
    *(ast.Name, ast.Load, ast.BoolOp, ast.boolop, ast.UnaryOp, ast.unaryop),
    *(ast.Compare, ast.cmpop, ast.operator),
)
"""What a cut may be made of: nothing of it can run code, or reach into an object."""
_OPERATORS = (
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow),
    *(ast.BitAnd, ast.BitOr, ast.BitXor),
)


@dataclass(frozen=True, eq=False)
class Candidates:
    """The candidates of each channel, inside the limits. Arrays are read-only.

    Attributes:
        values: Channel to its values in GeV, shape (events,), in the order of the source.
        weights: Channel to its weights, shape (events,), or None where all weigh 1.
        report: What was read and what was left out and why, as lines of text.
        inputs: One record per file that was read: ``path``, ``sha256`` and ``size`` in bytes.
    """

    values: dict[str, FloatArray]
    weights: dict[str, FloatArray | None]
    report: tuple[str, ...]
    inputs: tuple[dict[str, Any], ...]


def read(
    source: str | os.PathLike[str] | Mapping[str, Any],
    channels: Sequence[str],
    *,
    limits: tuple[float, float] | Mapping[str, tuple[float, float]],
    branch: str | Mapping[str, str] = "mass",
    trees: Mapping[str, str] | None = None,
    cut: str | Mapping[str, str] | None = None,
    weights: str | None = None,
) -> Candidates:
    r"""Read the candidates of every channel.

    Args:
        source: A ROOT file with one TTree or RNTuple per channel, read in chunks; or a mapping
            from channel to a numpy array, a pandas Series or DataFrame (its column `branch` is
            taken), or a one-dimensional hist.Hist. A histogram becomes weighted events at its
            bin centres, which is right only where bins are much finer than the resolution: the
            report tells the bin width.
        channels: The channels to read. One without candidates takes part with 0 events, but it
            has to be there.
        limits: (low, high) in GeV, both included, for all channels or for each.
        branch: The branch, or column, that holds the values in GeV, for all channels or for each.
        trees: Channel to name of its tree in the file; a channel that is not in it has a tree of
            its own name.
        cut: Selects entries of the trees, e.g. ``"(Mbc > 5.27) & (abs(deltaE) < 0.1)"``, in the
            expression language of uproot, for all channels or for each. Files only. Unlike
            uproot's own, it works for RNTuples, has to be a condition, and can hold nothing but
            branches, numbers, operators and mathematical functions.
        weights: The branch, or column, that holds the weights; None: every candidate weighs 1.

    Returns:
        The arrays with the report and the hashes of the files.

    Raises:
        InputError: The file is missing, truncated, no ROOT file, or changes while it is read; a
            tree, branch, column or channel is missing; a branch does not hold one number per
            entry; the cut is wrong; a channel has candidates but all of them are NaN, infinite or
            outside the limits; weights are negative, NaN or infinite; there is too little memory.

    >>> import numpy as np
    >>> data = {"Kplus": np.array([0.5, 1.2, np.nan, 7.0]), "KS": np.array([])}
    >>> candidates = read(data, ["Kplus", "KS"], limits=(0.16, 4.5))
    >>> candidates.values["Kplus"].tolist()
    [0.5, 1.2]
    >>> print(*candidates.report, sep="\n")
    Kplus: 2 of 4 candidates are used
    Kplus: 1 of 4 candidates is NaN or infinite and was left out
    Kplus: 1 of 4 candidates lies outside 0.16-4.5 GeV and was left out
    KS: 0 candidates, the channel takes part with 0 events
    """
    names = list(channels)
    if isinstance(channels, str) or not names or len(set(names)) != len(names):
        raise InputError(f"channels is {channels!r}; give a list of different names")
    bounds = {name: _bounds(name, _of(limits, name, "limits")) for name in names}
    branches = {name: _of(branch, name, "branch") for name in names}
    if isinstance(source, Mapping):
        if trees is not None or cut is not None:
            raise InputError("trees and cut apply to files; select the candidates beforehand")
        return _from_mapping(source, bounds, branches, weights)
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            f"cannot read candidates from a {type(source).__name__}; give a ROOT file or a mapping "
            "from channel to array"
        )
    if _ADDRESS.match(os.fspath(source)):
        raise InputError(f"{source}: an address; download the file, and give the path to it")
    cuts = {name: _of(cut, name, "cut") for name in names}
    path = Path(source)
    try:
        return _from_file(path, bounds, branches, dict(trees or {}), cuts, weights)
    except MemoryError as error:
        raise _too_large(path, error) from error


# -- one channel, chunk by chunk ------------------------------------------------------------


class _Channel:
    """Collects the candidates of one channel and counts what is left out."""

    def __init__(self, name: str, bounds: tuple[float, float], where: str = "") -> None:
        self.name = name
        self.bounds = bounds
        self.where = f" ({where})" if where else ""
        self.noun = "candidates"
        self.entries = 0
        self.total = 0
        self.not_finite = 0
        self.outside = 0
        self.like_mev = 0
        self.span = (math.inf, -math.inf)
        self.values: list[FloatArray] = []
        self.weights: list[FloatArray] = []
        self.notes: list[str] = []

    def add(self, values: FloatArray, weights: FloatArray | None) -> None:
        low, high = self.bounds
        finite = np.isfinite(values)
        inside = finite & (values >= low) & (values <= high)
        self.total += len(values)
        self.not_finite += int(np.sum(~finite))
        self.outside += int(np.sum(finite & ~inside))
        in_gev = values / 1000
        self.like_mev += int(np.sum((in_gev >= low) & (in_gev <= high)))
        if finite.any():
            least, most = self.span
            known = values[finite]
            self.span = (min(least, float(known.min())), max(most, float(known.max())))
        self.values.append(values[inside])
        if weights is not None:
            kept = weights[inside]
            bad = int(np.sum(~np.isfinite(kept) | (kept < 0)))
            if bad:
                raise InputError(
                    f"{self.name}: {bad} of {len(kept)} weights are negative, NaN or infinite"
                    f"{self.where}; give weights that are 0 or more"
                )
            self.weights.append(kept)

    def finish(self) -> tuple[FloatArray, FloatArray | None, list[str]]:
        """Values, weights (None if there are none) and the lines of the report."""
        low, high = self.bounds
        values = _joined(self.values)
        weights = _joined(self.weights) if self.weights else None
        limits = f"{low:g}-{high:g} GeV"
        if self.total and not len(values):
            least, most = self.span
            found = "all are NaN or infinite"
            if least <= most:
                found = f"they go from {least:g} to {most:g}"
            hint = "check branch, unit and limits"
            if 2 * self.like_mev > self.total - self.not_finite:
                hint = "the values look like MeV; divide by 1000"
            raise InputError(
                f"{self.name}: none of {self.total} {self.noun} is inside {limits}{self.where}; "
                f"{found}; {hint}"
            )
        if self.total:
            lines = [f"{len(values)} of {self.total} {self.noun} {_are(len(values))} used"]
        else:
            lines = [f"0 {self.noun}, the channel takes part with 0 events"]
        of_total = f"of {self.total} {self.noun}"
        if self.not_finite:
            n = self.not_finite
            lines.append(f"{n} {of_total} {_are(n)} NaN or infinite and {_were(n)} left out")
        if self.outside:
            n = self.outside
            lie = "lies" if n == 1 else "lie"
            lines.append(f"{n} {of_total} {lie} outside {limits} and {_were(n)} left out")
        if weights is not None and len(weights):
            lines.append(f"the sum of weights is {weights.sum():.6g}")
        lines += self.notes
        return values, weights, [f"{self.name}: {line}{self.where}" for line in lines]


def _collect(
    channels: Iterable[_Channel], report: Iterable[str], inputs: tuple[dict[str, Any], ...]
) -> Candidates:
    values: dict[str, FloatArray] = {}
    weights: dict[str, FloatArray | None] = {}
    lines: list[str] = []
    for channel in channels:
        values[channel.name], weights[channel.name], own = channel.finish()
        lines += own
    return Candidates(values, weights, (*lines, *report), inputs)


def _joined(chunks: list[FloatArray]) -> FloatArray:
    array = np.concatenate(chunks) if chunks else np.empty(0)
    array.setflags(write=False)
    return array


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _were(n: int) -> str:
    return "was" if n == 1 else "were"


# -- objects in memory ----------------------------------------------------------------------


def _from_mapping(
    source: Mapping[str, Any],
    bounds: Mapping[str, tuple[float, float]],
    branches: Mapping[str, str],
    weights: str | None,
) -> Candidates:
    missing = [name for name in bounds if name not in source]
    if missing:
        raise InputError(
            f"no data for {_listed(missing)}; the data has {_listed(source)}; give an empty array "
            "for a channel without candidates"
        )
    channels = []
    for name in bounds:
        channel = _Channel(name, bounds[name])
        _add_object(channel, source[name], branches[name], weights)
        channels.append(channel)
    unknown = [str(name) for name in source if name not in bounds]
    report = [f"not read, as no channel has this name: {_listed(unknown)}"] if unknown else []
    return _collect(channels, report, ())


def _add_object(channel: _Channel, data: Any, branch: str, weights: str | None) -> None:
    if not isinstance(data, np.ndarray | list | tuple):
        import boost_histogram
        import pandas

        if isinstance(data, boost_histogram.Histogram):
            if weights is not None:
                raise InputError(f"{channel.name}: a histogram has no column {weights!r} (weights)")
            _add_histogram(channel, data)
            return
        if isinstance(data, pandas.DataFrame):
            columns = [str(column) for column in data.columns]
            wanted = [branch] if weights is None else [branch, weights]
            for column in wanted:
                _check_there(f"{channel.name}: no column", column, columns, "the columns are")
            arrays = [_numbers(channel.name, c, _without_na(data[c])) for c in wanted]
            channel.add(arrays[0], arrays[1] if weights is not None else None)
            return
        if isinstance(data, pandas.Series):
            data = _without_na(data)
    if weights is not None:
        raise InputError(
            f"{channel.name}: weights={weights!r} needs a column of that name; give a DataFrame"
        )
    try:
        if isinstance(data, np.ma.MaskedArray):
            data = np.ma.filled(data.astype(np.float64), np.nan)
        values = np.asarray(data)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{channel.name}: the data does not make an array ({_first_line(error)}); "
            "give one number per candidate"
        ) from error
    channel.add(_numbers(channel.name, None, values), None)


def _without_na(series: Any) -> npt.NDArray[Any]:
    """The values of a pandas Series, the missing ones of nullable columns as NaN."""
    from pandas.api import types

    numeric = types.is_numeric_dtype(series) and not types.is_bool_dtype(series)
    if numeric and not types.is_complex_dtype(series):
        return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))
    return np.asarray(series)


def _add_histogram(channel: _Channel, histogram: boost_histogram.Histogram[Any]) -> None:
    import boost_histogram

    axes = histogram.axes
    regular = isinstance(axes[0], boost_histogram.axis.Regular | boost_histogram.axis.Variable)
    if len(axes) != 1 or not regular or histogram.kind != "COUNT":
        raise InputError(
            f"{channel.name}: not a histogram of counts in one variable; "
            "give one with a single Regular or Variable axis in GeV"
        )
    contents = np.asarray(histogram.values(), dtype=np.float64)
    filled = contents != 0
    channel.noun = "filled bins"
    channel.add(np.asarray(axes[0].centers)[filled], contents[filled])
    widths = 1000 * np.asarray(axes[0].widths)
    width = f"{widths[0]:.4g}"
    if not np.allclose(widths, widths[0]):
        width = f"{widths.min():.4g} to {widths.max():.4g}"
    channel.notes.append(
        f"binned: the bins, {width} MeV wide, are used as weighted events at their centres; "
        "right only if that is much finer than the resolution"
    )
    everything = np.asarray(histogram.values(flow=True), dtype=np.float64)
    flow = 0.0
    if axes[0].traits.underflow:
        flow += float(everything[0])
    if axes[0].traits.overflow:
        flow += float(everything[-1])
    if flow:
        channel.notes.append(f"{flow:g} entries in under- and overflow were left out")


# -- ROOT files -----------------------------------------------------------------------------


def _from_file(
    path: Path,
    bounds: Mapping[str, tuple[float, float]],
    branches: Mapping[str, str],
    trees: Mapping[str, str],
    cuts: Mapping[str, str | None],
    weights: str | None,
) -> Candidates:
    import uproot

    strangers = [name for name in trees if name not in bounds]
    if strangers:
        raise InputError(f"trees names {_listed(strangers)}; the channels are {_listed(bounds)}")
    _check_file(path)
    before = _state(path)
    try:
        file = uproot.open(path)
    except Exception as error:  # uproot raises many kinds for damaged files
        raise damaged(path, error) from error
    with file:
        size = before[0]
        if file.file.fEND > size:
            raise InputError(
                f"{path}: truncated, {size} of {file.file.fEND} bytes are there; copy it again"
            )
        there = [key for key, kind in _classes(path, file).items() if kind in _TREE_TYPES]
        channels = []
        for name in bounds:
            tree_name = trees.get(name, name)
            _check_there(f"{path}: no tree", tree_name, there, "the trees are")
            where = f"{path}:{tree_name}/{branches[name]}"
            channel = _Channel(name, bounds[name], where)
            _add_tree(channel, path, file, tree_name, branches[name], cuts[name], weights)
            channels.append(channel)
        used = {trees.get(name, name) for name in bounds}
    unknown = [key for key in there if key not in used]
    report = [f"not read, as no channel uses it: {_listed(unknown)} ({path})"] if unknown else []
    name = os.fsencode(path).decode("utf-8", "backslashreplace")  # a name may be no text
    record = {"path": name, "sha256": _sha256(path), "size": size}
    if _state(path) != before:
        raise _changing(path)
    return _collect(channels, report, (record,))


def _check_file(path: Path) -> None:
    """Refuse what is no ROOT file, or cannot be read."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise InputError(f"{path}: {what}; give a ROOT file")
        with path.open("rb") as raw:
            magic = raw.read(4)
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = "check the path"
        file, _, tree = str(path).rpartition(":")
        if Path(file).is_file():
            hint = f"give {file}, and {tree!r} as the name of a tree"
        raise InputError(f"{path}: no such file; {hint}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if magic != b"root":
        raise InputError(f"{path}: not a ROOT file; give one with a tree per channel")


def _state(path: Path) -> tuple[int, ...]:
    """Size of a file, and what else differs once it was changed or replaced."""
    try:
        found = path.stat()
    except OSError as error:
        raise _changing(path) from error
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev


def _changing(path: Path) -> InputError:
    return InputError(
        f"{path}: changed while it was read; wait until it is complete, and read it again"
    )


def _classes(path: Path, file: Any) -> dict[str, str]:
    try:
        classes: dict[str, str] = file.classnames(cycle=False)
    except Exception as error:
        raise damaged(path, error) from error
    return classes


def _add_tree(
    channel: _Channel,
    path: Path,
    file: Any,
    tree_name: str,
    branch: str,
    cut: str | None,
    weights: str | None,
) -> None:
    where = f"{path}:{tree_name}"
    try:
        tree = file[tree_name]
        there = sorted(str(key) for key in tree.keys())  # noqa: SIM118 (not a dict)
    except Exception as error:
        raise damaged(path, error) from error
    wanted = [branch] if weights is None else [branch, weights]
    for name in wanted:
        _check_there(f"{where}: no branch", name, there, "the branches are")
    needed = _cut_branches(cut, there, where) if cut is not None else []
    for arrays in _chunks(path, tree, list(dict.fromkeys([*wanted, *needed]))):
        columns = [_numbers(where, name, arrays[name]) for name in wanted]
        channel.entries += len(columns[0])
        if cut is not None:
            selected = _selected(cut, arrays, needed, where)
            columns = [column[selected] for column in columns]
        channel.add(columns[0], columns[1] if weights is not None else None)
    if cut is not None:
        channel.notes.append(f"{channel.total} of {channel.entries} entries pass the cut {cut!r}")


def _chunks(path: Path, tree: Any, names: list[str]) -> Iterator[dict[str, npt.NDArray[Any]]]:
    try:
        for arrays in tree.iterate(names, library="np", step_size=_CHUNK):
            yield {name: arrays[name] for name in names}
    except Exception as error:
        raise damaged(path, error) from error


def _cut_branches(cut: str, there: list[str], where: str) -> list[str]:
    """The branches that a cut needs."""
    import uproot
    from uproot.language.python import python_language

    if cut not in there:
        _check_harmless(cut, where)
    try:
        names = list(dict.fromkeys(python_language.free_symbols(cut, there, {}, where, "")))
    except uproot.KeyInFileError as error:
        unknown = str(error.key)
        raise InputError(
            f"{where}: the cut {cut!r} uses {unknown!r}, which is no branch; "
            f"{_there(unknown, there, 'the branches are')}"
        ) from error
    except (SyntaxError, TypeError, ValueError) as error:
        raise InputError(
            f"{where}: the cut {cut!r} is not an expression ({_first_line(error)})"
        ) from error
    for name in names:
        _check_there(f"{where}: the cut needs the branch", name, there, "the branches are")
    if not names:
        raise InputError(f"{where}: the cut {cut!r} uses no branch; write a condition on branches")
    return names


def _check_harmless(cut: str, where: str) -> None:
    """Refuse a cut that is not made of names, numbers, operators and calls of functions alone.

    uproot compiles it as Python: ``(mass + 0).tofile("x")`` would write a file.
    """
    try:
        nodes = list(ast.walk(ast.parse(cut, mode="eval").body))
        wrong = next((ast.unparse(node) for node in nodes if not _harmless(node)), None)
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(
            f"{where}: the cut {cut!r} is not an expression ({_first_line(error)})"
        ) from error
    if wrong is not None:
        raise InputError(
            f"{where}: the cut {cut!r} is refused for {wrong!r}; use nothing but "
            "branches, numbers, operators and functions such as abs"
        )


def _harmless(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, _OPERATORS) and not _endless(node)
    if isinstance(node, ast.Call):  # its function is looked up among uproot's own by name
        return isinstance(node.func, ast.Name) and not node.keywords
    if isinstance(node, ast.Attribute):  # a branch with dots in its name
        return isinstance(node.value, ast.Attribute | ast.Name)
    if isinstance(node, ast.Constant):  # a text: get("name of a branch")
        return isinstance(node.value, int | float | str)
    return isinstance(node, _IN_A_CUT)


def _endless(node: ast.BinOp) -> bool:
    """Whether Python itself would work it out, however large: a power of numbers, 9 * a text."""
    parts = list(ast.walk(node))
    if any(isinstance(part, ast.Name) for part in parts):
        return False
    texts = [part for part in parts if isinstance(part, ast.Constant) and type(part.value) is str]
    return bool(texts) or isinstance(node.op, ast.Pow)


def _selected(
    cut: str, arrays: dict[str, npt.NDArray[Any]], needed: list[str], where: str
) -> npt.NDArray[np.bool_]:
    """The entries that pass a cut.

    uproot evaluates its `cut` argument for TTrees only (for RNTuples it is ignored without a
    word), and takes any number for a condition, NaN being true. So its expression language is
    called directly, with stand-ins for the branches.
    """
    from uproot.language.python import python_language

    tree = object()
    branches = [SimpleNamespace(cache_key=name, name=name, parent=tree) for name in needed]
    context = [(cut, {"is_primary": True, "is_cut": False, "branches": branches})]
    try:
        computed = python_language.compute_expressions(
            tree, arrays, context, set(needed), {}, where, ""
        )[cut]
    except MemoryError:
        raise
    except Exception as error:
        hint = "; combine conditions with & and |, each in parentheses"
        raise InputError(
            f"{where}: the cut {cut!r} cannot be evaluated ({_first_line(error)}){hint}"
        ) from error
    selected = np.asarray(computed)
    if selected.dtype != np.bool_ or selected.shape != arrays[needed[0]].shape:
        raise InputError(
            f"{where}: the cut {cut!r} is not a condition on single numbers; "
            "compare, e.g. 'Mbc > 5.27'"
        )
    return selected


def damaged(path: Path, error: Exception) -> InputError:
    """The words for what uproot raises on a file that it cannot read."""
    words = str(error)  # of what followed from a MemoryError, too
    if isinstance(error, MemoryError) or "MemoryError" in words or "start new thread" in words:
        return _too_large(path, error)
    return InputError(
        f"{path}: cannot be read, perhaps damaged or truncated ({_first_line(error)}); copy it "
        "again or open it with ROOT"
    )


def _too_large(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path}: too little memory to read it ({_first_line(error)}); allow more, or write a file "
        "of only those candidates that pass the cut"
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as raw:
            while block := raw.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise _changing(path) from error
    return digest.hexdigest()


# -- checks and words -----------------------------------------------------------------------


def _numbers(where: str, name: str | None, array: npt.NDArray[Any]) -> FloatArray:
    """The array as float64, if it holds one real number per candidate."""
    what = f"{where}: the branch or column {name!r}" if name else f"{where}: the data"
    nested = array.dtype.kind == "O" and array.size > 0 and np.ndim(array.flat[0]) > 0
    if array.ndim != 1 or nested:
        raise InputError(f"{what} does not hold one number per candidate; flatten it beforehand")
    if len(array) == 0:
        return np.empty(0)
    if array.dtype.kind not in "iuf":
        raise InputError(f"{what} holds no numbers (type {array.dtype}); choose another")
    return array.astype(np.float64)


def _of(setting: _T | Mapping[str, _T], name: str, what: str) -> _T:
    """What a setting says for a channel."""
    if not isinstance(setting, Mapping):
        return setting
    if name not in setting:
        raise InputError(f"{what} says nothing for the channel {name}; it has {_listed(setting)}")
    return setting[name]


def _bounds(name: str, limits: Iterable[float]) -> tuple[float, float]:
    values = tuple(float(value) for value in limits)
    if len(values) != 2 or not all(map(math.isfinite, values)) or not values[0] < values[1]:
        raise InputError(f"limits of {name} are {values}; give (low, high) in GeV, low < high")
    return values[0], values[1]


def _check_there(what: str, name: str, there: Sequence[str], label: str) -> None:
    if name not in there:
        raise InputError(f"{what} {name!r}; {_there(name, there, label)}")


def _there(name: str, there: Sequence[str], label: str) -> str:
    close = difflib.get_close_matches(name, there, n=1)
    guess = f"; did you mean {close[0]!r}?" if close else ""
    return f"{label} {_listed(there)}{guess}"


def _listed(names: Iterable[object]) -> str:
    texts = [str(name) for name in names]
    shown = ", ".join(texts[:20]) or "(none)"
    return f"{shown} and {len(texts) - 20} more" if len(texts) > 20 else shown


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
