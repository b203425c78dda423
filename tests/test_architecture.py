"""The rooms of the package and the direction of the arrows between them."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "zfit_dark"

# from the floor up: a room imports from lower ones, and from itself if it is a folder
ROOMS = (
    "errors",
    "reading",
    "numbers",
    "kinematics",
    "once",
    "counting",
    "theory",
    "newton",
    "asimov",
    "asymptotics",
    "losses",
    "terms",
    "programs",
    "results",
    "progress",
    "merging",
    "literature",
    "candidates",
    "profile",
    "toys",
    "frequentist",
    "pdf",
    "signal_shape",
    "channel",
    "likelihood",
    "calculators",
    "hypotheses",
    "limits",
    "ranking",
    "goodness",
    "elsewhere",
    "fitting",
    "identity",
    "checkpoint",
    "workers",
    "scanning",
    "projecting",
    "validation",
    "planes",
    "plot",
    "report",
    "searches",
    "citation",
    "cli",
)
# rooms that may import less of the package than stands below them
ONLY_FROM = {
    "reading": {"errors"},
    "numbers": {"errors", "reading"},
    "kinematics": {"errors"},
    "once": set(),
    "counting": {"errors"},
    "theory": {"errors", "kinematics"},
    "newton": set(),
    "asimov": set(),
    "asymptotics": {"newton"},
    "losses": {"errors"},
    "terms": {"newton", "once"},
    "programs": {"terms"},
    "results": {"errors"},
    "progress": {"errors", "results"},
    "merging": {"errors", "results"},
    "literature": {"errors", "results", "theory"},
    "candidates": {"errors"},
    "profile": {"asimov", "asymptotics", "errors", "losses", "newton", "programs", "terms"},
    "checkpoint": {"errors", "results"},
    "planes": {"errors", "results"},
    "pdf": {"errors", "kinematics", "once"},
    "plot": {"errors", "results"},
    "report": {"errors", "plot", "results"},
}
# what rooms may import from outside, the standard library apart
FLOOR = {
    "errors": set(),
    "reading": {"yaml"},
    "numbers": {"pydantic"},
    "kinematics": {"numpy", "particle"},
    "once": set(),
    "counting": {"numpy", "scipy"},
    "theory": {"numpy", "scipy", "yaml"},
    "newton": {"numpy", "tensorflow"},
    "asimov": {"numpy", "tensorflow"},
    "asymptotics": {"numpy", "scipy", "tensorflow"},
    "results": {
        "PIL",
        "hepdata_lib",
        "hepdata_validator",
        "numpy",
        "pandas",
        "scipy",
        "uproot",
        "yaml",
    },
    "progress": {"rich"},
    "merging": set(),
    "literature": {"numpy", "yaml"},
    "candidates": {"boost_histogram", "hist", "numpy", "pandas", "uproot"},
    "checkpoint": set(),
    "planes": {"contourpy", "numpy", "scipy"},
    "plot": {"matplotlib", "mplhep", "numpy", "scipy"},
    "report": {"numpy", "plotly", "scipy"},
}
# packages that a single room knows
KEPT_IN = {
    "contourpy": "planes",
    "hepdata_lib": "results",
    "hepstats": "calculators",
    "matplotlib": "plot",
    "mplhep": "plot",
    "plotly": "report",
    "typer": "cli",
}

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(source: str) -> set[str]:
    """Dotted names of all imports, those inside functions and for type checkers too."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms_imported(source: str) -> set[str]:
    parts = [name.split(".") for name in imported(source)]
    return {p[1] for p in parts if p[0] == "zfit_dark" and len(p) > 1} - {"__version__"}


def packages_imported(source: str) -> set[str]:
    """Packages imported from outside, the standard library apart."""
    names = {name.split(".")[0] for name in imported(source)}
    return names - {"zfit_dark"} - sys.stdlib_module_names


def test_imports_are_found_wherever_they_stand() -> None:
    source = (
        "import sys, hepstats.hypotests\n"
        "if TYPE_CHECKING:\n    from zfit_dark.limits import upper_limit\n"
        "def f():\n    from zfit_dark import searches, __version__\n    import numpy as np\n"
    )
    assert rooms_imported(source) == {"limits", "searches"}
    assert packages_imported(source) == {"hepstats", "numpy"}


def test_every_module_has_its_room() -> None:
    assert {room_of(path) for path in MODULES} <= set(ROOMS), "give the new room its place in ROOMS"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_run_down_only(path: Path) -> None:
    room = room_of(path)
    below = set(ROOMS[: ROOMS.index(room)])
    allowed = ONLY_FROM.get(room, below)
    assert allowed <= below
    assert rooms_imported(path.read_text(encoding="utf-8")) - {room} <= allowed


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_packages_stay_in_their_rooms(path: Path) -> None:
    room = room_of(path)
    packages = packages_imported(path.read_text(encoding="utf-8"))
    for package in packages & set(KEPT_IN):
        assert KEPT_IN[package] == room, f"{package} belongs to {KEPT_IN[package]}"
    if room in FLOOR:
        assert packages <= FLOOR[room]


def test_what_is_imported_is_declared() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[<>=~]", line)[0] for line in project["dependencies"]}
    declared = {name.replace("-", "_").replace("pyyaml", "yaml") for name in declared}
    used = set().union(*(packages_imported(p.read_text(encoding="utf-8")) for p in MODULES))
    extras = {"PIL", "alpaca", "distributed", "hepdata_lib", "hepdata_validator", "plotly"}
    assert used - extras <= declared


def test_lowest_versions_are_those_of_the_project() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    itself, *tested = extras["test"]
    for extra in re.findall(r"\w+", itself.partition("[")[2]):
        tested += extras[extra]
    lowest = {line.replace(">=", "==") for line in [*project["dependencies"], *tested]}
    header, *pins = (ROOT / "tests" / "lowest.txt").read_text(encoding="utf-8").splitlines()
    assert header.startswith("#")
    assert set(pins) == lowest


def repository_texts() -> dict[str, str]:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout: the list of the repository's files is not at hand")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    texts = {}
    for name in filter(None, listing.stdout.split("\0")):
        try:
            texts[name] = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):  # a picture; deleted, not yet committed
            continue
    return texts


def test_no_path_or_host_of_one_machine_is_in_the_repository() -> None:
    place = re.compile(
        r"(?<![\w.~)])/(?:home|root|tmp|Users|work)/\w"
        r"|pypi\.org|pythonhosted\.org|npmjs\.(?:com|org)|deb\.debian\.org"
    )
    assert place.search("see /" + "home/me/x")
    texts = repository_texts()
    assert "pyproject.toml" in texts
    found = {name: hit.group() for name, text in texts.items() if (hit := place.search(text))}
    assert not found
