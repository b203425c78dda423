"""What is cited for a result: every entry that belongs there, in BibTeX that can be read back."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import zfit_dark as zd
from zfit_dark import searches
from zfit_dark.results import Interval, Published, new_provenance

PACKAGE = Path(zd.__file__).parent
RULES = yaml.safe_load((PACKAGE / "references.yaml").read_text(encoding="utf-8"))
FIELDS = {
    "article": {"author", "title", "journal", "volume", "pages", "year"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "misc": {"author", "title"},
    "phdthesis": {"author", "title", "school", "year"},
    "techreport": {"author", "title", "institution", "number", "year"},
}


def parsed(text: str) -> dict[str, dict[str, str]]:
    """The entries of a BibTeX text; it has nothing else, and each key and field once."""
    entries: dict[str, dict[str, str]] = {}
    assert text.endswith("}\n")
    for block in text.removesuffix("\n").split("\n\n"):
        head, *lines, end = block.split("\n")
        kind, _, key = head.removesuffix(",").partition("{")
        assert (kind[0], head[-1], end) == ("@", ",", "}"), block
        assert key not in entries
        assert not set(key) & set(' ,{}"#%\\')
        fields: dict[str, str] = {"type": kind[1:]}
        for line in lines:
            name, equals, value = line.partition(" = ")
            assert equals, line
            assert (line[:2], value[0], value[-2:]) == ("  ", "{", "},"), line
            assert balanced(value[1:-2]), line
            assert name.strip() not in fields, line
            fields[name.strip()] = value[1:-2]
        entries[key] = fields
    return entries


def balanced(text: str) -> bool:
    """Whether braces are in pairs and there are no bare signs that LaTeX takes for its own."""
    depth = 0
    for sign in text:
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if depth < 0:
            return False
    words = text.replace("\\_", "").replace("\\&", "").split("$")[::2]  # outside formulas
    return depth == 0 and text.isascii() and not set("".join(words)) & set("_&%#^")


def scan(how: tuple[str, str] = ("", ""), **changes: Any) -> zd.Scan:
    settings: dict[str, Any] = {
        "masses": [1.0, 2.0],
        "observed": [3.0, 3.0],
        "expected": np.tile([1.0, 2.0, 3.0, 4.0, 5.0], (2, 1)),
        "poi_hat": [0.0, 0.0],
        "poi_error": [1.0, 1.0],
        "p0": [0.5, 0.5],
        "valid": [True, True],
        "warnings": ((), ()),
        "how": how,
        "level": 0.9,
        "method": "asymptotic",
        "test_statistic": "qtilde",
        "poi": "n_sig",
        "poi_label": "signal",
        "pseudo_data": True,
    }
    return zd.Scan(**(settings | changes))


def limit(method: str, how: str = "") -> zd.Limit:
    expected = (1.0, 2.0, 3.0, 4.0, 5.0)
    return zd.Limit(3.0, expected, 0.0, 1.0, 0.5, 0.9, method, "qtilde", valid=True, how=how)


def exclusion(coupling: str, provenance: Mapping[str, Any]) -> zd.Exclusion:
    return zd.Exclusion(
        masses=np.array([1.0]),
        observed=((Interval(1e-4, 1e-3, True, False),),),
        expected=((),),
        valid=np.array([True]),
        coupling=coupling,
        coupling_label=coupling,
        model="a model",
        assumptions=(),
        channels=("mumu",),
        level=0.9,
        pseudo_data=True,
        provenance=provenance,
    )


def keys(*results: Any) -> set[str]:
    return set(parsed(zd.cite(*results)))


SOFTWARE = set(RULES["always"])
CLS = {"Read:2002hq"}


def named(part: Any) -> set[str]:
    """All keys in a part of the rules."""
    if isinstance(part, dict):
        return set().union(*map(named, part.values()))
    return set(part)


def test_each_key_of_the_rules_has_an_entry_and_each_entry_a_use() -> None:
    used = named({name: RULES[name] for name in set(RULES) - {"entries", "packages"}})
    used |= set(RULES["packages"].values())
    assert used <= set(RULES["entries"])
    texts = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.yaml")]
    by_number = {
        key
        for key, entry in RULES["entries"].items()
        if any(f"arXiv:{entry.get('eprint')}" in text for text in texts)
    }
    assert set(RULES["entries"]) == used | by_number


@pytest.mark.parametrize("key", RULES["entries"])
def test_an_entry_has_what_its_type_needs(key: str) -> None:
    entry = RULES["entries"][key]
    missing = FIELDS[entry["type"]] - set(entry)
    assert not missing
    assert all(isinstance(value, str) for value in entry.values())
    assert key in ("zfit_dark", *named(RULES["pdfs"])) or {"doi", "eprint", "number"} & set(entry)


def test_everything_at_once_can_be_read_back() -> None:
    auto = scan(("exact: 3", "toys: 5"), method="auto")
    results = [exclusion(name, {}) for name in RULES["couplings"]]
    entries = parsed(zd.cite(auto, *results))
    for key, entry in entries.items():
        expected = dict(RULES["entries"][key])
        if "eprint" in expected:
            expected["archivePrefix"] = "arXiv"
        assert entry == expected


@pytest.mark.parametrize(
    ("method", "how", "papers"),
    [
        ("asymptotic", "", {"Cowan:2010js"}),
        ("toys", "", {"Cowan:2010js", "ATLAS:2011tau", "veach"}),
        ("exact", "exact: sums over the counts", named(RULES["methods"]["exact"])),
        ("auto", "asymptotic: 300 background events", {"Cowan:2010js"}),
        ("auto", "toys: 3 background events", named(RULES["methods"]["toys"])),
        ("auto", "exact: 3 background events", named(RULES["methods"]["exact"])),
        ("asymptotic", "background: line", {"Cowan:2010js", "Dauncey:2014xga"}),
    ],
)
def test_a_limit_cites_the_statistics_of_its_method(
    method: str, how: str, papers: set[str]
) -> None:
    assert keys(limit(method, how)) == SOFTWARE | CLS | papers
    together = scan((how, how), method=method)
    assert keys(together) == SOFTWARE | CLS | papers | {"Gross:2010qma"}


def test_only_a_scan_that_looks_elsewhere_cites_that() -> None:
    hidden = {name: [np.nan] * 2 for name in ("observed", "poi_hat", "poi_error", "p0")}
    assert "Gross:2010qma" not in keys(scan(blind=True, **hidden))
    assert "Gross:2010qma" not in keys(scan().between(0.5, 1.5))


@pytest.mark.parametrize("name", searches.names())
def test_a_search_cites_its_paper(name: str) -> None:
    provenance = new_provenance(search=name, inputs=[{"path": "a", "sha256": "b", "size": 1}])
    reference = yaml.safe_load((PACKAGE / "searches" / f"{name}.yaml").read_text("utf-8"))
    entries = parsed(zd.cite(scan(provenance=provenance)))
    (paper,) = (e for e in entries.values() if f"arXiv:{e.get('eprint')}" in reference["reference"])
    assert paper["title"]  # not the number alone
    assert "uproot" in entries
    assert set(RULES["searches"].get(name, ())) <= set(entries)


@pytest.mark.parametrize("name", ["b2ks", "idm"])
def test_models_that_tie_channels_are_cited(name: str) -> None:
    module: Any = searches.load(name)
    assert set(RULES["models"][name]) == set(module.MODELS)
    for model in module.MODELS:
        tied = scan(provenance=new_provenance(search=name, settings={"model": model}))
        alone = scan(provenance=new_provenance(search=name, settings={"model": None}))
        assert keys(tied) - keys(alone) == set(RULES["models"][name][model])


def test_couplings_of_the_searches_have_their_theory() -> None:
    b2ks = import_module("zfit_dark.searches.b2ks.couplings")
    assert {each.name for each in b2ks._COUPLINGS.values()} <= set(RULES["couplings"])
    b2kagg = import_module("zfit_dark.searches.b2kagg.couplings")
    assert b2kagg._COUPLING["poi"] in RULES["couplings"]
    assert "Winkler:2018qyg" in keys(exclusion("theta", {}))
    assert "Izaguirre:2016dfi" in keys(scan(poi="g_aW"))
    assert "Izaguirre:2016dfi" not in keys(scan())


def test_merged_limits_cite_all_that_they_were_merged_from() -> None:
    one, other = (new_provenance(search=name) for name in ("b2ks", "idm"))
    merged = exclusion("theta", {"search": "b2ks", "merged": [one, other]})
    assert {"Belle-II:2023ueh", "arXiv:2505.09705"} <= keys(merged)


def test_limits_against_lifetime_and_projections_cite_those_of_their_scans() -> None:
    b2ks = new_provenance(search="b2ks")
    both = [scan(method="toys", provenance=b2ks) for _ in range(2)]
    lifetimes = zd.LifetimeScan(lifetimes=np.array([0.1, 1.0]), scans={"mumu": tuple(both)})
    assert keys(lifetimes) == keys(both[0])
    hidden = {name: [np.nan] * 2 for name in ("observed", "poi_hat", "poi_error", "p0")}
    blind = scan(blind=True, provenance=b2ks, **hidden)
    projection = zd.Projection(
        luminosities=np.array([1.0, 2.0]), scans=(blind, blind), luminosity=1.0
    )
    assert keys(projection) == keys(blind)


def test_published_limits_cite_their_paper_and_who_collected_them() -> None:
    papers = yaml.safe_load((PACKAGE / "literature.yaml").read_text(encoding="utf-8"))
    for paper in papers["experiments"].values():
        limits = Published(
            name="x",
            process="B → K S",
            search="b2ks",
            mode="Kplus_mumu",
            masses=np.array([1.0]),
            lifetimes=np.array([1.0]),
            limits=np.array([[1e-7]]),
            poi="bf",
            poi_label="B",
            level=0.9,
            level_source="read",
            origin="digitised",
            package="alpaca-ALPs 1.2",
            **{name: paper[name] for name in ("experiment", "reference", "inspire")},
        )
        assert keys(limits) == SOFTWARE | {"alpaca", paper["inspire"]}
        drawn = exclusion("theta", {"published": limits.citation, "package": limits.package})
        assert {"alpaca", paper["inspire"]} <= keys(drawn)


def test_a_search_whose_paper_is_not_known_here_is_cited_by_number(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = tmp_path / "new.yaml"
    data.write_text("reference: arXiv:2601.01234 and arXiv:hep-ex/0601001\n", encoding="utf-8")
    monkeypatch.setattr("zfit_dark.citation.data_file", lambda name: data)
    monkeypatch.setattr("zfit_dark.searches.names", lambda: ["new"])
    entries = parsed(zd.cite(scan(provenance=new_provenance(search="new"))))
    for number in ("2601.01234", "hep-ex/0601001"):
        expected = {"type": "misc", "eprint": number, "archivePrefix": "arXiv"}
        assert entries[f"arXiv:{number}"] == expected


def test_versions_are_those_of_the_provenance() -> None:
    records = [{"versions": {"zfit": version, "else": "1"}} for version in ("0.28.0", "0.29.0")]
    entries = parsed(zd.cite(scan(provenance=records[0]), scan(provenance=records[1])))
    assert entries["Eschle:2019jmu"]["note"] == "version 0.28.0, 0.29.0"
    assert [key for key, entry in entries.items() if "note" in entry] == ["Eschle:2019jmu"]


def test_pdfs_of_a_model_are_cited() -> None:
    import zfit

    obs = zfit.Space("cited", 0.0, 1.0)
    peak = zd.pdf.Vetoed(
        zd.pdf.DoubleCB(0.5, 0.05, 1.0, 2.0, 1.0, 2.0, obs, extended=10.0), [(0.1, 0.2)]
    )
    end = zd.pdf.Argus(0.9, -1.0, 0.5, obs, extended=10.0)
    data = zfit.Data.from_numpy(obs=obs, array=np.array([0.4, 0.5]))
    loss = zfit.loss.ExtendedUnbinnedNLL(zfit.pdf.SumPDF([peak, end]), data)
    assert keys(loss) == SOFTWARE | set(RULES["pdfs"]["DoubleCB"]) | {"ARGUS:1990hfq"}


def test_pdfs_of_the_rules_exist() -> None:
    assert all(hasattr(zd.pdf, name) for name in RULES["pdfs"])


def test_nothing_but_results_and_models_is_cited() -> None:
    assert keys() == SOFTWARE
    with pytest.raises(zd.InputError, match="nothing to cite for int: give limits"):
        zd.cite(scan(), 5)
