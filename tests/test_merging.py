"""Scans in shards: the same limits as at once, and nothing missing is overlooked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sixty_candidates import counting, same
from test_workers import MASSES, scanned

import zfit_dark as zd
from zfit_dark import cli
from zfit_dark.errors import InputError
from zfit_dark.results import LifetimeScan, Scan, Skipped

Capture = pytest.CaptureFixture[str]


def in_shards(total: int) -> list[Scan]:
    return [scanned(counting(), shard=(k, total)) for k in range(1, total + 1)]


def test_shards_are_the_scan() -> None:
    whole = scanned(counting())
    for total in (1, 3, len(MASSES)):
        parts = in_shards(total)
        found = [part.masses.tolist() for part in parts]
        assert found == [MASSES[k::total].tolist() for k in range(total)]
        joined = parts[0]
        for part in parts[1:]:
            joined = joined.merge(part)
        same(joined, whole)


def _mass(skipped: Skipped) -> float:
    return skipped.mass


def test_masses_that_are_left_out_are_told_once() -> None:
    masses = [0.1, 0.15, 0.5, 1.0, 5.0]
    parts = [zd.scan(counting(), masses, shard=(k, 2), progress=False) for k in (1, 2)]
    whole = zd.scan(counting(), masses, progress=False)
    joined = parts[0].merge(parts[1])
    assert len(whole.skipped) == 3
    assert sorted(joined.skipped, key=_mass) == sorted(whole.skipped, key=_mass)


@pytest.mark.parametrize("shard", [(0, 3), (4, 3), (-1, 3)])
def test_a_shard_that_is_none(shard: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"shard {shard[0]}/3: give a number from 1 to 3"):
        scanned(counting(), shard=shard)


def test_more_shards_than_masses() -> None:
    with pytest.raises(InputError, match="shard 13/13 has nothing to do: masses: 12; take fewer"):
        scanned(counting(), shard=(13, 13))


def test_toys_of_a_whole_scan_want_all_of_it() -> None:
    with pytest.raises(InputError, match="a shard is not the whole scan: leave out global_toys"):
        scanned(counting(), shard=(1, 2), global_toys=10)


# -- the command line -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two batch jobs and one without shards leave."""
    folder = tmp_path_factory.mktemp("scan")
    common = "scan idm --modes mumu --max-masses 7 --method exact --quiet --out"
    for more in ("", "--shard 1/2", "--shard 2/2"):
        out = folder / ("parts" if more else "whole")
        assert cli.main([*common.split(), str(out), *more.split()]) == 0
    return folder


@pytest.fixture
def parts(shards: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shards / "parts", tmp_path / "parts"))


def test_merging_leaves_what_a_scan_leaves(shards: Path, parts: Path, capsys: Capture) -> None:
    assert cli.main(["merge", str(parts)]) == 0
    told = capsys.readouterr().out
    whole, found = (Scan.from_json(each / "scan.json") for each in (shards / "whole", parts))
    same(found, whole)
    assert found.provenance["settings"] == whole.provenance["settings"]
    left = {path.name for path in parts.iterdir() if path.is_file()}
    fits = {path.name for path in (shards / "whole").glob("fit_*")}  # these need the candidates
    assert left == {p.name for p in (shards / "whole").iterdir()} - fits - {"scan.checkpoint"}
    assert all(str(parts / name) in told for name in left)
    shard = parts / "shard-1-of-2"
    assert {path.name for path in shard.iterdir()} == {"scan.json", "scan.csv", "scan.checkpoint"}


def _no_shards(parts: Path) -> str:
    for path in parts.glob("shard-*"):
        shutil.rmtree(path)
    return "no shard is there"


def _one_missing(parts: Path) -> str:
    shutil.rmtree(parts / "shard-2-of-2")
    return "shards are missing: 2/2; run them again"


def _twice(parts: Path) -> str:
    shutil.copytree(parts / "shard-2-of-2", parts / "shard-copy")
    return "shard 2/2 is also in"


def _of_another_scan(parts: Path) -> str:
    path = parts / "shard-2-of-2" / "scan.json"
    content = json.loads(path.read_text())
    content["provenance"]["settings"]["pseudo_data"]["seed"] = 5
    path.write_text(json.dumps(content))
    return "shard-2-of-2/scan.json: cannot merge scans with different settings"


def _of_other_shards(parts: Path) -> str:
    path = parts / "shard-2-of-2" / "scan.json"
    content = json.loads(path.read_text())
    content["provenance"]["settings"]["shard"] = [2, 3]
    path.write_text(json.dumps(content))
    return "shards of 2 and of 3"


def _no_shard_at_all(parts: Path) -> str:
    path = parts / "shard-2-of-2" / "scan.json"
    content = json.loads(path.read_text())
    del content["provenance"]["settings"]["shard"]
    path.write_text(json.dumps(content))
    return "shard-2-of-2/scan.json: not a shard of a scan"


def _damaged(parts: Path) -> str:
    path = parts / "shard-1-of-2" / "scan.json"
    path.write_text(path.read_text()[:-40])
    return "shard-1-of-2/scan.json"


@pytest.mark.parametrize(
    "spoil",
    [
        _no_shards,
        _one_missing,
        _twice,
        _of_another_scan,
        _of_other_shards,
        _no_shard_at_all,
        _damaged,
    ],
)
def test_what_cannot_be_merged(parts: Path, spoil: Callable[[Path], str], capsys: Capture) -> None:
    wanted = spoil(parts)
    assert cli.main(["merge", str(parts)]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert wanted in error[0]
    assert not (parts / "scan.json").exists()


@pytest.mark.slow
def test_all_lifetimes_in_shards(tmp_path: Path) -> None:
    common = "scan idm --all --modes mumu --max-masses 5 --method exact --quiet --out"
    for more in ("", "--shard 1/2", "--shard 2/2"):
        out = tmp_path / ("parts" if more else "whole")
        assert cli.main([*common.split(), str(out), *more.split()]) == 0
    assert cli.main(["merge", str(tmp_path / "parts"), "--quiet"]) == 0
    whole, found = (
        LifetimeScan.from_root(tmp_path / each / "limits.root") for each in ("whole", "parts")
    )
    assert found.channels == whole.channels
    np.testing.assert_array_equal(found.lifetimes, whole.lifetimes)
    for channel in whole.channels:
        for one, other in zip(found.scans[channel], whole.scans[channel], strict=True):
            same(one, other)
    drawn = {path.name for path in (tmp_path / "whole").glob("*.*")}
    assert {path.name for path in (tmp_path / "parts").glob("*.*")} == drawn


@pytest.mark.parametrize("text", ["3", "0/4", "5/4", "1/0", "a/b", "1/2/3", "-1/2", "1.5/2"])
def test_a_shard_that_cannot_be_read(text: str, tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(["scan", "idm", f"--shard={text}", "--out", str(tmp_path / "out")]) == 2
    assert f"--shard {text!r}: give K/N, K from 1 to N" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
