"""Damaged files and nonsense on the command line: read, or refused in one line; no traceback.

Each property is tried on a few examples, the same in every run, and with ``-m slow`` on more.
"""

from __future__ import annotations

import copy
import json
import re
import zlib
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer
import uproot
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from interrupted import made_up as made_up_limit
from matplotlib.figure import Figure
from test_exclusion import make as make_exclusion
from test_lifetimes import make as make_lifetimes
from test_planes import make as make_plane
from test_report import PNG, coupling_of
from test_results import make_blind_scan, make_scan

import zfit_dark as zd
from zfit_dark import checkpoint, cli, literature, searches
from zfit_dark.errors import InputError
from zfit_dark.numbers import data_file, load_numbers, table_of_sources
from zfit_dark.report import figures
from zfit_dark.results import LifetimeScan, Projection, Scan

Tried = Callable[[st.SearchStrategy[Any], Callable[[Any], None], int], None]


@pytest.fixture(
    params=[pytest.param(1, id="few"), pytest.param(4, id="many", marks=pytest.mark.slow)]
)
def tried(request: pytest.FixtureRequest) -> Tried:
    """Tries a property on so many examples of a strategy; four times as many if slow."""

    def run(strategy: st.SearchStrategy[Any], check: Callable[[Any], None], examples: int) -> None:
        how = settings(
            max_examples=request.param * examples,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # examples are short enough as they are
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )
        how(given(strategy)(check))()

    return run


def zfit_dark(*arguments: Any) -> tuple[int, str]:
    """The exit status of a command, and what it wrote to standard error."""
    out = TextIOWrapper(BytesIO(), encoding="utf-8")
    err = TextIOWrapper(BytesIO(), encoding="utf-8", errors="backslashreplace")
    with redirect_stdout(out), redirect_stderr(err):
        status = cli.main([str(argument) for argument in arguments])
        out.flush()
        err.flush()
    return status, err.buffer.getvalue().decode()  # type: ignore[attr-defined]


def ends_well(*arguments: Any) -> int:
    """The exit status, after a look at the one line with which bad input is refused."""
    status, told = zfit_dark(*arguments)
    assert status in (0, 2)
    if status == 2:
        assert re.fullmatch(r"zfit-dark: error: \S[^\n]*\n", told)
        assert len(told.splitlines()) == 1
        assert "Traceback" not in told
    else:
        assert told == ""
    return status


def is_read(read: Callable[[], Any]) -> bool:
    """Whether something can be read; all else is bad input."""
    try:
        read()
    except InputError:
        return False
    return True


# -- damage ---------------------------------------------------------------------------------

DEEP, LONG = "\ue000deep", "\ue000long"
"""Stand in a value for lists within lists within lists, and for a number of 5000 digits."""
NUMBERS = (0, -1, 1, 0.5, 1e308, -1e308, 5e-324, float("nan"), float("inf"), 2**63, 10**400)
TEXTS = ("", " ", "nan", "1", "\ud800", "\x00", "\x1b[2J", "a\nb", "../../x", "/x", "..", "a/b")
TEXTS += ("<script>alert(1)</script>", r"$\frac$", "$x", "$x^$", "µ′𝒜", "x" * 400, "%s{0}$x", "\\")
TEXTS += (DEEP, LONG)
nasty = st.one_of(
    st.sampled_from([None, True, False, [], {}, [[]], [None], {"": None}, {"a": [1, {}]}]),
    st.sampled_from(NUMBERS),
    st.sampled_from(TEXTS),
    st.floats(),
    st.text(max_size=5),
)


def spoilt(content: Any) -> st.SearchStrategy[Any]:
    """Nested lists and mappings of which a few entries were replaced, repeated or lost."""

    @st.composite
    def entries(draw: st.DrawFn) -> Any:
        root = [copy.deepcopy(content)]
        for _ in range(draw(st.integers(1, 3))):
            holder: Any = root
            key: Any = 0
            while isinstance(part := holder[key], list | dict) and part:
                if holder is not root and draw(st.integers(0, 3)) == 0:
                    break
                holder, keys = part, list(part) if isinstance(part, dict) else range(len(part))
                key = draw(st.sampled_from(keys))
            kind = draw(st.sampled_from(["replace", "replace", "remove", "wrap", "repeat"]))
            if kind == "replace":
                holder[key] = copy.deepcopy(draw(nasty))
            elif kind == "wrap":
                holder[key] = [holder[key]]
            elif kind == "remove" and holder is not root:
                del holder[key]
            elif isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[key]))
            else:
                holder[draw(st.sampled_from(TEXTS))] = holder[key]
        return root[0]

    return entries()


def damaged(raw: bytes) -> st.SearchStrategy[bytes]:
    """Bytes of which a few were changed, cut off, lost, repeated or put in."""

    @st.composite
    def some(draw: st.DrawFn) -> bytes:
        found = bytearray(raw)
        for _ in range(draw(st.integers(1, 4))):
            at = draw(st.integers(0, len(found)))
            end = min(at + draw(st.integers(1, 16)), len(found))
            kind = draw(st.sampled_from(["change", "change", "cut", "lose", "repeat", "put in"]))
            if kind == "change":
                found[at:end] = draw(st.binary(min_size=end - at, max_size=end - at))
            elif kind == "cut":
                del found[at:]
            elif kind == "lose":
                del found[at:end]
            elif kind == "repeat":
                found[at:at] = found[at:end]
            else:
                found[at:at] = draw(st.binary(max_size=8))
        return bytes(found)

    return some()


def as_json(content: Any, depth: int = 100_000) -> bytes:
    text = json.dumps(content)
    for mark, value in ((DEEP, "[" * depth + "]" * depth), (LONG, "9" * 5000)):
        text = text.replace(json.dumps(mark), value)
    return text.encode()


# -- numbers of the searches and shapes of signals ------------------------------------------

SNIPPETS = (
    "!!python/object/apply:os.mkdir [pwned]",
    "!!python/object/new:os.mkdir [pwned]",
    "!!python/name:os.mkdir",
    "!!python/module:os",
    "!!timestamp x",
    "!!int x",
    "!!int ''",
    "!!float x",
    "!!bool x",
    "!!binary x",
    "!!set {a, b}",
    "!!omap [a]",
    "!unknown 1",
    "2001-99-99",
    "0x",
    "190:20:30",
    "[1, 2",
    "{a: 1, a: 2}",
    "{[a]: 1}",
    "{{a: 1}: 1}",
    "{<<: 1}",
    "&a [*a]",
    "&a {a: *a}",
    "*nothing",
    "'",
    '"\\ud800"',
    "\t",
    "|",
    "%",
    "@",
    "=",
    "~",
    "\x00",
    "\x85",
    "[" * 600,
    "9" * 5000,
)


def misspelt(text: str) -> st.SearchStrategy[str]:
    """A YAML text of which a few values or lines are others."""

    @st.composite
    def others(draw: st.DrawFn) -> str:
        lines = text.splitlines()
        for _ in range(draw(st.integers(1, 3))):
            row = draw(st.integers(0, len(lines) - 1))
            snippet = draw(st.sampled_from(SNIPPETS) | st.text(max_size=6))
            kind = draw(st.sampled_from(["value", "value", "line", "again", "indent"]))
            if kind == "value":
                head, colon, tail = lines[row].partition(": ")
                rest = ", " + tail.partition(", ")[2] if "," in tail else ""
                lines[row] = f"{head}{colon}{snippet}{rest}"
            elif kind == "line":
                lines.insert(row, snippet)
            elif kind == "again":
                lines.insert(row, lines[draw(st.integers(0, len(lines) - 1))])
            else:
                lines[row] = " " * draw(st.integers(0, 4)) + lines[row].lstrip()
        return "\n".join(lines) + "\n"

    return others()


def spoilt_yaml(text: str) -> st.SearchStrategy[bytes]:
    return st.one_of(
        spoilt(yaml.safe_load(text)).map(lambda content: as_json(content, depth=600)),
        misspelt(text).map(lambda found: found.encode("utf-8", "surrogatepass")),
        damaged(text.encode()),
    )


@pytest.mark.parametrize("name", searches.names())
def test_numbers_of_a_search(name: str, tried: Tried, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    path, form = tmp_path / "numbers.yaml", type(searches.load(name).NUMBERS)  # type: ignore[attr-defined]

    def check(raw: bytes) -> None:
        path.write_bytes(raw)
        is_read(lambda: table_of_sources(load_numbers(path, form)))
        assert list(tmp_path.iterdir()) == [path]

    tried(spoilt_yaml(data_file(name).read_text("utf-8")), check, 10)


SHAPE = """\
source: a simulation
status: derived
mass: [0.2, 1.0, 3.0]
sigma: [0.008, 0.010, 0.012]
alpha: [1.2, 1.3, 1.4]
n: [3.0, 4.0, 5.0]
shift: [0.0, -0.001, 0.0]
"""


def use(shape: zd.SignalShape) -> None:
    low, high = shape.masses[[0, -1]]
    assert np.isfinite(shape.sigma(low))
    assert np.isfinite(shape.sigma(high))
    assert {values.shape for values in shape.table.values()} == {shape.masses.shape}


def test_the_shape_of_a_signal_in_yaml(tried: Tried, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "shape.yaml"

    def check(raw: bytes) -> None:
        path.write_bytes(raw)
        is_read(lambda: use(zd.SignalShape.from_yaml(path)))
        assert list(tmp_path.iterdir()) == [path]

    tried(spoilt_yaml(SHAPE), check, 60)


TABLE = "# a simulation\nmass,sigma,alpha,n\n0.2,0.008,1.2,3\n1.0,0.010,1.3,4\n3.0,0.012,1.4,5\n"
CELLS = ("", "nan", "inf", "1e400", "-1", "0", "True", "x", '"', "1,2", "1;2", "#", "\x00", "\n")
CELLS += ("9" * 5000, "2001-01-01", "1_000", "0x10", "1j", "µ", "=1+1", " 1 ", "mass")


@st.composite
def other_cells(draw: st.DrawFn) -> bytes:
    cells = re.split("([,\n])", TABLE)
    for _ in range(draw(st.integers(1, 3))):
        cells[draw(st.integers(0, len(cells) - 1))] = draw(st.sampled_from(CELLS))
    return "".join(cells).encode()


def test_the_shape_of_a_signal_in_csv(tried: Tried, tmp_path: Path) -> None:
    path = tmp_path / "shape.csv"

    def check(raw: bytes) -> None:
        path.write_bytes(raw)
        is_read(lambda: use(zd.SignalShape.from_csv(path, source="a test", status="assumed")))

    tried(other_cells() | damaged(TABLE.encode()), check, 60)


# -- results --------------------------------------------------------------------------------

RESULTS: dict[str, Any] = {
    "scan": make_scan(largest_excess=1.2, toy_excesses=[0.5, 1.3]),
    "exclusion": make_exclusion(),
    "plane": make_plane(),
    "projection": Projection(
        luminosities=[100.0, 1000.0], scans=(make_blind_scan(),) * 2, luminosity=100.0, floor=0.02
    ),
}


def content_of(result: Any, folder: Path) -> str:
    result.to_json(folder / "whole.json")
    return (folder / "whole.json").read_text("utf-8")


def spoilt_json(text: str) -> st.SearchStrategy[bytes]:
    return st.one_of(
        spoilt(json.loads(text)).map(as_json),
        damaged(text.encode()),
    )


def look_at(result: Any, folder: Path) -> None:
    """All that can be done with a result but a plot; what is written can be read again."""
    assert result.summary()
    assert len(result.to_pandas()) >= 0
    result.to_csv(folder / "table.csv")
    result.to_json(folder / "again.json")
    again = type(result).from_json(folder / "again.json")
    again.to_json(folder / "third.json")
    assert (folder / "again.json").read_bytes() == (folder / "third.json").read_bytes()


@pytest.mark.parametrize("name", RESULTS)
def test_a_result(name: str, tried: Tried, tmp_path: Path) -> None:
    path, kind = tmp_path / "result.json", type(RESULTS[name])

    def check(raw: bytes) -> None:
        path.write_bytes(raw)
        is_read(lambda: look_at(kind.from_json(path), tmp_path))

    tried(spoilt_json(content_of(RESULTS[name], tmp_path)), check, 40)


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots are laid out, with all their texts, but no pixel is drawn."""

    def lay_out(figure: Figure, path: Path, format: str) -> None:
        figure.draw_without_rendering()
        path.write_bytes(PNG)

    monkeypatch.setattr(Figure, "savefig", lay_out)
    monkeypatch.setattr(figures, "program", lambda: "")


def everything_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def to_limits_of_b2kagg(scan: Scan) -> Scan:
    return scan.scaled(1e-8, poi="bf_kplus", poi_label=scan.poi_label, poi_unit="")


def emptied(folder: Path) -> None:
    for old in folder.iterdir():
        old.unlink()


def everything_else(folder: Path, inside: Path) -> set[Path]:
    """All files and folders below a folder, but those that are right inside another one."""
    return {path for path in folder.rglob("*") if path.parent != inside}


@pytest.mark.usefixtures("sketched")
def test_a_scan_is_drawn_interpreted_and_reported(tried: Tried, tmp_path: Path) -> None:
    out = tmp_path / "here" / "out"
    out.mkdir(parents=True)
    path = out / "scan.json"
    scan = make_scan().scaled(1e-8, poi="bf_kplus", poi_label="$B$", poi_unit="")
    text = content_of(scan, out)
    coupling = content_of(coupling_of(scan), out)
    around = everything_else(tmp_path, out)

    def check(raw: bytes) -> None:
        emptied(out)
        path.write_bytes(raw)
        (out / "coupling.json").write_text(coupling)
        for command in (["plot", path], ["interpret", "b2kagg", path], ["report", out]):
            ends_well(*command)
        assert everything_else(tmp_path, out) == around

    tried(spoilt_json(text), check, 8)


@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize("name", ["exclusion", "plane"])
def test_a_folder_is_reported(name: str, tried: Tried, tmp_path: Path) -> None:
    make_scan().to_json(tmp_path / "scan.json")

    def check(raw: bytes) -> None:
        (tmp_path / f"{name}_x.json").write_bytes(raw)
        ends_well("report", tmp_path)

    tried(spoilt_json(content_of(RESULTS[name], tmp_path)), check, 12)


# -- limits of all lifetimes ----------------------------------------------------------------

TEXTS_IN_ROOT = ("metadata", "texts", "skipped")


@pytest.fixture(scope="module")
def lifetimes_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lifetimes") / "limits.root"
    make_lifetimes().to_root(path)
    return path


@pytest.mark.usefixtures("sketched")
def test_limits_of_all_lifetimes(tried: Tried, tmp_path: Path, lifetimes_file: Path) -> None:
    out = tmp_path / "here" / "out"
    out.mkdir(parents=True)
    path = out / "limits.root"
    with uproot.open(lifetimes_file) as file:
        texts = {name: json.loads(str(file[name])) for name in TEXTS_IN_ROOT}
        branches = file["limits"].arrays(library="np")
    around = everything_else(tmp_path, out)

    def write(content: dict[str, Any]) -> None:
        with uproot.recreate(path) as file:
            for name, entry in content.items():
                file[name] = as_json(entry).decode()
            file.mktree("limits", {n: v.dtype for n, v in branches.items()}).extend(branches)

    def check(content: dict[str, Any] | bytes) -> None:
        emptied(out)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            write(content)
        if is_read(lambda: LifetimeScan.from_root(path).summary()):
            for command in (["plot", path], ["interpret", "b2ks", path], ["report", out]):
                ends_well(*command)
        assert everything_else(tmp_path, out) == around

    tried(spoilt(texts) | damaged(lifetimes_file.read_bytes()), check, 6)


# -- checkpoints ----------------------------------------------------------------------------


def packed(content: Any) -> bytes:
    """A line of a checkpoint, with the checksum of what it says."""
    text = as_json(content)
    return text[:-1] + b', "crc32": %d}' % zlib.crc32(text) if text.endswith(b"}") else text


def test_a_checkpoint(tried: Tried, tmp_path: Path) -> None:
    path = tmp_path / "scan.checkpoint"
    identity = {"level": 0.95, "setting cut": None, "inputs": ["0123"]}
    with checkpoint.opened(path, lambda: identity) as record:
        for mass in (1.0, 1.6, 2.0):
            record.add(mass, made_up_limit(mass))
    raw = path.read_bytes()
    lines = [json.loads(line) for line in raw.splitlines()]
    for line in lines:
        del line["crc32"]

    def go_on() -> None:
        with checkpoint.opened(path, lambda: identity) as record:
            assert all(isinstance(mass, float) for mass in record.done)
            record.add(0.5, made_up_limit(0.5))

    def check(content: bytes) -> None:
        path.write_bytes(content)
        is_read(lambda: checkpoint.masses_done(path))
        is_read(go_on)

    written = spoilt(lines).map(lambda some: b"".join(packed(line) + b"\n" for line in some))
    tried(written | damaged(raw), check, 60)


# -- published limits -----------------------------------------------------------------------


def test_published_limits(tried: Tried, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the package that holds them, of which one is damaged."""
    table = np.full((4, 4), -7.0)
    table[-1, :-1], table[:-1, -1] = (0.3, 0.5, 1.0), (0.0, 1.0, 2.0)
    np.save(tmp_path / "grid.npy", table)
    grid = (tmp_path / "grid.npy").read_bytes()
    rows = b"0.2 0.3 1e-7\n0.3 0.4 2e-7\n0.4 0.5 nan\n"
    package = SimpleNamespace(version="1.2", locate_file=lambda name: tmp_path / Path(name).name)
    monkeypatch.setattr(literature.metadata, "distribution", lambda name: package)
    files = {
        Path(entry["file"]): grid if entry["format"] == "grid" else rows
        for entry in literature._content()["tables"].values()
    }

    def check(spoilt: tuple[bytes, bytes]) -> None:
        for path, whole in files.items():
            raw = spoilt[0] if whole is grid else spoilt[1]
            (tmp_path / path.name).write_bytes(raw)
        is_read(lambda: [found.summary() for found in literature.published()])

    tried(st.tuples(damaged(grid), st.just(rows)), check, 40)
    tried(st.tuples(st.just(grid), damaged(rows)), check, 20)


# -- the command line -----------------------------------------------------------------------

COMMANDS: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
VALUES = ("b2kagg", "b2ks", "idm", "Kplus", "mumu", "KS,Kplus", "Kplus_mumu", "scalar", "mass")
VALUES += ("1", "0.5", "0.95", "2", "0.5,1.0", "1:1.1", "1.0:20", "Kplus=KS", "toys", "auto")
VALUES += ("scan.json", "limits.root", "out", "new/out", "..", ".", "none.json", "text.txt")
NONSENSE = ("", " ", "nan", "inf", "-inf", "-1", "0", "1e400", "1e-400", "0:0", "2:1", "0:1e9")
NONSENSE += ("nan:nan", ":", "1:", ":1", "," * 300, "1," * 300 + "1", "=", "a=", "=a", "--", "-")
NONSENSE += (
    "x" * 5000,
    "9" * 5000,
    "1_0",
    "0x10",
    "１",
    "µ",
    "\udcff",
    "\n",
    "a\tb",
    "\x1b[2J",
    "''",
)
NONSENSE += ("a/b", "../../x", "'", "%s", "{0}", "$x", "*", "1e9", str(2**31), str(2**64), "True")


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command with some of its options; new ones are among them by themselves."""
    name = draw(st.sampled_from(sorted(COMMANDS)))
    value = st.sampled_from(VALUES) | st.sampled_from(NONSENSE)
    value |= st.text(st.characters(exclude_characters="/\0"), max_size=8)
    words = [name]
    options = [p for p in COMMANDS[name].params if p.param_type_name == "option"]
    for parameter in COMMANDS[name].params:
        if parameter not in options and draw(st.integers(0, 9)):
            likely = "scan.json" if parameter.name == "file" else draw(st.sampled_from(VALUES[:3]))
            words.append(draw(st.just(likely) | value))
    chosen = st.lists(st.sampled_from(options), max_size=4) if options else st.just([])
    for option in draw(chosen):
        words.append(draw(st.sampled_from(option.opts)))
        if not option.is_flag and draw(st.integers(0, 19)):
            words.append(draw(value))
    return [*words, *(["--quiet"] if draw(st.booleans()) else [])]


@pytest.fixture
def without_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches read, choose and check what they are asked for; then they stop."""
    from zfit_dark import projecting, scanning
    from zfit_dark.limits import check_asked

    def scan(model: Any, masses: Any, *, level: float, method: str, **_: Any) -> Scan:
        check_asked(level, method, "qtilde")
        raise InputError("enough")

    def project(model: Any, masses: Any, at: Any, of: float, level: float, method: str, **_: Any):
        check_asked(level, method, "qtilde")
        raise InputError("enough")

    def nobody(address: str, timeout: float) -> None:
        raise OSError("nobody is there")

    model = SimpleNamespace(rescaled=lambda *_, **__: model)
    for name in searches.names():
        limits = searches.load(name).limits  # type: ignore[attr-defined]
        monkeypatch.setattr(limits, "Likelihood", lambda *_, **__: model)
        channel = "ShapeChannel" if name == "b2kagg" else "_channel"
        monkeypatch.setattr(limits, channel, lambda *_, **__: None)
    monkeypatch.setattr(scanning, "scan", scan)
    monkeypatch.setattr(projecting, "project", project)
    monkeypatch.setattr(cli.running, "import_module", lambda name: SimpleNamespace(Client=nobody))


@pytest.mark.usefixtures("sketched", "without_fits")
def test_command_lines(
    tried: Tried, tmp_path: Path, lifetimes_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "a" / "b" / "c"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    (here / "text.txt").write_text("no result")
    make_scan().to_json(here / "scan.json")
    (here / "limits.root").write_bytes(lifetimes_file.read_bytes())

    def check(words: list[str]) -> None:
        ends_well(*words)

    tried(command_lines(), check, 60)


@pytest.mark.usefixtures("without_fits")
@pytest.mark.parametrize("workers", ["1001", str(2**31), str(2**64)])
def test_no_machine_has_so_many_processes(workers: str, tmp_path: Path) -> None:
    arguments = ["scan", "idm", "--quiet", "--out", tmp_path, "--workers", workers]
    assert "give 1 or more, up to 1000" in zfit_dark(*arguments)[1]


# -- names and paths ------------------------------------------------------------------------

OUTSIDE = ("../../x", "..", "/x", "a/b", "", "\x00", "a\nb")


@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_in_a_file_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    out = tmp_path / "a" / "b" / "out"
    out.mkdir(parents=True)
    scan = make_scan(poi=name)
    scan.to_json(out / "scan.json")
    lifetimes = LifetimeScan(lifetimes=(1.0,), scans={name: (make_scan(),)})
    lifetimes.to_root(out / "limits.root")
    around = everything_else(tmp_path, out)
    for file in ("scan.json", "limits.root"):
        status = ends_well("plot", out / file)
        assert status == (0 if name in ("..", "") else 2)
        assert everything_else(tmp_path, out) == around
    assert ends_well("interpret", "b2kagg", out / "scan.json") == 2
    assert ends_well("report", out) == 0
    assert everything_else(tmp_path, out) == around


@pytest.mark.parametrize("command", [["generate", "idm"], ["report", "here"]])
@pytest.mark.parametrize("path", ["", ".", "..", "here", "here/scan.json/x"])
@pytest.mark.usefixtures("sketched")
def test_a_file_is_not_written_over_a_folder(
    command: list[str], path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    make_scan().to_json(tmp_path / "here" / "scan.json")
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.rglob("*"))
    assert ends_well(*command, "--out", path) == 2
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize(
    "label", [r"$\frac$", "$x^$", r"$\nothing$", "$x", "\x00", "\\", "x" * 300]
)
def test_a_label_that_cannot_be_drawn(label: str, tmp_path: Path) -> None:
    path = tmp_path / "scan.json"
    make_scan(poi_label=label).to_json(path)
    status, told = zfit_dark("plot", path)
    assert status == (2 if label.startswith("$") and label.endswith("$") else 0)
    assert told.startswith("zfit-dark: error: a label cannot be drawn" if status else "")
    assert told.count("\n") == (status > 0)


# -- nothing in a file is run ---------------------------------------------------------------


def test_no_tag_of_yaml_is_more_than_a_value(tmp_path: Path) -> None:
    path = tmp_path / "shape.yaml"
    for snippet in SNIPPETS:
        if snippet.startswith("!"):
            path.write_text(SHAPE.replace("a simulation", snippet))
            with pytest.raises(InputError, match=r"not a YAML file|must be texts"):
                zd.SignalShape.from_yaml(path)


@pytest.mark.parametrize("more", ["sigma: [0.1, 0.2, 0.3]", "<<: {sigma: [0.1, 0.2, 0.3]}"])
def test_a_key_stands_once_in_yaml(more: str, tmp_path: Path) -> None:
    path = tmp_path / "shape.yaml"
    path.write_text(SHAPE + more + "\n")
    with pytest.raises(InputError, match=r"'sigma' is there twice|'<<' is not read"):
        zd.SignalShape.from_yaml(path)


def test_a_small_yaml_file_does_not_fill_the_memory(tmp_path: Path) -> None:
    """Nine lists of nine aliases of the list before: 400 million numbers, if written out."""
    path = tmp_path / "shape.yaml"
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [
        f"{name}: &{name} [{', '.join(f'*{before}' for _ in range(9))}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    path.write_text("\n".join([*lines, "source: *i", "status: read", "mass: *i", "sigma: *i"]))
    with pytest.raises(InputError, match="source and status must be texts"):
        zd.SignalShape.from_yaml(path)
    path.write_text("\n".join([*lines, "source: a", "status: read", "mass: *i", "sigma: *i"]))
    with pytest.raises(InputError, match="not a number"):
        zd.SignalShape.from_yaml(path)


def test_nothing_that_runs_code_is_called_on_input() -> None:
    """Pickles go between the processes of a scan only; numpy reads none, YAML no object."""
    risky = re.compile(
        r"(?<![.\w])(?:eval|exec|compile|__import__)\(|\bpickle\b|allow_pickle=True|os\.system|shell=True"
        r"|yaml\.(?:unsafe_|full_)?load\((?!.*Loader=_Loader)"
    )
    package = Path(zd.__file__).parent
    found = {
        f"{path.relative_to(package).as_posix()}: {line.strip()}"
        for path in package.rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if risky.search(line) and not line.lstrip().startswith("#")
    }
    assert {line for line in found if not line.startswith("workers.py: ")} == set()
