"""The public face: its names are frozen, and they load nothing before they are used."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import zfit_dark as zd

PUBLIC = {
    "AsymptoticCalculator": "class",
    "CountingChannel": "class",
    "Exclusion": "class",
    "FrequentistCalculator": "class",
    "InputError": "class",
    "LifetimeScan": "class",
    "Likelihood": "class",
    "Limit": "class",
    "Nuisance": "class",
    "Plane": "class",
    "Projection": "class",
    "Scan": "class",
    "ShapeChannel": "class",
    "SignalShape": "class",
    "Toys": "class",
    "cite": "function",
    "compare_backgrounds": "function",
    "goodness_of_fit": "function",
    "impacts": "function",
    "invariant_mass": "function",
    "modified_mass": "function",
    "pdf": "module",
    "plot": "module",
    "project": "function",
    "published": "function",
    "scan": "function",
    "searches": "module",
    "significance": "function",
    "theory": "module",
    "upper_limit": "function",
    "validate": "function",
}
KINDS = {"class": inspect.isclass, "function": inspect.isfunction, "module": inspect.ismodule}


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_the_public_names_are_these() -> None:
    assert set(zd.__all__) == {"__version__", *PUBLIC}
    assert set(zd.__all__) <= set(dir(zd))


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_there_and_what_it_should_be(name: str) -> None:
    assert KINDS[PUBLIC[name]](getattr(zd, name))


def test_names_stay_what_they_are_when_everything_is_imported() -> None:
    """No submodule takes the name of a function or class of the public face."""
    code = (
        "import importlib, pkgutil, zfit_dark as zd\n"
        "for module in pkgutil.iter_modules(zd.__path__):\n"
        "    importlib.import_module(f'zfit_dark.{module.name}')\n"
        "print(*(name for name in zd.__all__ if type(getattr(zd, name)).__name__ == 'module'))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [name for name in zd.__all__ if PUBLIC.get(name) == "module"]


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(zd.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(seen) == set(PUBLIC)
    for name, module in seen.items():
        home = "zfit_dark" if PUBLIC[name] == "module" else f"zfit_dark.{zd._HOME[name]}"
        assert module == home, name


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'zfit_dark' has no attribute 'upper_limits'"):
        zd.upper_limits  # noqa: B018


@pytest.mark.parametrize(
    "statement",
    [
        "import zfit_dark",
        "import zfit_dark; zfit_dark.modified_mass(1.0, 'mu'); zfit_dark.theory; dir(zfit_dark)",
        "import zfit_dark; zfit_dark.Scan; zfit_dark.Limit; zfit_dark.InputError",
        "import zfit_dark; zfit_dark.plot",
    ],
)
def test_no_tensorflow_before_it_is_needed(statement: str) -> None:
    heavy = {"tensorflow", "zfit", "hepstats", "tensorflow_probability"}
    assert not heavy & modules_after(statement)


def test_import_alone_brings_in_nothing_heavy() -> None:
    heavy = {"numpy", "scipy", "pandas", "matplotlib", "particle", "uproot"}
    assert not heavy & modules_after("import zfit_dark")


def test_version_is_that_of_the_distribution() -> None:
    assert zd.__version__ == importlib.metadata.version("zfit-dark")
    citation = (Path(__file__).parents[1] / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {zd.__version__}\n" in citation
