"""Checkpoints: what a scan has found survives its end, and is taken by no other scan."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import interrupted
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zfit_dark as zd
from zfit_dark import checkpoint, cli, scanning, searches
from zfit_dark.channel import Veto
from zfit_dark.errors import InputError
from zfit_dark.results import Limit, new_provenance
from zfit_dark.toys import cores

MASSES = np.linspace(0.5, 2.5, 4)
IDENTITY = {"level": 0.95, "data of mumu": "0123", "setting cut": None}
POINTS = {mass: interrupted.made_up(mass) for mass in (1.0, 1.2, 1.6, 1.95, 2.0)}
FOLDER = Path(__file__).parent


def same(one: Any, other: Any) -> bool:
    """The same limits or scans to the last bit, but for when they were made."""
    return told(one) == told(other)


def told(result: Any) -> dict[str, Any]:
    found = {}
    for name, value in vars(result).items():
        if name == "provenance":
            value = {key: entry for key, entry in value.items() if key != "created"}
        found[name] = value.tobytes() if isinstance(value, np.ndarray) else repr(value)
    return found


def written(path: Path, points: dict[float, Limit] = POINTS) -> bytes:
    with checkpoint.opened(path, lambda: IDENTITY) as record:
        for mass, limit in points.items():
            if mass not in record.done:
                record.add(mass, limit)
    return path.read_bytes()


def read(path: Path, identity: dict[str, Any] = IDENTITY) -> dict[float, Limit]:
    with checkpoint.opened(path, lambda: identity) as record:
        return dict(record.done)


# -- the file -------------------------------------------------------------------------------


def test_limits_come_back_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    text = written(path)
    assert text.count(b"\n") == 1 + len(POINTS)
    assert all(json.loads(line) for line in text.splitlines())
    found = read(path)
    assert list(found) == list(POINTS)
    assert all(same(found[mass], limit) for mass, limit in POINTS.items())
    assert path.read_bytes() == text
    assert checkpoint.masses_done(path) == list(POINTS)


def test_without_a_file_limits_are_in_memory() -> None:
    def never() -> dict[str, Any]:
        raise AssertionError("who asks for the identity?")

    with checkpoint.opened(None, never) as record:
        record.add(1.0, POINTS[1.0])
        assert record.done == {1.0: POINTS[1.0]}


def test_a_file_that_ends_at_any_byte_loses_the_last_line_only(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    points = dict(list(POINTS.items())[:2])
    text = written(path, points)
    for size in range(len(text)):
        path.write_bytes(text[:size])
        whole = max(text[:size].count(b"\n") - 1, 0)
        assert checkpoint.masses_done(path) == list(points)[:whole]
        assert list(read(path)) == list(points)[:whole]
        assert written(path, points) == text


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_corrupt_file_is_refused_or_what_is_left_of_it_is_right(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "checkpoint"
    path.unlink(missing_ok=True)
    text = bytearray(written(path))
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(text)
    found, refused = {}, ""
    try:
        found = read(path)
    except InputError as error:
        refused = str(error)
    if refused:
        assert re.match(rf"{re.escape(str(path))}(, line \d+)?: ", refused)
        assert path.read_bytes() == bytes(text)
        return
    assert len(found) >= len(POINTS) - 1  # the end of the last line may be lost
    assert all(same(limit, POINTS[mass]) for mass, limit in found.items())


def test_the_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    lines = written(path).splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], lines[3].replace(b"0.5", b"0.6", 1), *lines[4:]]))
    with pytest.raises(InputError, match=r"checkpoint, line 4: damaged \(wrong checksum\); delete"):
        read(path)
    with pytest.raises(InputError, match="line 4"):
        checkpoint.masses_done(path)


@pytest.mark.parametrize("text", ["my notes", "my notes\n", '{"a": 1}\n', "[]\n", "\n\n"])
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=r"notes\.txt, line 1: not the first line of a checkpoint"):
        read(path)
    assert path.read_text() == text


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(checkpoint._line({"format": "zfit_dark checkpoint 2", "identity": {}}))
    with pytest.raises(InputError, match="written in format 2 by a newer zfit_dark"):
        read(path)


def test_places_that_cannot_keep_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none/here: cannot be written \(No such file"):
        read(tmp_path / "none" / "here")
    with pytest.raises(InputError, match=r"cannot be written \(Is a directory\)"):
        read(tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for device in (pipe, Path("/dev/full")):
        with pytest.raises(InputError, match="no file that can keep a checkpoint"):
            read(device)
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        checkpoint.masses_done(tmp_path)
    assert checkpoint.masses_done(tmp_path / "none") == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match=r"cannot be written \(Permission denied\)"):
        read(tmp_path / "checkpoint")


def test_the_difference_is_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    text = written(path)
    differs = "a checkpoint of another scan, which differs in "
    with pytest.raises(InputError, match=differs + r"level: 0\.95 there, 0\.9 here; give another"):
        read(path, IDENTITY | {"level": 0.9})
    with pytest.raises(InputError, match=differs + r"setting cut: nothing there, M > 1 here;"):
        read(path, IDENTITY | {"setting cut": "M > 1"})
    with pytest.raises(InputError, match=differs + r"level: .* \(and in toys, data of mumu\)"):
        read(path, {"level": 0.9, "setting cut": None, "toys": 3})
    assert path.read_bytes() == text


def test_two_at_work_on_one_checkpoint(tmp_path: Path) -> None:
    """The second one is refused while the first lives, and no longer, however it ends."""
    path = tmp_path / "checkpoint"
    code = (
        "import sys, time\nfrom zfit_dark.checkpoint import opened\n"
        f"with opened({str(path)!r}, lambda: {IDENTITY!r}):\n"
        "    print('open', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        for refused in (read, checkpoint.clear):
            with pytest.raises(InputError, match="another process is at work on it; wait"):
                refused(path)
        other.kill()
    assert read(path) == {}


def test_cleared(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    checkpoint.clear(path)
    assert not path.exists()
    written(path)
    checkpoint.clear(path)
    assert read(path, IDENTITY | {"level": 0.9}) == {}


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file can grow beyond a size: what is written is cut there, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("lacking", [1, 100, 250])
def test_a_full_disk_keeps_what_was_done(tmp_path: Path, lacking: int) -> None:
    """The limit that does not fit leaves no half line, not even for who goes on after it."""
    path = tmp_path / "checkpoint"
    text = written(path)
    path.unlink()
    first = dict(list(POINTS.items())[:3])
    size = len(b"".join(text.splitlines(keepends=True)[:4]))
    with pytest.raises(InputError) as told_so, room_for(size - lacking):
        written(path, first)
    assert "masses kept: 2; make room, and run the same again" in str(told_so.value)
    assert os.strerror(errno.ENOSPC) in str(told_so.value)
    assert path.read_bytes() == text[: path.stat().st_size]
    assert list(read(path)) == list(POINTS)[:2]
    assert written(path) == text


def test_a_disk_too_full_to_begin(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="masses kept: 0"), room_for(10):
        written(tmp_path / "checkpoint")
    assert (tmp_path / "checkpoint").read_bytes() == b""


# -- kill -9 --------------------------------------------------------------------------------


def killed(folder: Path, kind: str, kills: int, seconds: float) -> list[dict[str, int]]:
    """The lives of a scan that was killed at random instants, and ended as the uninterrupted."""
    program = [sys.executable, "-W", "ignore", str(FOLDER / "interrupted.py"), str(folder), kind]
    subprocess.run([*program, str(kills), str(seconds), "5"], cwd=FOLDER, check=True)
    whole, resumed = (
        json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("whole", "resumed")
    )
    for content in (whole, resumed):
        content.get("provenance", {}).pop("created", None)
    assert resumed == whole
    lives: list[dict[str, int]] = json.loads((folder / "lives.json").read_text(encoding="utf-8"))
    assert not lives[-1]["killed"]
    return lives


def test_a_record_killed_at_many_instants(tmp_path: Path) -> None:
    """What was finished is there, whatever the instant."""
    lives = killed(tmp_path, "record", kills=60, seconds=0.001)
    assert sum(life["killed"] for life in lives) >= 20
    assert all(life["finished"] <= life["kept"] <= life["begun"] for life in lives)
    assert sum(life["kept"] for life in lives) == len(interrupted.MADE_UP)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "kills", "seconds"), [("counting", 6, 0.4), ("shapes", 2, 0.3)])
def test_a_scan_killed_at_random_instants(
    tmp_path: Path, kind: str, kills: int, seconds: float
) -> None:
    """Nothing is lost but what was in flight, one limit a thread."""
    lives = killed(tmp_path, kind, kills, seconds)
    print(kind, lives)
    assert all(life["begun"] - life["kept"] <= cores() for life in lives)
    masses = interrupted.COUNTED if kind == "counting" else interrupted.SHAPED
    assert sum(life["kept"] for life in lives) == len(masses)


# -- scans ----------------------------------------------------------------------------------


def scanned(model: Any, masses: Any = MASSES, **how: Any) -> zd.Scan:
    return zd.scan(model, masses, **{"method": "exact", "progress": False} | how)


@pytest.fixture(scope="module")
def model() -> Any:
    return interrupted.counting()


@pytest.fixture(scope="module")
def whole(model: Any) -> zd.Scan:
    return scanned(model)


@pytest.fixture(scope="module")
def kept(model: Any, whole: zd.Scan, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The checkpoint of the whole scan, which is as that without one."""
    path = tmp_path_factory.mktemp("kept") / "checkpoint"
    assert same(scanned(model, checkpoint=path), whole)
    assert sorted(checkpoint.masses_done(path)) == MASSES.tolist()
    return path.read_bytes()


@pytest.fixture
def path(kept: bytes, tmp_path: Path) -> Path:
    """Where the checkpoint of the whole scan is."""
    (tmp_path / "checkpoint").write_bytes(kept)
    return tmp_path / "checkpoint"


def counted_tasks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The masses of the model that limits are asked for from now on."""
    real, masses = scanning.asked, []

    def asked(model: Any, *arguments: Any) -> Any:
        masses.append(float(model.mass.value()))
        return real(model, *arguments)

    monkeypatch.setattr(scanning, "asked", asked)
    return masses


def test_what_is_done_is_not_done_again(
    whole: zd.Scan, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor by a model that is built anew, as in another process."""
    masses = counted_tasks(monkeypatch)
    assert same(scanned(interrupted.counting(), checkpoint=path), whole)
    assert masses == []


def test_the_rest_is_done(
    model: Any, whole: zd.Scan, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[2], lines[4][:50]]))
    masses = counted_tasks(monkeypatch)
    assert same(scanned(model, checkpoint=path), whole)
    assert masses == [mass for mass in MASSES.tolist() if mass != json.loads(lines[2])["mass"]]
    assert sorted(path.read_bytes().splitlines()) == sorted(line.strip() for line in lines)


def test_more_masses_and_fewer(
    model: Any, whole: zd.Scan, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert same(scanned(model, MASSES[:2], checkpoint=path), scanned(model, MASSES[:2]))
    masses = counted_tasks(monkeypatch)
    more = scanned(model, [*MASSES, 1.0], checkpoint=path)
    assert masses == [1.0]
    np.testing.assert_array_equal(more.observed[more.masses != 1.0], whole.observed)


def test_an_error_keeps_what_was_done(
    model: Any, whole: zd.Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = scanning.asked

    def failing(model: Any, *arguments: Any) -> Any:
        if float(model.mass.value()) == MASSES[2]:
            raise InputError("the third")
        return real(model, *arguments)

    monkeypatch.setattr(scanning, "asked", failing)
    with pytest.raises(InputError, match="the third"):
        scanned(model, checkpoint=tmp_path / "checkpoint")
    monkeypatch.undo()
    assert MASSES[0] in checkpoint.masses_done(tmp_path / "checkpoint")
    assert same(scanned(model, checkpoint=tmp_path / "checkpoint"), whole)


def test_what_cannot_be_asked_for_leaves_no_trace(
    model: Any, whole: zd.Scan, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="level=2: give a confidence level"):
        scanned(model, level=2, checkpoint=tmp_path / "checkpoint")
    assert same(scanned(model, checkpoint=tmp_path / "checkpoint"), whole)


def test_control_c_stops_cleanly(
    model: Any, whole: zd.Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has begun is finished and kept, nothing else is begun, and the same call goes on."""
    path, real = tmp_path / "checkpoint", scanning.asked

    def interrupting(model: Any, *arguments: Any) -> Any:
        work = real(model, *arguments)
        if float(model.mass.value()) != MASSES[1]:
            return work

        def interrupted_meanwhile() -> Limit:
            time.sleep(0.2)  # until the scan waits for it
            os.kill(os.getpid(), signal.SIGINT)
            return work()

        return interrupted_meanwhile

    monkeypatch.setattr(scanning, "asked", interrupting)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # xdist ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            scanned(model, checkpoint=path)
    finally:
        signal.signal(signal.SIGINT, before)
    monkeypatch.undo()
    assert path.read_bytes().endswith(b"\n")
    assert set(MASSES[:2]) <= set(checkpoint.masses_done(path))
    assert same(scanned(model, checkpoint=path), whole)


def test_a_full_disk_ends_a_scan(model: Any, whole: zd.Scan, tmp_path: Path, kept: bytes) -> None:
    path = tmp_path / "checkpoint"
    size = len(b"".join(kept.splitlines(keepends=True)[:3]))
    with pytest.raises(InputError, match=r"checkpoint: cannot be written \(.*make room"):  # noqa: SIM117
        with room_for(size):
            scanned(model, checkpoint=path)
    assert len(checkpoint.masses_done(path)) >= 1
    assert same(scanned(model, checkpoint=path), whole)


# -- the command line -----------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command ``scan`` for three masses of a search that only counts, without plots."""
    search = searches.load("idm")
    monkeypatch.setattr(search, "fits", lambda *_, **__: [])
    monkeypatch.setattr(cli.files, "plots", lambda *_, **__: [])
    text = f"scan idm --channel mumu --masses 0.7,1.6,2.4 --ctau 1 --out {tmp_path}"
    return lambda *more: cli.main([*text.split(), *more])


def test_the_same_command_goes_on_or_starts_over(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, result = tmp_path / "scan.checkpoint", tmp_path / "scan.json"
    assert command() == 0
    assert "found before" not in capsys.readouterr().out
    first, lines = zd.Scan.from_json(result), path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    assert command() == 0
    assert "2 limits were found before (--fresh starts over)\n" in capsys.readouterr().out
    assert same(zd.Scan.from_json(result), first)
    before = path.read_bytes()
    assert command("--level", "0.9") == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "scan.checkpoint: a checkpoint of another scan, which differs in level: 0.95" in told
    assert path.read_bytes() == before
    assert command("--level", "0.9", "--fresh", "--quiet") == 0
    assert zd.Scan.from_json(result).level == 0.9
    assert sorted(checkpoint.masses_done(path)) == [0.7, 1.6, 2.4]


def test_an_interrupted_command_tells_how_to_go_on(
    command: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = scanning.asked

    def interrupting(model: Any, *arguments: Any) -> Any:
        if float(model.mass.value()) == 2.4:
            raise KeyboardInterrupt
        return real(model, *arguments)

    monkeypatch.setattr(scanning, "asked", interrupting)
    assert command() == 130
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "zfit-dark: 2 limits are kept; the same command goes on",
        "zfit-dark: interrupted",
    ]


def test_all_lifetimes_are_kept_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli.files, "exclusions", lambda *_: [])
    monkeypatch.setattr(cli.files, "maps", lambda *_: [])
    text = f"scan idm --channel mumu --masses 0.7,2.4 --all --out {tmp_path}"
    for more, before in ([], False), ([], True), (["--fresh"], False):
        assert cli.main([*text.split(), *more]) == 0
        assert ("2 limits were found before" in capsys.readouterr().out) == before
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["mumu.checkpoint"]


# -- other scans ----------------------------------------------------------------------------

OTHER = {
    "data of mumu": {"masses": np.linspace(0.25, 2.9, 12)},
    "signal_per_poi of mumu": {"signal_per_poi": lambda mass: 2.0 * mass + 1e-6},
    "nuisances of mumu": {"nuisances": (zd.Nuisance("eff", 0.1),)},
    "window of mumu": {"window": 3},
    "vetoes of mumu": {"vetoes": (Veto(0.9, 0.95, "phi"),)},
    "parameter of interest": {"poi": "mu"},
}


@pytest.mark.parametrize("name", OTHER)
def test_another_likelihood_is_refused(path: Path, name: str) -> None:
    before = path.read_bytes()
    with pytest.raises(InputError, match=f"differs in {name}: "):
        scanned(interrupted.counting(**OTHER[name]), checkpoint=path)
    assert path.read_bytes() == before


def test_another_signal_shape_is_refused(path: Path) -> None:
    other = interrupted.table(sigma=[0.01, 0.021])
    with pytest.raises(InputError, match="differs in signal shape of mumu: "):
        scanned(interrupted.counting(signal=other), checkpoint=path)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"level": 0.9}, r"level: 0\.95 there, 0\.9 here"),
        ({"method": "auto"}, "method: exact there, auto here"),
        ({"test_statistic": "q"}, "test statistic: qtilde there, q here"),
        ({"toys": zd.Toys(precision=0.05)}, r"toys: .*0\.02.* there, .*0\.05.* here"),
        (
            {"provenance": new_provenance(search="mine", settings={"cut": "E > 1"})},
            r"search: nothing there, mine here \(and in setting cut\)",
        ),
        (
            {"provenance": new_provenance(inputs=[{"path": "a", "sha256": "0f", "size": 1}])},
            r"files: \[\] there, \['0f'\] here",
        ),
    ],
)
def test_other_questions_are_refused(
    model: Any, path: Path, how: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=f"differs in {message}"):
        scanned(model, checkpoint=path, **how)


def test_another_version_is_refused(
    model: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import metadata

    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda n: "9.9" if n == "zfit" else real(n))
    with pytest.raises(InputError, match=r"version of zfit: [\d.]+ there, 9\.9 here"):
        scanned(model, checkpoint=path)


def test_masses_files_and_moments_may_differ(
    model: Any, whole: zd.Scan, path: Path, tmp_path: Path
) -> None:
    """What does not decide the numbers: which masses were asked for, and when."""
    how = [
        {"settings": {"masses": [1.0], "max_masses": n}, "inputs": [{"path": at, "sha256": "0f"}]}
        for n, at in ((3, "here"), (None, "there"))
    ]
    for each in how:
        found = scanned(
            model, MASSES[:2], checkpoint=tmp_path / "c", provenance=new_provenance(**each)
        )
        np.testing.assert_array_equal(found.observed, whole.observed[:2])


def test_a_loss_is_known_by_its_shapes_and_yields() -> None:
    """Functions inside a model are compared by what they come to; nothing is compiled for it."""
    import zfit

    from zfit_dark.identity import identity

    def told_of(width: float = 0.01, per_poi: float = 2.0, **changes: Any) -> dict[str, Any]:
        asked = {"sigma": 0.1, "start": 0.0, "shape": zfit.pdf.Exponential, "events": 50} | changes
        obs = zfit.Space("x", 0.0, 1.0)
        mass = zfit.Parameter("mass", 0.4, floating=False)
        mu = zfit.Parameter("mu", asked["start"], -10, 100)
        slope, n = zfit.Parameter("slope", -0.5, -5, 5), zfit.Parameter("n", 50.0, 0, 500)
        resolution = zfit.ComposedParameter(
            "resolution", lambda m: width * m, params={"m": mass}, unpack_params=True
        )
        events = zfit.ComposedParameter(
            "events", lambda mu: per_poi * mu, params={"mu": mu}, unpack_params=True
        )
        background = asked["shape"](slope, obs, extended=n)
        pdf = zfit.pdf.SumPDF([zfit.pdf.Gauss(mass, resolution, obs, extended=events), background])
        data = zfit.Data.from_numpy(obs=obs, array=np.linspace(0.01, 0.99, asked["events"]))
        known = zfit.constraint.GaussianConstraint(slope, observation=-0.5, sigma=asked["sigma"])
        loss = zfit.loss.ExtendedUnbinnedNLL(pdf, data, constraints=known)
        before = [float(p.value()) for p in loss.get_params()]
        found = identity(loss, mu, 0.95, "asymptotic", "qtilde", False, zd.Toys(), None)
        assert [float(p.value()) for p in loss.get_params()] == before
        return found

    def scaled(slope: Any, obs: Any, extended: Any) -> Any:
        return zfit.pdf.Chebyshev(obs, [slope], extended=extended, name="Exponential")

    whole = told_of()
    assert told_of() == whole
    assert list(told_of(width=0.0101)) == list(whole)
    assert differences(told_of(width=0.0101), whole) == {"yields of SumPDF", "model of SumPDF"}
    assert differences(told_of(per_poi=2.01), whole) == {"yields of SumPDF"}
    assert differences(told_of(sigma=0.11), whole) == {"constraints"}
    assert "model of SumPDF" in differences(told_of(shape=scaled), whole)
    assert differences(told_of(events=51), whole) == {"data of SumPDF", "model of SumPDF"}
    assert "parameter mu" in differences(told_of(start=1.0), whole)


def differences(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    return {name for name in {*one, *other} if one.get(name) != other.get(name)}
