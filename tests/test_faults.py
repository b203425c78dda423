"""Faults that a scan can meet: each ends in one clear line, and no result is left half written.

Those of checkpoints and of processes are in test_checkpoint.py and test_workers.py.
"""

from __future__ import annotations

import ast
import errno
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import interrupted
import numpy as np
import pandas as pd
import pytest
import uproot
from test_cli import Capture, made_up_scan, refused
from test_lifetimes import make as made_up_lifetimes
from test_projecting import made_up as made_up_projection

import zfit_dark as zd
from zfit_dark import candidates, cli
from zfit_dark.errors import InputError
from zfit_dark.results import LifetimeScan, Scan
from zfit_dark.searches import _samples

PACKAGE = Path(zd.__file__).parent
NOBODY = 65534
MASSES = np.random.default_rng(7).uniform(0.2, 4.4, 500)
FULL = os.strerror(errno.EFBIG)

Write = Callable[[Path], object]


# -- what is written ------------------------------------------------------------------------

WRITERS: dict[str, Write] = {
    "scan.json": lambda path: made_up_scan().to_json(path),
    "scan.csv": lambda path: made_up_scan().to_csv(path),
    "projection.json": lambda path: made_up_projection().to_json(path),
    "projection.csv": lambda path: made_up_projection().to_csv(path),
    "scan.root": lambda path: made_up_scan().to_root(path),
    "limits.root": lambda path: made_up_lifetimes().to_root(path),
    "events.root": lambda path: _samples.write_pseudo_data(path, {"Kplus": {"mass": MASSES}}, {}),
}


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file can grow beyond a size: what is written is cut there, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Not as root, who may write and read everything."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that everybody can reach and write to."""
    folder = tmp_path
    while folder.stat().st_uid == os.getuid() and folder != Path(folder.anchor):
        folder.chmod(folder.stat().st_mode | 0o055)
        folder = folder.parent
    tmp_path.chmod(0o777)
    return tmp_path


def not_written(write: Write, path: Path) -> str:
    """Why a file cannot be written."""
    with pytest.raises(InputError) as told:
        write(path)
    message = str(told.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: cannot be written (")
    return message


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("room", [0, 100, 500])
def test_a_full_disk_leaves_the_old_result(name: str, room: int, tmp_path: Path) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    before = path.read_bytes()
    assert len(before) > room
    with room_for(room):
        assert FULL in not_written(WRITERS[name], path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_plots(tmp_path: Path, capsys: Capture) -> None:
    scan = tmp_path / "scan.json"
    made_up_scan().to_json(scan)
    assert cli.main(["plot", str(scan)]) == 0
    capsys.readouterr()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert {path.suffix for path in before} == {".json", ".png", ".pdf"}
    with room_for(3000):
        told = refused(capsys, "plot", scan)
    assert told == f"{tmp_path / 'limit_bf_kplus.png'}: cannot be written ({FULL})"
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_full_disk_leaves_no_pseudo_data(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "events.root"
    with room_for(3000):
        told = refused(capsys, "generate", "b2kagg", "--modes", "Kplus", "--out", out)
    assert told == f"{out}: cannot be written ({FULL})"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", WRITERS)
def test_an_output_that_exists_is_replaced_and_a_link_stays_one(name: str, tmp_path: Path) -> None:
    path, link = tmp_path / name, tmp_path / f"link_{name}"
    path.write_bytes(b"old")
    link.symlink_to(path)
    WRITERS[name](link)
    assert link.is_symlink()
    assert path.read_bytes() != b"old"
    assert set(tmp_path.iterdir()) == {path, link}


@pytest.mark.parametrize("name", WRITERS)
def test_an_output_that_is_a_folder_or_no_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    message = not_written(WRITERS[name], tmp_path / name)
    assert message.endswith("(a folder is in the way); choose another name")
    pipe = tmp_path / f"pipe_{name}"
    os.mkfifo(pipe)
    message = not_written(WRITERS[name], pipe)
    assert message.endswith("(it is no regular file); choose another name")
    assert pipe.is_fifo()


@pytest.mark.parametrize("name", WRITERS)
def test_an_output_that_is_read_only(name: str, open_folder: Path) -> None:
    path = open_folder / name
    path.write_bytes(b"old")
    path.chmod(0o444)
    with without_privileges():
        message = not_written(WRITERS[name], path)
    assert message.endswith("(it is there, and read-only); choose another name")
    assert path.read_bytes() == b"old"
    path.unlink()
    open_folder.chmod(0o555)
    with without_privileges():
        assert os.strerror(errno.EACCES) in not_written(WRITERS[name], path)
    open_folder.chmod(0o755)


def test_an_output_folder_that_is_read_only(open_folder: Path, capsys: Capture) -> None:
    open_folder.chmod(0o555)
    with without_privileges():
        told = refused(capsys, "scan", "b2kagg", "--out", open_folder)
    open_folder.chmod(0o755)
    why = os.strerror(errno.EACCES)
    assert told == f"{open_folder}: cannot be written to ({why}); choose another --out"


def test_an_output_folder_that_is_a_file(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"old")
    told = refused(capsys, "scan", "b2kagg", "--out", out)
    assert told == f"{out}: cannot be written to (a file is in the way); choose another --out"
    assert out.read_bytes() == b"old"


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    """Names are bytes: where one is no UTF-8, results can be written that tell it."""
    data = write(tmp_path / os.fsdecode(b"M\xfcller.root"))
    sample = _samples.read_sample(data, ["Kplus"], limits={"Kplus": (0.1, 4.5)})
    path = tmp_path / "scan.json"
    replace(made_up_scan(), provenance={"inputs": list(sample.inputs)}).to_json(path)
    (told,) = Scan.from_json(path).provenance["inputs"]
    assert told["path"] == f"{tmp_path}/M\\xfcller.root"


# -- files that are read --------------------------------------------------------------------


def write(path: Path, masses: Any = MASSES, **branches: Any) -> Path:
    """Pseudo-data of one channel."""
    columns = {"mass": np.asarray(masses), **branches}
    with uproot.recreate(path) as file:
        file[_samples._MARK] = '{"search": "b2kagg", "seed": 1}'
        types = {name: (values.dtype, values.shape[1:]) for name, values in columns.items()}
        file.mktree("Kplus", {name: np.dtype(kind) for name, kind in types.items()})
        file["Kplus"].extend(columns)
    return path


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return write(tmp_path / "events.root")


@pytest.fixture
def refusal(capsys: Capture, tmp_path: Path) -> Callable[..., str]:
    """The line with which the scan of a file is refused."""

    def line(path: object, *more: str) -> str:
        out = ("--modes", "Kplus", "--out", tmp_path / "out")
        return refused(capsys, "scan", "b2kagg", "--data", path, *out, *more)

    return line


def test_a_file_cut_anywhere(events: Path, refusal: Callable[..., str]) -> None:
    whole = events.read_bytes()
    cuts = [0, 1, 3, 4, 10, 63, *range(100, len(whole), 1997), len(whole) - 1]
    assert len(cuts) > 15
    for cut in cuts:
        events.write_bytes(whole[:cut])
        told = refusal(events)
        assert told.startswith(f"{events}: ")
        assert ("not a ROOT file" if cut < 4 else "truncated") in told


def test_damage_is_refused_or_did_not_matter(events: Path) -> None:
    """Whatever byte is wrong: never another mass. Compressed branches have checksums."""
    whole, refusals = events.read_bytes(), []
    rng = np.random.default_rng(11)
    for place in rng.integers(0, len(whole), 150):
        damaged = bytearray(whole)
        damaged[place] ^= int(rng.integers(1, 256))
        events.write_bytes(bytes(damaged))
        try:
            sample = _samples.read_sample(events, ["Kplus"], limits={"Kplus": (0.1, 4.5)})
        except InputError as told:
            refusals.append(str(told))
        else:
            np.testing.assert_array_equal(sample.values["Kplus"], MASSES)
    assert 5 < len(refusals) < 150
    assert not any("\n" in told for told in refusals)


def test_a_damaged_mark_of_pseudo_data(events: Path, refusal: Callable[..., str]) -> None:
    """It must not turn pseudo-data into data."""
    place = events.read_bytes().index(b'{"search"')
    damaged = bytearray(events.read_bytes())
    damaged[place] = 0
    events.write_bytes(bytes(damaged))
    assert refusal(events) == f"{events}: its mark of pseudo-data is damaged; generate it again"
    damaged[place - 30 : place + 10] = bytes(40)
    events.write_bytes(bytes(damaged))
    assert "damaged" in refusal(events)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"mass\n1.0\n", b"\x89HDF\r\n\x1a\n"])
def test_no_root_file(content: bytes, events: Path, refusal: Callable[..., str]) -> None:
    events.write_bytes(content)
    assert refusal(events) == f"{events}: not a ROOT file; give one with a tree per channel"


def test_no_file(events: Path, refusal: Callable[..., str]) -> None:
    folder = events.parent
    assert refusal(folder) == f"{folder}: a folder; give a ROOT file"
    assert refusal("/dev/null") == "/dev/null: no regular file; give a ROOT file"
    assert refusal(events / "x") == f"{events / 'x'}: no such file; check the path"
    told = refusal(f"{events}:Kplus")
    hint = f"give {events}, and 'Kplus' as the name of a tree"
    assert told == f"{events}:Kplus: no such file; {hint}"
    long = folder / ("x" * 300)
    assert refusal(long) == f"{long}: cannot be read ({os.strerror(errno.ENAMETOOLONG)})"


@pytest.mark.parametrize("address", ["https://example.org/e.root", "root://host//e.root"])
def test_an_address(address: str, refusal: Callable[..., str]) -> None:
    assert ": an address; download the file, and give the path to it" in refusal(address)
    with pytest.raises(InputError, match=f"^{address}: an address"):
        candidates.read(address, ["Kplus"], limits=(0.1, 4.5))


def test_a_file_that_must_not_be_read(open_folder: Path) -> None:
    path = write(open_folder / "events.root")
    path.chmod(0)
    with without_privileges(), pytest.raises(InputError) as told:
        candidates.read(path, ["Kplus"], limits=(0.1, 4.5))
    assert str(told.value) == f"{path}: cannot be read ({os.strerror(errno.EACCES)})"


def test_a_file_that_is_still_written(tmp_path: Path, refusal: Callable[..., str]) -> None:
    """What is in it is read or it is refused: its trees are complete after each step of uproot."""
    path = tmp_path / "events.root"
    with uproot.recreate(path) as file:
        assert "no tree 'Kplus'; the trees are (none)" in refusal(path)
        tree = file.mktree("Kplus", {"mass": np.float64})
        assert "no mode has a single candidate; check trees and cut" in refusal(path)
        for k in (1, 2):
            tree.extend({"mass": MASSES})
            found = candidates.read(path, ["Kplus"], limits=(0.1, 4.5))
            np.testing.assert_array_equal(found.values["Kplus"], np.tile(MASSES, k))


@pytest.mark.parametrize("change", ["grows", "is replaced", "goes away"])
def test_a_file_that_changes_while_it_is_read(
    change: str, events: Path, monkeypatch: pytest.MonkeyPatch, refusal: Callable[..., str]
) -> None:
    other = write(events.with_name("other.root"), MASSES[::-1].copy())
    add = candidates._Channel.add

    def changing(self: Any, *arrays: Any) -> None:
        add(self, *arrays)
        if change == "grows":
            with events.open("ab") as file:
                file.write(b"more")
        elif change == "is replaced":
            os.replace(other, events)
        else:
            events.unlink()

    monkeypatch.setattr(candidates._Channel, "add", changing)
    hint = "wait until it is complete, and read it again"
    assert refusal(events) == f"{events}: changed while it was read; {hint}"


def test_wrong_names(events: Path, refusal: Callable[..., str]) -> None:
    told = refusal(events, "--tree", "Kplus=Kplsu")
    assert told == f"{events}: no tree 'Kplsu'; the trees are Kplus; did you mean 'Kplus'?"
    told = refusal(events, "--branch", "M")
    assert told == f"{events}:Kplus: no branch 'M'; the branches are mass"


# -- what stands in them --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("masses", "message"),
    [
        (np.array([True, False]), "holds no numbers (type bool); choose another"),
        (np.ones((3, 2)), "does not hold one number per candidate; flatten it beforehand"),
        (np.array([np.nan, np.inf]), "all are NaN or infinite; check branch, unit and limits"),
        (1000 * MASSES, f"go from {1000 * MASSES.min():g} to {1000 * MASSES.max():g}; the values"),
        (1000 * MASSES, "the values look like MeV; divide by 1000"),
        (np.array([-999.0, 77.0]), "they go from -999 to 77; check branch, unit and limits"),
    ],
)
def test_a_branch_that_holds_no_masses(
    masses: Any, message: str, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    assert message in refusal(write(tmp_path / "events.root", masses))


@pytest.mark.parametrize(
    ("kind", "values"), [("string", ["a", "b"]), ("var * float64", [[1.0, 2.0], []])]
)
def test_a_branch_of_texts_or_of_lists(
    kind: str, values: Any, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    import awkward as ak

    path = tmp_path / "events.root"
    with uproot.recreate(path) as file:
        file.mktree("Kplus", {"mass": kind}).extend({"mass": ak.Array(values)})
    wanted = "holds no numbers" if kind == "string" else "does not hold one number per candidate"
    assert f"{path}:Kplus: the branch or column 'mass' {wanted}" in refusal(path)


@pytest.mark.parametrize("kind", ["float32", "float64", "int16", "uint64"])
def test_numbers_of_any_size(kind: str, tmp_path: Path) -> None:
    values = np.array([1, 2, 3], dtype=kind)
    sample = zd.searches.load("b2kagg").read(write(tmp_path / "x.root", values), modes=["Kplus"])
    assert sample.values["Kplus"].tolist() == [1.0, 2.0, 3.0]
    assert sample.values["Kplus"].dtype == np.float64


@pytest.mark.parametrize(
    "masses",
    [
        [1.0, 2j],
        [object()],
        ["1.0"],
        [True],
        [[1.0], [2.0, 3.0]],
        [1.0, None],
        np.array(["2026-01-01"], dtype="datetime64[s]"),
        np.zeros(2, dtype=[("mass", "f8")]),
        pd.Series(["1.0"]).astype("category"),
    ],
)
def test_objects_that_are_no_masses(masses: Any) -> None:
    with pytest.raises(InputError, match=r"^Kplus: [^\n]*$"):
        zd.searches.load("b2kagg").read({"Kplus": masses}, modes=["Kplus"])


def test_nothing_passes_the_cut(events: Path, refusal: Callable[..., str]) -> None:
    told = refusal(events, "--cut", "mass > 100")
    assert told == f"{events}: no mode has a single candidate; check trees and cut"


CODE = {
    "(mass + 0).tofile('{file}') == mass": "'(mass + 0).tofile(",
    "[].__class__.__base__.__subclasses__() == mass": "[]",
    "(mass > 1).__class__ == mass": "'(mass > 1).__class__'",
    "(lambda: mass > 1)()": "'(lambda: mass > 1)()'",
    "abs.__globals__ == mass": "'abs.__globals__', which is no branch",
    "mass.tofile('{file}') == mass": "'mass.tofile('{file}')'",
    "__import__('os').system('touch {file}') == mass": "__import__('os').system(",
    "open('{file}', 'w') == mass": "'open', which is no branch",
    "eval('mass') > 1": "'eval', which is no branch",
    "f'{mass}' == mass": "f'{mass}'",
    "[mass for mass in mass] > mass": "[mass for mass in mass]",
    "(x := mass) > 1": "'(x := mass)'",
    "abs(mass, out=mass) > 1": "'abs(mass, out=mass)'",
    "mass[0] > mass": "'mass[0]'",
    "9**9**9 > mass": "'9 ** 9 ** 9'",
    "mass > 'a' * 9999999999": "'a' * 9999999999",
    "abs(*mass) > 1": "'*mass'",
    "function['abs'](mass) > 1": "function['abs'](mass)",
    "{} == mass": "'{}'",
    "mass if mass else mass": "'mass if mass else mass'",
    "1 << 10**9 > mass": "1 << 10 ** 9",
    "mass > 1; mass": "is not an expression",
    "import os": "is not an expression",
    "mass >": "is not an expression",
    "mass = 1": "is not an expression",
    "(" * 500 + "mass": "is not an expression",
    "mass > 0\0": "is not an expression",
    "-" * 20000 + "mass > 1": "is not an expression",
    "Mbc > 5": "uses 'Mbc', which is no branch; the branches are mass",
}


@pytest.mark.parametrize("cut", CODE, ids=lambda cut: cut[:40])
def test_a_cut_runs_no_code(cut: str, events: Path, refusal: Callable[..., str]) -> None:
    file = events.parent / "made_by_the_cut"
    text, message = (each.replace("{file}", str(file)) for each in (cut, CODE[cut]))
    told = refusal(events, "--cut", text)
    assert told.startswith(f"{events}:Kplus: the cut ")
    assert " ".join(message.split()).replace("'", '"') in told.replace("'", '"')
    assert not file.exists()


def test_what_a_cut_may_say(tmp_path: Path) -> None:
    """Functions, powers, names in quotes and words are no code."""
    path = write(tmp_path / "x.root", Mbc=MASSES + 2, q=np.sign(MASSES - 2))
    for cut, wanted in {
        "sqrt(Mbc**2 - 4) > 3": np.sqrt((MASSES + 2) ** 2 - 4) > 3,
        "~(get('Mbc') < 4) | (q == -1)": (MASSES >= 2) | (MASSES < 2),
        "(where(q > 0, mass, Mbc) % 2 > 1.5) ^ isnan(mass)": np.where(
            MASSES > 2, MASSES, MASSES + 2
        )
        % 2
        > 1.5,
    }.items():
        found = candidates.read(path, ["Kplus"], limits=(0.1, 4.5), cut=cut)
        np.testing.assert_array_equal(found.values["Kplus"], MASSES[wanted])


# -- large files and little memory ----------------------------------------------------------

EVENTS = 10_000_000
CHILD = """
import resource, sys
import awkward, uproot
from zfit_dark import candidates
from zfit_dark.errors import InputError

def in_use(field):
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(field))

small, large, room = sys.argv[1:]
candidates.read(small, ["Kplus"], limits=(0.1, 4.5))
if room:
    most = int((in_use("VmSize") + float(room)) * 2**20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
before = in_use("VmRSS")
try:
    found = candidates.read(large, ["Kplus"], limits=(0.1, 4.5), cut="(Mbc > 5) & (abs(dE) < 2)")
except InputError as error:
    print(error)
else:
    print(len(found.values["Kplus"]), in_use("VmHWM") - before)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """10 million candidates with three other branches, 0.3 GB."""
    path = tmp_path_factory.mktemp("large") / "events.root"
    rng = np.random.default_rng(3)
    n = EVENTS // 20
    part = {"mass": rng.uniform(0.2, 4.4, n).astype(np.float32)}
    part |= {name: rng.uniform(low, high, n) for name, low, high in [("Mbc", 5.2, 5.3)]}
    part |= {name: rng.uniform(-1, 1, n) for name in ("dE", "other")}
    with uproot.recreate(path, compression=None) as file:
        tree = file.mktree("Kplus", {name: values.dtype for name, values in part.items()})
        for _ in range(20):
            tree.extend(part)
    yield path
    path.unlink()


def reading(small: Path, large: Path, room: str) -> str:
    command = [sys.executable, "-c", CHILD, str(small), str(large), room]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return done.stdout.rstrip()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is looked up in /proc")
def test_a_large_file_is_read_in_parts(events: Path, large: Path) -> None:
    """Never more memory than for the masses themselves and 300 MB."""
    assert large.stat().st_size > 28 * EVENTS
    number, used = reading(events, large, "").split()
    assert int(number) == EVENTS
    assert float(used) < 8 * EVENTS / 2**20 + 300


@pytest.mark.skipif(sys.platform != "linux", reason="memory is looked up in /proc")
@pytest.mark.parametrize("room", ["10", "80"])
def test_too_little_memory_for_a_file(room: str, events: Path, large: Path) -> None:
    told = reading(events, large, room)
    assert told.startswith(f"{large}: too little memory to read it (")
    assert told.endswith("; allow more, or write a file of only those candidates that pass the cut")


def test_too_little_memory_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    def greedy(*_: Any) -> Any:
        return np.empty(2**50)

    monkeypatch.setattr(cli.files, "plots", greedy)
    made_up_scan().to_json(tmp_path / "scan.json")
    told = refused(capsys, "plot", tmp_path / "scan.json")
    assert told == "too little memory; allow more, or ask for fewer modes, workers or toys"


# -- the clock ------------------------------------------------------------------------------


def clock_at(year: int) -> Any:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(year, 1, 1, tzinfo=tz)

    return Clock


@pytest.mark.parametrize("year", [1970, 1994, 2059])
@pytest.mark.parametrize("name", ["limits.root", "events.root"])
def test_a_clock_that_root_files_cannot_tell(
    year: int, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zfit_dark.results.root_files.datetime", clock_at(year))
    told = not_written(WRITERS[name], tmp_path / name)
    assert f"the clock says {year}, and a ROOT file has dates from 1995 to 2058)" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("year", [1995, 2058])
def test_the_first_and_the_last_year_of_root_files(
    year: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uproot writes and reads them."""
    monkeypatch.setattr("zfit_dark.results.root_files.datetime", clock_at(year))
    monkeypatch.setattr("datetime.datetime", clock_at(year))
    path = tmp_path / "limits.root"
    made_up_lifetimes().to_root(path)
    assert LifetimeScan.from_root(path).channels == made_up_lifetimes().channels


def test_limits_do_not_depend_on_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that runs backwards from the epoch on, in a time zone that is none."""
    masses = [0.7, 1.6, 2.4]

    def scan(name: str) -> Scan:
        how = {"method": "exact", "progress": False, "checkpoint": tmp_path / name}
        found = zd.scan(interrupted.counting(), masses, **how)
        found.to_json(tmp_path / f"{name}.json")
        return Scan.from_json(tmp_path / f"{name}.json")

    right = scan("right")
    ticks = iter(range(0, -(10**9), -1000))
    monkeypatch.setenv("TZ", "Nowhere+25:61:61")
    monkeypatch.setattr(time, "time", lambda: float(next(ticks)))
    monkeypatch.setattr("zfit_dark.checkpoint.monotonic", lambda: float(next(ticks)))
    monkeypatch.setattr("zfit_dark.results.scan.datetime", clock_at(1970))
    time.tzset()
    try:
        wrong = scan("wrong")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert wrong.provenance["created"] == "1970-01-01T00:00:00+00:00"
    for name in ("observed", "expected", "p0", "masses"):
        np.testing.assert_array_equal(getattr(wrong, name), getattr(right, name))
    assert next(ticks) < 0


# -- what controls a terminal ---------------------------------------------------------------

CONTROL = "\x1b[2J\r\x07\x9b1m\u202e"  # clears the screen, rings, writes backwards
TOLD = r"\x1b[2J\r\x07\x9b1m\u202e"


def test_a_file_does_not_control_the_terminal(
    tmp_path: Path, capsys: Capture, refusal: Callable[..., str]
) -> None:
    """Names of branches, trees and files, and texts in YAML, are shown with the signs told."""
    data = write(tmp_path / "named.root", **{f"M{CONTROL}": MASSES})
    with uproot.update(data) as file:
        file.mktree(f"other{CONTROL}", {"mass": np.float64}).extend({"mass": MASSES})
    told = refusal(data, "--branch", "M")
    assert told == f"{data}:Kplus: no branch 'M'; the branches are M{TOLD}, mass"
    path = tmp_path / f"events{CONTROL}.root"
    assert refusal(path) == f"{tmp_path}/events{TOLD}.root: no such file; check the path"
    text = f'source: "{TOLD}"\nstatus: assumed\nmass: [1.0, 2.0]\nwidth: [1.0, 2.0]\n'
    (tmp_path / "shape.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        zd.SignalShape.from_yaml(tmp_path / "shape.yaml")
    assert CONTROL in str(error.value)
    assert cli._refuse(str(error.value)) == 2
    assert f"signal shape ({TOLD}): " in capsys.readouterr().err
    command = ["scan", "b2kagg", "--data", str(data), "--out", str(tmp_path), "--modes", "Kplus"]
    assert cli.main([*command, "--method", "guess"]) == 2
    printed = capsys.readouterr().out
    assert f"not read, as no channel uses it: other{TOLD} ({data})" in printed
    assert all(line.isprintable() for line in printed.split("\n"))


# -- languages and homes --------------------------------------------------------------------

ELSEWHERE = """
import locale, os, sys
from pathlib import Path
locale.setlocale(locale.LC_ALL, "")
print(locale.localeconv()["decimal_point"], sys.stdout.encoding, Path("~").expanduser())
from zfit_dark import cli
from zfit_dark.results import Scan
from zfit_dark import numbers
# more
scan = Scan.from_json("scan.json")
scan.to_csv("again.csv")
scan.to_json("again.json")
assert Path("again.csv").read_bytes() == Path("scan.csv").read_bytes()
assert Path("again.json").read_bytes() == Path("scan.json").read_bytes()
assert numbers.read_yaml(Path("shape.yaml"))["source"] == "\\u039c\\u00fcller"
status = cli.main(["plot", "scan.json", "--out", os.fsdecode(b"\\xce\\x9c\\xc3\\xbc")])
print(scan.poi_label)
sys.exit(status)
"""


SHAPES = """
from zfit_dark import SignalShape
shapes = [SignalShape.from_yaml("shape.yaml")]
shapes += [SignalShape.from_csv("shape.csv", source="\\u03c0", status="assumed")]
print([float(shape.sigma(1.5)) for shape in shapes])
"""


def somewhere(folder: Path, more: str = "", **changes: str) -> list[str]:
    """What is printed by a program that reads, writes and draws in another environment."""
    scan = replace(made_up_scan(), poi_label="𝓑(π⁰ → γγ)")
    scan.to_json(folder / "scan.json")
    scan.to_csv(folder / "scan.csv")
    shape = "source: Μüller\nstatus: assumed\nmass: [1.0, 2.0]\nsigma: [0.01, 0.015]\n"
    (folder / "shape.yaml").write_text(shape, encoding="utf-8")
    text = "# Μüller\nmass,sigma\n1.0,0.01\n2.0,0.015\n"
    (folder / "shape.csv").write_text(text, encoding="utf-8")
    left_out = ("HOME", "MPLCONFIGDIR", "LANG", "LANGUAGE", "PYTHONUTF8")
    left = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("XDG_", "LC_")) and name not in left_out
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ELSEWHERE.replace("# more", more)],
        cwd=folder,
        env=left | changes,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    assert b"Traceback" not in done.stderr
    made = {
        path.suffix for path in next(path for path in folder.iterdir() if path.is_dir()).iterdir()
    }
    assert made == {".png", ".pdf"}
    return done.stdout.decode("utf-8").splitlines()


def test_a_terminal_of_ascii_and_no_home(tmp_path: Path) -> None:
    """Files are in UTF-8 wherever one is; what cannot be printed is told by number."""
    bare = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    lines = somewhere(tmp_path, HOME="/dev/null/x", PYTHONIOENCODING="ascii", **bare)
    assert lines[0] == ". ascii /dev/null/x"
    assert "  \\udcce\\udc9c\\udcc3\\udcbc/p0.png" in lines
    assert lines[-1] == "\\U0001d4d1(\\u03c0\\u2070 \\u2192 \\u03b3\\u03b3)"


@pytest.mark.slow
def test_a_decimal_comma(tmp_path: Path) -> None:
    name = "de_DE.UTF-8"
    made = tmp_path / "locales"
    made.mkdir()
    try:
        command = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(made / name)]
        subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("localedef cannot make a locale with a decimal comma here")
    folder = tmp_path / "work"
    folder.mkdir()
    where = {"HOME": str(tmp_path), "LOCPATH": str(made), "LC_ALL": name}
    assert somewhere(folder, SHAPES, **where)[:2] == [f", utf-8 {tmp_path}", "[0.0125, 0.0125]"]


def test_every_text_file_tells_its_encoding() -> None:
    """Else it would depend on the language of the terminal."""
    calls = [
        (path.name, call.lineno, ast.unparse(call))
        for path in sorted(PACKAGE.rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func).split(".")[-1] in ("open", "read_text", "write_text")
        and ast.unparse(call.func) not in ("uproot.open", "Image.open", "os.open", "write_text")
    ]
    assert len(calls) > 8
    silent = [
        call
        for call in calls
        if "utf-8" not in call[2] and not any(mode in call[2] for mode in ("'rb'", "'w+b'"))
    ]
    assert silent == []


@pytest.mark.slow
@pytest.mark.parametrize("home", [{"HOME": "/dev/null/x"}, {}])
def test_a_scan_without_a_home(home: dict[str, str], tmp_path: Path) -> None:
    names = ("HOME", "MPLCONFIGDIR")
    left = {k: v for k, v in os.environ.items() if k not in names and not k.startswith("XDG_")}
    text = f"scan idm --channel mumu --max-masses 2 --ctau 1 --method exact --out {tmp_path}"
    done = zfit_dark(text, env=left | home)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert len(Scan.from_json(tmp_path / "scan.json").masses) == 2


# -- standard output and standard error -----------------------------------------------------


def zfit_dark(text: str, shell: str = "", **how: Any) -> subprocess.CompletedProcess[str]:
    """The command, with a redirection of a shell."""
    program = f"{sys.executable} -c 'import sys, zfit_dark.cli as c; sys.exit(c.main())' {text}"
    command = ["bash", "-c", f"set -o pipefail; {program} {shell}"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=580, **how)


@pytest.mark.parametrize(("text", "buffered"), [("list", True), ("list", False), ("--help", True)])
def test_nobody_reads_the_output(text: str, buffered: bool) -> None:
    """As in ``zfit-dark list | head -0``."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    env |= {} if buffered else {"PYTHONUNBUFFERED": "1"}
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [sys.executable, "-c", "import sys, zfit_dark.cli as c; sys.exit(c.main())", text],
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=env,
        check=False,
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("text", "shell", "status"),
    [("list", ">&-", 0), ("list", "2>&-", 0), ("scan nothing", "<&- >&- 2>&-", 2)],
)
def test_streams_that_are_closed(text: str, shell: str, status: int) -> None:
    done = zfit_dark(text, shell)
    assert (done.returncode, done.stderr) == (status, "")
    assert bool(done.stdout) == (shell == "2>&-")


def test_what_is_logged_goes_to_no_file(tmp_path: Path) -> None:
    """The number of a closed stream is not given to the next file."""
    code = "import os, sys; from zfit_dark import cli; cli.main(['list']); "
    code += "print(os.open('x', os.O_CREAT | os.O_WRONLY), file=open('n', 'w'))"
    subprocess.run(["bash", "-c", f'{sys.executable} -c "{code}" <&- >&- 2>&-'], cwd=tmp_path)
    assert int((tmp_path / "n").read_text()) > 2


def test_output_to_a_full_disk() -> None:
    done = zfit_dark("list", "> /dev/full")
    assert done.returncode == 2
    assert done.stderr == f"zfit-dark: error: the output: {os.strerror(errno.ENOSPC)}\n"
    assert zfit_dark("scan nothing", "2> /dev/full").returncode == 2
