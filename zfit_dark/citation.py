"""What to cite for a result: its methods, search, theory and software.

Rules and entries stand in ``references.yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from zfit_dark import searches
from zfit_dark.errors import InputError
from zfit_dark.numbers import data_file
from zfit_dark.reading import read_yaml
from zfit_dark.results import Exclusion, LifetimeScan, Limit, Plane, Projection, Published, Scan

__all__ = ["cite"]

_EPRINT = re.compile(r"arXiv:(\d{4}\.\d{4,5}|[a-z-]+/\d{7})")


def cite(*results: Any) -> str:
    """The bibliography of results, in BibTeX.

    It has the software, the statistics behind the limits (where ``method="auto"`` chose, of what it
    took), the paper of the search that is named in the provenance, the theory of a coupling, and
    the papers of published limits. A result does not know the PDFs of its model: give the model
    too for the papers of those. An exclusion does not know what ``"auto"`` took: give its limits
    too.

    Args:
        results: `Limit`, `Scan`, `LifetimeScan`, `Projection`, `Exclusion`, `Plane`, published
            limits, a `Likelihood` or a zfit loss; any number of them. The software alone if there
            is none.

    Returns:
        The entries, each once; notes have the versions of the software that a provenance tells. A
        search whose paper has no entry in this package is cited by its number in the arXiv.

    Raises:
        InputError: one of them is none of these.
    """
    rules = _content()
    keys: list[str] = list(rules["always"])
    versions: dict[str, set[str]] = {}
    for result in results:
        keys += _of(result)
        for provenance in _provenances(result):
            for package, version in provenance.get("versions", {}).items():
                versions.setdefault(rules["packages"].get(package, ""), set()).add(version)
    return "\n\n".join(_bibtex(key, versions.get(key, ())) for key in dict.fromkeys(keys)) + "\n"


@lru_cache
def _content() -> dict[str, Any]:
    content = read_yaml(Path(__file__).with_name("references.yaml"))
    assert isinstance(content, dict)
    return content


def _of(result: Any) -> Iterator[str]:
    """Keys of what a result was made with; some more than once."""
    rules = _content()
    for provenance in _provenances(result):
        yield from _of_provenance(provenance)
    if isinstance(result, Published):
        yield from (*rules["published"], *_papers(result.reference))
    elif isinstance(result, Exclusion):
        yield from (*rules["limits"], *_of_coupling(result.coupling))
    elif isinstance(result, Plane):
        yield from (*rules["limits"], *_of_coupling(result.x), *_of_coupling(result.y))
    elif isinstance(result, Limit | Scan | LifetimeScan | Projection):
        for limits in _parts(result):
            yield from _of_limits(limits)
    else:
        yield from _of_model(result)


def _parts(result: Limit | Scan | LifetimeScan | Projection) -> Sequence[Limit | Scan]:
    """The limits that a result holds."""
    if isinstance(result, LifetimeScan):
        return [scan for scans in result.scans.values() for scan in scans]
    return result.scans if isinstance(result, Projection) else [result]


def _of_limits(limits: Limit | Scan) -> Iterator[str]:
    rules = _content()
    yield from rules["limits"]
    hows = [limits.how] if isinstance(limits, Limit) else limits.how
    for method in rules["methods"]:
        if method == limits.method or any(how.startswith(f"{method}:") for how in hows):
            yield from rules["methods"][method]
    if any(how.startswith("background:") for how in hows):
        yield from rules["background_choice"]
    if isinstance(limits, Scan):
        yield from _of_coupling(limits.poi)
        if len(limits.masses) > 1 and not limits.blind:
            yield from rules["global_significance"]


def _of_coupling(name: str) -> Sequence[str]:
    """Keys of the theory behind a parameter of interest or an axis of a plane."""
    found: Sequence[str] = _content()["couplings"].get(name, ())
    return found


def _provenances(result: Any) -> Iterator[Mapping[str, Any]]:
    """All records of where a result comes from; limits that were merged have several."""
    holders = _parts(result) if isinstance(result, LifetimeScan) else [result]
    for holder in holders:
        record = getattr(holder, "provenance", {})
        yield from record.get("merged", [record])


def _of_provenance(provenance: Mapping[str, Any]) -> Iterator[str]:
    rules, search = _content(), provenance.get("search")
    if search in searches.names():
        model = provenance.get("settings", {}).get("model")
        yield from _papers(str(read_yaml(data_file(search))["reference"]))
        yield from rules["searches"].get(search, ())
        yield from rules["models"].get(search, {}).get(model, ())
    if "published" in provenance:
        yield from (*rules["published"], *_papers(provenance["published"]))
    if provenance.get("inputs"):
        yield from rules["files"]


def _papers(text: str) -> list[str]:
    """Keys of the papers whose number in the arXiv stands in a text."""
    known = {entry.get("eprint"): key for key, entry in _content()["entries"].items()}
    return [known.get(eprint, f"arXiv:{eprint}") for eprint in _EPRINT.findall(text)]


def _of_model(model: Any) -> Iterator[str]:
    """Keys of the PDFs of a zfit loss, or of a `Likelihood`.

    Raises:
        InputError: it is neither.
    """
    loss = getattr(model, "loss", model)
    if not hasattr(loss, "model"):
        raise InputError(
            f"nothing to cite for {type(model).__name__}: give limits, scans, exclusions, "
            "published limits, a Likelihood or a zfit loss"
        )
    left = list(loss.model)
    while left:
        pdf = left.pop(0)
        yield from _content()["pdfs"].get(type(pdf).__name__, ())
        left += getattr(pdf, "pdfs", ())


def _bibtex(key: str, versions: Collection[str]) -> str:
    """One entry; that of a paper which is only known by its number has nothing else."""
    entry = _content()["entries"].get(key, {"type": "misc", "eprint": key.removeprefix("arXiv:")})
    fields = {name: text for name, text in entry.items() if name != "type"}
    if "eprint" in fields:
        fields["archivePrefix"] = "arXiv"
    if versions:
        fields["note"] = f"version {', '.join(sorted(versions))}"
    lines = [f"  {name} = {{{text}}}," for name, text in fields.items()]
    return "\n".join([f"@{entry['type']}{{{key},", *lines, "}"])
