from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import boost_histogram as bh
import hist
import numpy as np
import pandas as pd
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zfit_dark import candidates
from zfit_dark.candidates import Candidates, read
from zfit_dark.errors import InputError

LIMITS = (0.16, 4.5)
CHANNELS = ("Kplus", "KS")


def masses(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.2, 4.4, n)


def write(
    path: Path, trees: dict[str, dict[str, np.ndarray]], kind: str = "TTree", folder: str = ""
) -> Path:
    with uproot.recreate(path) as file:
        for name, branches in trees.items():
            if kind == "TTree":
                types = {branch: values.dtype for branch, values in branches.items()}
                file.mktree(folder + name, types)
                if len(next(iter(branches.values()))):
                    file[folder + name].extend(branches)
            else:
                file.mkrntuple(folder + name, branches)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.root"


def error(*args: Any, **kwargs: Any) -> str:
    """The message of the InputError, which has to be one line."""
    with pytest.raises(InputError) as caught:
        read(*args, **({"limits": LIMITS} | kwargs))
    message = str(caught.value)
    assert "\n" not in message
    return message


# -- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["TTree", "RNTuple"])
def test_reads_what_was_written(path: Path, kind: str) -> None:
    data = {"Kplus": masses(1000, 1), "KS": masses(30, 2)}
    write(path, {name: {"mass": values} for name, values in data.items()}, kind)
    result = read(path, CHANNELS, limits=LIMITS)
    assert list(result.values) == list(CHANNELS)
    for name, values in data.items():
        np.testing.assert_array_equal(result.values[name], values, strict=True)
        assert result.weights[name] is None
        with pytest.raises(ValueError, match="read-only"):
            result.values[name][0] = 1.0
    assert result.report == (
        f"Kplus: 1000 of 1000 candidates are used ({path}:Kplus/mass)",
        f"KS: 30 of 30 candidates are used ({path}:KS/mass)",
    )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    record = {"path": str(path), "sha256": digest, "size": path.stat().st_size}
    assert result.inputs == (record,)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint16"])
@pytest.mark.parametrize("kind", ["TTree", "RNTuple"])
def test_number_types(path: Path, kind: str, dtype: str) -> None:
    values = np.array([1, 2, 3, 4], dtype=dtype)
    write(path, {"Kplus": {"mass": values}}, kind)
    result = read(str(path), ["Kplus"], limits=LIMITS)
    np.testing.assert_array_equal(result.values["Kplus"], [1.0, 2.0, 3.0, 4.0])
    assert result.values["Kplus"].dtype == np.float64


@pytest.mark.parametrize("kind", ["TTree", "RNTuple"])
def test_reads_in_chunks(path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = masses(5000)
    weights = np.arange(5000.0)
    write(path, {"Kplus": {"mass": values, "w": weights}}, kind)
    monkeypatch.setattr(candidates, "_CHUNK", "8 kB")
    sizes = []
    add = candidates._Channel.add

    def spy(self: Any, chunk: np.ndarray, weight: np.ndarray | None) -> None:
        sizes.append(len(chunk))
        add(self, chunk, weight)

    monkeypatch.setattr(candidates._Channel, "add", spy)
    result = read(path, ["Kplus"], limits=LIMITS, weights="w", cut="w >= 1000")
    np.testing.assert_array_equal(result.values["Kplus"], values[1000:])
    np.testing.assert_array_equal(result.weights["Kplus"], weights[1000:])
    assert len(sizes) >= 5
    assert max(sizes) <= 1024


def test_nothing_is_left_out_without_a_word(path: Path) -> None:
    values = np.concatenate([masses(50), [np.nan, np.inf, -np.inf, 0.1, 4.6, 0.16, 4.5]])
    write(path, {"Kplus": {"mass": values}})
    result = read(path, ["Kplus"], limits=LIMITS)
    assert len(result.values["Kplus"]) == 52
    assert result.report == (
        f"Kplus: 52 of 57 candidates are used ({path}:Kplus/mass)",
        f"Kplus: 3 of 57 candidates are NaN or infinite and were left out ({path}:Kplus/mass)",
        f"Kplus: 2 of 57 candidates lie outside 0.16-4.5 GeV and were left out ({path}:Kplus/mass)",
    )


def test_settings_for_each_channel(path: Path) -> None:
    tree = {"m1": np.array([1.0, 2.0, 3.0]), "m2": np.array([1.5, 2.5, 3.5])}
    tree["mode"] = np.array([1, 2, 1])
    write(path, {"b/all": tree, "other": {"x": np.ones(1)}})
    result = read(
        path,
        ["Kplus", "KS"],
        limits={"Kplus": (0.0, 2.0), "KS": (0.0, 4.0)},
        branch={"Kplus": "m1", "KS": "m2"},
        trees={"Kplus": "b/all", "KS": "b/all"},
        cut={"Kplus": "mode == 1", "KS": "mode == 2"},
    )
    assert result.values["Kplus"].tolist() == [1.0]
    assert result.values["KS"].tolist() == [2.5]
    assert f"Kplus: 2 of 3 entries pass the cut 'mode == 1' ({path}:b/all/m1)" in result.report
    assert f"not read, as no channel uses it: other ({path})" in result.report


@pytest.mark.parametrize("kind", ["TTree", "RNTuple"])
def test_empty_tree_takes_part(path: Path, kind: str) -> None:
    write(path, {"Kplus": {"mass": masses(5)}, "KS": {"mass": np.empty(0)}}, kind)
    result = read(path, CHANNELS, limits=LIMITS)
    assert result.values["KS"].shape == (0,)
    assert result.values["KS"].dtype == np.float64
    line = f"KS: 0 candidates, the channel takes part with 0 events ({path}:KS/mass)"
    assert line in result.report


def test_missing_file(path: Path) -> None:
    assert error(path, CHANNELS) == f"{path}: no such file; check the path"


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    assert error(tmp_path, CHANNELS) == f"{tmp_path}: a folder; give a ROOT file"


@pytest.mark.parametrize("content", [b"", b"ro", b"mass\n1.0\n2.0\n"])
def test_not_a_root_file(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert error(path, CHANNELS).startswith(f"{path}: not a ROOT file")


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["TTree", "RNTuple"])
def test_truncated_file(path: Path, fraction: float, kind: str) -> None:
    write(path, {"Kplus": {"mass": masses(20000)}}, kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    message = error(path, ["Kplus"])
    assert message.startswith(f"{path}: ")
    assert "truncated" in message


def test_one_missing_byte_is_noticed(path: Path) -> None:
    write(path, {"Kplus": {"mass": masses(100)}})
    path.write_bytes(path.read_bytes()[:-1])
    size = path.stat().st_size
    message = f"{path}: truncated, {size} of {size + 1} bytes are there; copy it again"
    assert error(path, ["Kplus"]) == message


def test_damaged_content(path: Path) -> None:
    write(path, {"Kplus": {"mass": masses(20000)}})
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    path.write_bytes(bytes(content))
    assert error(path, ["Kplus"]).startswith(f"{path}: cannot be read, perhaps damaged")


def test_missing_tree(path: Path) -> None:
    write(path, {"Kplus": {"mass": masses(5)}, "K_S": {"mass": masses(5)}})
    assert error(path, CHANNELS) == (
        f"{path}: no tree 'KS'; the trees are Kplus, K_S; did you mean 'K_S'?"
    )


def test_file_without_trees(path: Path) -> None:
    with uproot.recreate(path) as file:
        file["h"] = np.histogram([1.0, 2.0])
    assert error(path, ["Kplus"]) == f"{path}: no tree 'Kplus'; the trees are (none)"


@pytest.mark.parametrize("kind", ["TTree", "RNTuple"])
def test_missing_branch(path: Path, kind: str) -> None:
    write(path, {"Kplus": {"Mgg": masses(5), "deltaE": masses(5)}}, kind)
    assert error(path, ["Kplus"], branch="M_gg") == (
        f"{path}:Kplus: no branch 'M_gg'; the branches are Mgg, deltaE; did you mean 'Mgg'?"
    )
    message = error(path, ["Kplus"], branch="Mgg", weights="w")
    assert "no branch 'w'" in message


@pytest.mark.parametrize("kind", ["TTree", "RNTuple"])
def test_cut_selects_entries(path: Path, kind: str) -> None:
    tree = {"mass": masses(500), "Mbc": masses(500, 2), "deltaE": masses(500, 3) - 2}
    write(path, {"Kplus": tree}, kind)
    cut = "(Mbc > 1.5) & (abs(deltaE) < 0.9) | (mass < 0.5)"
    result = read(path, ["Kplus"], limits=LIMITS, cut=cut)
    keep = (tree["Mbc"] > 1.5) & (np.abs(tree["deltaE"]) < 0.9) | (tree["mass"] < 0.5)
    assert 0 < keep.sum() < 500
    np.testing.assert_array_equal(result.values["Kplus"], tree["mass"][keep])
    assert f"{keep.sum()} of 500 entries pass the cut" in result.report[-1]


def test_cut_on_a_branch_with_dots_in_its_name(path: Path) -> None:
    write(path, {"Kplus": {"B.mass": masses(50), "B.Mbc": masses(50, 2)}})
    result = read(path, ["Kplus"], limits=LIMITS, branch="B.mass", cut="B.Mbc > 2")
    np.testing.assert_array_equal(result.values["Kplus"], masses(50)[masses(50, 2) > 2])


def test_cut_that_nothing_passes(path: Path) -> None:
    write(path, {"Kplus": {"mass": masses(50)}})
    result = read(path, ["Kplus"], limits=LIMITS, cut="mass > 100")
    assert len(result.values["Kplus"]) == 0
    assert "0 candidates" in result.report[0]
    assert "0 of 50 entries pass the cut 'mass > 100'" in result.report[1]


@pytest.mark.parametrize("kind", ["TTree", "RNTuple"])
@pytest.mark.parametrize(
    ("cut", "message"),
    [
        ("Mbd > 5.27", "uses 'Mbd', which is no branch; the branches are Mbc, mass; did you mean"),
        ("Mbc >", "is not an expression"),
        ("Mbc > 1; mass > 2", "is not an expression"),
        ("", "is not an expression"),
        ("Mbc > 1 and mass < 2", "cannot be evaluated .*combine conditions with & and |"),
        ("Mbc", "is not a condition"),
        ("Mbc + 1", "is not a condition"),
        ("__import__('os')", "uses '__import__', which is no branch"),
        ("1 < 2", "uses no branch"),
        ("(Mbc > 1)[:3]", r"is refused for '\(Mbc > 1\)\[:3\]'; use nothing but branches"),
        ("abs(Mbc, Mbc, Mbc) > 1", "cannot be evaluated"),
    ],
)
def test_bad_cut(path: Path, kind: str, cut: str, message: str) -> None:
    write(path, {"Kplus": {"mass": masses(9), "Mbc": masses(9)}}, kind)
    found = error(path, ["Kplus"], cut=cut)
    assert found.startswith(f"{path}:Kplus: the cut {cut!r} ")
    assert re.search(message, found), found


@pytest.mark.parametrize("kind", ["TTree", "RNTuple"])
def test_jagged_branch(path: Path, kind: str) -> None:
    import awkward as ak

    jagged = ak.Array([[1.0, 2.0], [], [3.0]])
    with uproot.recreate(path) as file:
        if kind == "TTree":
            file.mktree("Kplus", {"mass": "var * float64", "x": "float64"})
            file["Kplus"].extend({"mass": jagged, "x": np.ones(3)})
        else:
            file.mkrntuple("Kplus", {"mass": jagged, "x": np.ones(3)})
    message = error(path, ["Kplus"])
    assert "the branch or column 'mass' does not hold one number per candidate" in message
    message = error(path, ["Kplus"], branch="x", cut="mass > 1")
    assert "the cut 'mass > 1'" in message


def test_branch_of_fixed_length_arrays(path: Path) -> None:
    with uproot.recreate(path) as file:
        file.mktree("Kplus", {"mass": np.dtype(("f8", (2,)))})
        file["Kplus"].extend({"mass": np.ones((3, 2))})
    assert "does not hold one number per candidate" in error(path, ["Kplus"])


def test_text_branch(path: Path) -> None:
    with uproot.recreate(path) as file:
        file.mktree("Kplus", {"mass": "string"})
        file["Kplus"].extend({"mass": ["a", "b"]})
    assert "the branch or column 'mass' holds no numbers" in error(path, ["Kplus"])


def test_truth_values_are_no_masses(path: Path) -> None:
    write(path, {"Kplus": {"mass": np.array([True, False])}})
    assert "holds no numbers (type bool)" in error(path, ["Kplus"])


def test_all_outside(path: Path) -> None:
    write(path, {"Kplus": {"mass": np.full(7, 9.0)}})
    assert error(path, ["Kplus"]) == (
        f"Kplus: none of 7 candidates is inside 0.16-4.5 GeV ({path}:Kplus/mass); "
        "they go from 9 to 9; check branch, unit and limits"
    )


def test_values_in_mev(path: Path) -> None:
    write(path, {"Kplus": {"mass": np.append(1000 * masses(9), [np.nan, 1e9])}})
    message = error(path, ["Kplus"])
    assert message.endswith("; the values look like MeV; divide by 1000")


def test_nothing_but_nan(path: Path) -> None:
    write(path, {"Kplus": {"mass": np.full(7, np.nan)}})
    message = error(path, ["Kplus"])
    assert "none of 7 candidates is inside" in message
    assert "MeV" not in message


def test_weights(path: Path) -> None:
    weights = np.array([1.0, 2.0, 0.0, 4.0])
    write(path, {"Kplus": {"mass": np.array([1.0, 9.0, 2.0, 3.0]), "w": weights}})
    result = read(path, ["Kplus"], limits=LIMITS, weights="w")
    assert result.values["Kplus"].tolist() == [1.0, 2.0, 3.0]
    stored = result.weights["Kplus"]
    assert stored is not None
    assert stored.tolist() == [1.0, 0.0, 4.0]
    assert f"Kplus: the sum of weights is 5 ({path}:Kplus/mass)" in result.report


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_bad_weights(path: Path, bad: float) -> None:
    write(path, {"Kplus": {"mass": masses(4), "w": np.array([1.0, bad, 1.0, bad])}})
    message = error(path, ["Kplus"], weights="w")
    assert message.startswith("Kplus: 2 of 4 weights are negative, NaN or infinite")


def test_weights_of_candidates_that_are_left_out_do_not_matter(path: Path) -> None:
    write(path, {"Kplus": {"mass": np.array([1.0, np.nan]), "w": np.array([1.0, np.nan])}})
    result = read(path, ["Kplus"], limits=LIMITS, weights="w")
    assert len(result.values["Kplus"]) == 1


def test_trees_of_unknown_channels(path: Path) -> None:
    write(path, {"Kplus": {"mass": masses(4)}})
    message = error(path, ["Kplus"], trees={"K+": "Kplus"})
    assert message == "trees names K+; the channels are Kplus"


# -- objects in memory ----------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    values=hnp.arrays(np.float64, st.integers(0, 40), elements=st.floats(allow_nan=True)),
    kind=st.sampled_from(["array", "list", "series", "frame"]),
)
def test_every_candidate_is_used_or_reported(values: np.ndarray, kind: str) -> None:
    make: dict[str, Any] = {
        "array": lambda x: x,
        "list": list,
        "series": pd.Series,
        "frame": lambda x: pd.DataFrame({"mass": x}),
    }
    inside = [x for x in values.tolist() if 0.16 <= x <= 4.5]
    data = {"Kplus": make[kind](values)}
    if len(values) and not inside:
        assert "none of" in error(data, ["Kplus"])
        return
    result = read(data, ["Kplus"], limits=LIMITS)
    assert result.values["Kplus"].tolist() == inside
    counts = [int(line.split(": ")[1].split(" ")[0]) for line in result.report]
    assert sum(counts) == len(values)
    assert result.inputs == ()


def test_frame_with_weights_and_a_branch_for_each_channel() -> None:
    frame = pd.DataFrame({"M": [1.0, 2.0], "w": [0.5, 2.0]})
    result = read(
        {"Kplus": frame, "KS": frame.rename(columns={"M": "M2"})},
        CHANNELS,
        limits=LIMITS,
        branch={"Kplus": "M", "KS": "M2"},
        weights="w",
    )
    assert result.weights["KS"] is not None
    assert result.weights["KS"].tolist() == [0.5, 2.0]


def test_nullable_and_masked_values_count_as_nan() -> None:
    series = pd.Series([1.0, None, 2.0], dtype="Float64")
    masked = np.ma.array([1, 2, 3], mask=[False, True, False])
    result = read({"Kplus": series, "KS": masked}, CHANNELS, limits=LIMITS)
    assert result.values["Kplus"].tolist() == [1.0, 2.0]
    assert result.values["KS"].tolist() == [1.0, 3.0]
    for name in CHANNELS:
        line = f"{name}: 1 of 3 candidates is NaN or infinite and was left out"
        assert line in result.report


def test_missing_channel() -> None:
    message = error({"Kplus": masses(4), "K0S": masses(4)}, CHANNELS)
    assert message == (
        "no data for KS; the data has Kplus, K0S; give an empty array for a channel without "
        "candidates"
    )


def test_channel_without_candidates_takes_part() -> None:
    result = read({"Kplus": masses(4), "KS": []}, CHANNELS, limits=LIMITS)
    assert result.values["KS"].shape == (0,)
    assert "KS: 0 candidates, the channel takes part with 0 events" in result.report


def test_unknown_channels_are_reported() -> None:
    result = read({"Kplus": masses(4), "D": masses(4)}, ["Kplus"], limits=LIMITS)
    assert list(result.values) == ["Kplus"]
    assert result.report[-1] == "not read, as no channel has this name: D"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.ones((3, 2)), "Kplus: the data does not hold one number per candidate"),
        (3.0, "does not hold one number per candidate"),
        ([[1.0], [2.0, 3.0]], "does not make an array|does not hold one number"),
        (["a", "b"], "holds no numbers"),
        (np.array([1j, 2j]), "holds no numbers"),
        (pd.Series(["a", "b"]), "holds no numbers"),
        (pd.Series([True, False]), "holds no numbers"),
        (pd.DataFrame({"Mass": [1.0]}), "Kplus: no column 'mass'; .* did you mean 'Mass'"),
        (pd.DataFrame({"mass": ["a"]}), "column 'mass' holds no numbers"),
        (object(), "does not hold one number per candidate"),
        (1000 * masses(5), "look like MeV"),
    ],
)
def test_bad_objects(data: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read({"Kplus": data}, ["Kplus"], limits=LIMITS)


@pytest.mark.parametrize(
    "data", [masses(3), pd.Series(masses(3)), hist.Hist.new.Reg(3, 0, 1).Double()]
)
def test_weights_need_a_column(data: Any) -> None:
    assert "weights" in error({"Kplus": data}, ["Kplus"], weights="w")


def test_cut_and_trees_are_for_files() -> None:
    assert "apply to files" in error({"Kplus": masses(3)}, ["Kplus"], cut="mass > 1")
    assert "apply to files" in error({"Kplus": masses(3)}, ["Kplus"], trees={"Kplus": "t"})


def test_bare_array_is_no_source() -> None:
    assert error(masses(3), ["Kplus"]).startswith("cannot read candidates from a ndarray; give")


@pytest.mark.parametrize("channels", [[], "Kplus", ["Kplus", "Kplus"]])
def test_bad_channels(channels: Any) -> None:
    assert "give a list of different names" in error({"Kplus": masses(3)}, channels)


@pytest.mark.parametrize(
    "limits", [(2.0, 1.0), (1.0, 1.0), (0.0, np.inf), (np.nan, 1.0), (1.0, 2.0, 3.0)]
)
def test_bad_limits(limits: Any) -> None:
    assert "limits of Kplus are" in error({"Kplus": masses(3)}, ["Kplus"], limits=limits)


def test_settings_that_forget_a_channel() -> None:
    message = error({"Kplus": [], "KS": []}, CHANNELS, limits={"Kplus": (0.0, 1.0)})
    assert message == "limits says nothing for the channel KS; it has Kplus"


# -- histograms -----------------------------------------------------------------------------


@pytest.mark.parametrize("storage", [bh.storage.Double(), bh.storage.Int64(), bh.storage.Weight()])
def test_histogram_becomes_weighted_events(storage: bh.storage.Storage) -> None:
    histogram = hist.Hist(hist.axis.Regular(430, 0.2, 4.5), storage=storage)
    values = masses(1000)
    histogram.fill(values)
    histogram.fill([0.1, 5.0, 6.0])
    result = read({"Kplus": histogram}, ["Kplus"], limits=LIMITS)
    counts, edges = np.histogram(values, bins=430, range=(0.2, 4.5))
    centres = 0.5 * (edges[1:] + edges[:-1])
    np.testing.assert_allclose(result.values["Kplus"], centres[counts > 0], rtol=1e-12)
    np.testing.assert_array_equal(result.weights["Kplus"], counts[counts > 0])
    filled = int(np.sum(counts > 0))
    assert result.report == (
        f"Kplus: {filled} of {filled} filled bins are used",
        "Kplus: the sum of weights is 1000",
        "Kplus: binned: the bins, 10 MeV wide, are used as weighted events at their centres; "
        "right only if that is much finer than the resolution",
        "Kplus: 3 entries in under- and overflow were left out",
    )


def test_histogram_bins_outside_the_limits_are_reported() -> None:
    histogram = bh.Histogram(bh.axis.Variable([0.0, 0.1, 1.0, 3.0]))
    histogram[...] = [5.0, 2.0, 1.0]
    result = read({"Kplus": histogram}, ["Kplus"], limits=LIMITS)
    assert result.values["Kplus"].tolist() == [0.55, 2.0]
    line = "Kplus: 1 of 3 filled bins lies outside 0.16-4.5 GeV and was left out"
    assert line in result.report
    assert any("100 to 2000 MeV wide" in line for line in result.report)


def test_empty_histogram_takes_part() -> None:
    histogram = hist.Hist.new.Reg(10, 0, 5).Double()
    result = read({"Kplus": histogram}, ["Kplus"], limits=LIMITS)
    assert result.values["Kplus"].shape == (0,)


@pytest.mark.parametrize(
    "histogram",
    [
        hist.Hist.new.Reg(3, 0, 1).Reg(3, 0, 1).Double(),
        hist.Hist.new.StrCat(["a", "b"]).Double(),
        hist.Hist.new.Reg(3, 0, 1).Mean(),
    ],
)
def test_other_histograms_are_refused(histogram: Any) -> None:
    assert "not a histogram of counts in one variable" in error({"Kplus": histogram}, ["Kplus"])


def test_negative_bins_are_refused() -> None:
    histogram = hist.Hist.new.Reg(3, 0.5, 1).Double()
    histogram[...] = [1.0, -2.0, 3.0]
    message = error({"Kplus": histogram}, ["Kplus"])
    assert message.startswith("Kplus: 1 of 3 weights are negative")


# -- the module -----------------------------------------------------------------------------


def test_import_is_cheap() -> None:
    code = (
        "import sys, zfit_dark.candidates as c; "
        "print([m for m in ('uproot', 'pandas', 'hist', 'boost_histogram') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_result_is_frozen() -> None:
    result = read({"Kplus": masses(3)}, ["Kplus"], limits=LIMITS)
    assert isinstance(result, Candidates)
    with pytest.raises(AttributeError):
        result.values = {}  # type: ignore[misc]
