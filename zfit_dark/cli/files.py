"""What commands leave in a folder: tables and plots. Each function tells the paths."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from zfit_dark.errors import InputError

if TYPE_CHECKING:
    from zfit_dark.results import Exclusion, LifetimeScan, Projection, Scan
    from zfit_dark.searches import ModelSearch, Search


def tables(limits: Scan, folder: Path) -> list[Path]:
    """Write limits as JSON and as a table."""
    written = [folder / "scan.json", folder / "scan.csv"]
    limits.to_json(written[0])
    limits.to_csv(written[1])
    return written


def root(result: LifetimeScan, folder: Path) -> list[Path]:
    """Write limits of all lifetimes as ROOT file."""
    path = folder / "limits.root"
    result.to_root(path)
    return [path]


def lifetimes(result: LifetimeScan, folder: Path) -> list[Path]:
    """Write and draw limits of all lifetimes."""
    return [*root(result, folder), *maps(result, folder)]


def maps(result: LifetimeScan, folder: Path) -> list[Path]:
    """Draw the limits of each channel against mass and lifetime."""
    from zfit_dark import plot

    written = []
    for channel in result.channels:
        label = mass_label(result.scans[channel][0])
        figure = plot.lifetimes(result, channel, **label).get_figure(root=True)
        written += save(figure, [named(folder, f"limits_{channel}.png")])
    return written


def interpreted(
    search: Search, result: LifetimeScan, folder: Path, model: str | None
) -> list[Path]:
    """Write and draw what the limits of all lifetimes mean for couplings."""
    from zfit_dark.searches import ModelSearch

    if isinstance(search, ModelSearch):
        return exclusions(search, result, folder, model)
    coupling = search.interpret(result)
    path = folder / "coupling.json"
    coupling.to_json(path)
    prompt = search.interpret(result.scans[result.channels[0]][0])
    return [path, *plots(coupling, folder, p_values=False, beside=[prompt])]


def exclusions(
    search: ModelSearch, result: LifetimeScan, folder: Path, model: str | None
) -> list[Path]:
    """Write and draw what is excluded of each channel, in one model or in all of them."""
    from zfit_dark import plot
    from zfit_dark.searches import PlaneSearch

    tied = [name for name in result.channels if name in search.MODELS]
    models = [model] if model is not None else tied or list(search.MODELS)
    written = []
    for name in models:
        for channel in result.channels:
            exclusion = search.interpret(result, model=name, channel=channel)
            if not len(exclusion.masses):
                continue  # not to be interpreted in this model at any mass
            path = folder / f"exclusion_{name}_{channel}.json"
            exclusion.to_json(path)
            figure = plot.exclusion(exclusion, **mass_label(exclusion)).get_figure(root=True)
            written += [path, *save(figure, [path.with_suffix(".png")])]
            if isinstance(search, PlaneSearch):
                for plane in search.planes(result, model=name, channel=channel):
                    path = folder / f"plane_{plane.x}_{channel}.json"
                    plane.to_json(path)
                    figure = plot.plane(plane).get_figure(root=True)
                    written += [path, *save(figure, [path.with_suffix(".png")])]
    return written


def mass_label(result: Scan | Exclusion | Projection) -> dict[str, Any]:
    """The mass as an axis names it; nothing for a scan of one's own, the plot has a label too."""
    from zfit_dark import searches

    made_by = str(result.provenance.get("search"))
    return {"mass_label": searches.mass_label(made_by)} if made_by in searches.names() else {}


def coupling(search: Search, scan: Scan, folder: Path) -> list[Path]:
    """Write and draw the limits on the coupling."""
    coupling = search.interpret(scan)
    path = folder / "coupling.json"
    coupling.to_json(path)
    return [path, *plots(coupling, folder, p_values=False)]


def published(scan: Scan) -> dict[str, Any]:
    """What `plot.brazil` is to draw of published limits; without their package, a note on it."""
    from zfit_dark import literature

    if note := literature.missing():
        return {"note": note}
    found = literature.comparable(scan)
    return {"published": found, "note": "" if found else "no published limits on this are known"}


def plots(scan: Scan, folder: Path, *, p_values: bool = True, **drawn_beside: Any) -> list[Path]:
    """Draw limits and, if there are any, p-values, each as PNG and PDF.

    What is drawn beside the limits is passed on to `plot.brazil`.
    """
    from numpy import isnan

    from zfit_dark import plot

    drawn = {f"limit_{scan.poi}": plot.brazil(scan, **mass_label(scan), **drawn_beside)}
    if p_values and not isnan(scan.p0).all():
        drawn["p0"] = plot.p_values(scan, **mass_label(scan))
    written = []
    for name, axes in drawn.items():
        paths = [named(folder, f"{name}.{kind}") for kind in ("png", "pdf")]
        written += save(axes.get_figure(root=True), paths)
    return written


def named(folder: Path, name: str) -> Path:
    """A file in a folder, whatever the name is made of: a channel or parameter of some file.

    Raises:
        InputError: The name leads out of the folder, or cannot be that of a file.
    """
    if Path(name).name != name or not name.isprintable():
        raise InputError(
            f"{name!r} cannot name a file in {folder}; rename the parameter or channel"
        )
    return folder / name


def save(figure: Any, paths: list[Path]) -> list[Path]:
    """Write a figure, in the formats that the names of the files tell."""
    from zfit_dark.plot.style import bad_labels_told
    from zfit_dark.results.scan import in_one_step

    for path in paths:
        with in_one_step(path) as temporary, bad_labels_told():
            figure.savefig(temporary, format=path.suffix[1:])
    return paths
