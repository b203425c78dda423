"""The commands of ``zfit-dark``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from zfit_dark import __version__
from zfit_dark.cli import files, options, running, words
from zfit_dark.errors import InputError

app = typer.Typer(
    help="Searches for dark-sector particles: pseudo-data, limits, plots. Masses are in GeV.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"zfit-dark {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    del version


@app.command("list")
def list_searches() -> None:
    """List the searches."""
    from zfit_dark import searches

    names = searches.names()
    width = max(map(len, names))
    for name in names:
        print(f"{name.ljust(width)}  {searches.title(name)}")


@app.command()
def sources(name: options.Name) -> None:
    """Show the numbers behind a search, with unit, status and source."""
    print(running.load(name).sources())


@app.command()
def generate(
    name: options.Name,
    out: Annotated[Path, typer.Option("--out", help="The ROOT file to write.", show_default=False)],
    seed: Annotated[int, typer.Option("--seed", help="Seed of the random numbers.")] = 1,
    inject: options.Inject = None,
    modes: options.Modes = None,
) -> None:
    """Write pseudo-data to a ROOT file, one TTree per mode."""
    signals = options.signals(inject)
    chosen = options.names(modes)
    made = running.load(name).generate(seed, out=out, inject=signals, modes=chosen)
    events = ", ".join(f"{len(masses)} {mode}" for mode, masses in made.items())
    print(f"{out}: pseudo-data with seed {seed}: {events}")


@app.command()
def scan(
    name: options.Name,
    data: options.Data = None,
    tree: Annotated[
        list[str] | None,
        typer.Option(
            "--tree",
            metavar="MODE=TREE",
            help="Name of the tree of a mode, if it is not that of the mode. May be given again.",
            show_default=False,
        ),
    ] = None,
    branch: Annotated[
        str, typer.Option("--branch", help="The branch that holds the mass, in GeV.")
    ] = "mass",
    cut: Annotated[
        str | None,
        typer.Option("--cut", help='Selects entries, e.g. "Mbc > 5.275".', show_default=False),
    ] = None,
    level: options.Level = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("limits"),
    masses: options.Masses = None,
    modes: options.Modes = None,
    max_masses: options.MaxMasses = None,
    seed: options.Seed = None,
    inject: options.Inject = None,
    blind: options.Blind = False,
    method: options.Method = None,
    ctau: options.Ctau = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all",
            help="For long-lived particles: all lifetimes, and each channel by itself unless a "
            "model ties them.",
            show_default=False,
        ),
    ] = False,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Start over. Otherwise the same command goes on where an interrupted one ended.",
            show_default=False,
        ),
    ] = False,
    model: options.Model = None,
    global_toys: Annotated[
        int,
        typer.Option(
            "--global-toys",
            metavar="N",
            help="Pseudo-experiments of the whole scan, for the global significance.",
            show_default="none",
        ),
    ] = 0,
    goodness_toys: Annotated[
        int,
        typer.Option(
            "--goodness-toys",
            metavar="N",
            help="Pseudo-experiments of each fit that is drawn, for the goodness of fit.",
            show_default="none",
        ),
    ] = 0,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            metavar="N",
            help="Processes that work at a time, each of which compiles the model.",
            show_default="none, but threads",
        ),
    ] = 0,
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask",
            metavar="ADDRESS",
            help="Scheduler of a dask cluster whose workers work, with the extra zfit-dark[dask].",
            show_default=False,
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="K/N",
            help="Work on every N-th hypothesis from the K-th on, in a folder of its own; 'merge' "
            "makes one result of all N.",
            show_default=False,
        ),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log",
            metavar="FILE",
            help="Append what happens to a file, one line of JSON for every limit.",
            show_default=False,
        ),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Scan the mass hypotheses; leave limits, tables and plots in a folder."""
    ranges, signals, chosen = options.ranges(masses), options.signals(inject), options.names(modes)
    part = options.shard(shard)
    if part is not None:
        if global_toys or goodness_toys:
            raise InputError("--shard is a part of a scan: leave out toys of the whole scan")
        out /= f"shard-{part[0]}-of-{part[1]}"
    if data is None and (tree or cut is not None or branch != "mass"):
        raise InputError("--tree, --branch and --cut select from a file; give --data")
    if data is not None and seed is not None:
        raise InputError("--seed makes pseudo-data; leave it out with --data")
    trees = options.pairs("--tree", tree, "=", "MODE=TREE")
    if every and (ctau is not None or global_toys or goodness_toys):
        raise InputError("--all is for all lifetimes: leave out --ctau and toys of a whole scan")
    search = running.load(name, folder=out)
    lifetimes = running.with_lifetimes(search, name, every or ctau is not None or model is not None)
    sample = search.read(
        data,
        modes=chosen,
        seed=1 if seed is None else seed,
        inject=signals,
        branch=branch,
        trees=dict(trees) or None,
        cut=cut,
    )
    if not quiet:
        print(*map(words.visible, sample.report), sep="\n", flush=True)
    asked: dict[str, Any] = {
        "level": search.LEVEL if level is None else level,
        "masses": None if ranges is None else options.hypotheses(search, ranges, chosen),
        "max_masses": max_masses,
        "blind": blind,
        "method": search.METHOD if method is None else method,
        "progress": not quiet,
        "shard": part,
    }
    tied = running.with_models(search, name, model)
    if every and lifetimes is not None:
        parts = out / "parts"
        kept_in = partial(running.kept, lambda: sorted(parts.glob("*.checkpoint")), fresh, quiet)
        with kept_in(), running.executor(workers, dask) as executor, words.told(log, quiet):
            found = lifetimes.scan_lifetimes(
                sample, **asked, **tied, parts=parts, executor=executor
            )
        written = files.lifetimes(found, out) if part is None else files.root(found, out)
        if part is None:
            written += files.interpreted(search, found, out, model)
        if not quiet:
            print(found.summary())
            words.tell(written)
        return
    asked |= tied | ({} if ctau is None else {"ctau": ctau})
    kept = out / "scan.checkpoint"
    kept_in = partial(running.kept, lambda: [kept], fresh, quiet)
    with kept_in(), running.executor(workers, dask) as executor, words.told(log, quiet):
        limits = search.scan(
            sample, **asked, global_toys=global_toys, checkpoint=kept, executor=executor
        )
    written = files.tables(limits, out)
    if part is not None:
        if not quiet:
            print(limits.summary())
            words.tell(written)
        return
    written += files.plots(limits, out)
    if not tied and not ctau:  # else one lifetime alone tells no coupling
        written += files.coupling(search, limits, out)
    from zfit_dark import plot

    goodness = []
    for fit in search.fits(sample, limits, goodness_toys=goodness_toys):
        if fit.goodness is not None:
            goodness.append(f"fit at {fit.mass:.4f} GeV: {fit.goodness.summary()}")
        path = out / f"fit_{fit.mass:.4f}.png"
        written += files.save(plot.fit(fit, observable_label=search.OBSERVABLE_LABEL), [path])
    if not quiet:
        print(limits.summary(), *goodness, sep="\n")
        words.tell(written)


@app.command()
def merge(
    folder: Annotated[Path, typer.Argument(help="The --out of all shards.")],
    quiet: options.Quiet = False,
) -> None:
    """Make one result of the shards of a scan; leave limits, tables and plots in their folder."""
    from zfit_dark.merging import merged
    from zfit_dark.results import Scan

    found = merged(folder)
    scans = [found] if isinstance(found, Scan) else [each[0] for each in found.scans.values()]
    settings = scans[0].provenance["settings"]
    model = settings.get("model")
    search = running.load(str(scans[0].provenance["search"]), folder=folder)
    if isinstance(found, Scan):
        written = [*files.tables(found, folder), *files.plots(found, folder)]
        if model is None and not settings.get("ctau"):
            written += files.coupling(search, found, folder)
    else:
        written = [
            *files.lifetimes(found, folder),
            *files.interpreted(search, found, folder, model),
        ]
    if not quiet:
        print(*map(words.visible, found.summary().split("\n")), sep="\n")
        words.tell(written)


@app.command()
def project(
    name: options.Name,
    data: options.Data = None,
    luminosity: Annotated[
        str | None,
        typer.Option(
            "--luminosity",
            metavar="L,L,...",
            help="Luminosities in fb^-1.",
            show_default="575 to 50000",
        ),
    ] = None,
    floor: Annotated[
        float,
        typer.Option(
            "--floor",
            help="Relative uncertainty of the background that no luminosity makes smaller.",
        ),
    ] = 0.0,
    level: options.Level = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path(
        "projection"
    ),
    masses: options.Masses = None,
    modes: options.Modes = None,
    max_masses: options.MaxMasses = None,
    seed: options.Seed = None,
    blind: options.Blind = False,
    method: options.Method = None,
    ctau: options.Ctau = None,
    model: options.Model = None,
    quiet: options.Quiet = False,
) -> None:
    """Project the expected limits to other luminosities."""
    ranges, chosen = options.ranges(masses), options.names(modes)
    if data is not None and seed is not None:
        raise InputError("--seed makes pseudo-data; leave it out with --data")
    asked: dict[str, Any] = {}
    if luminosity is not None:
        texts = luminosity.split(",")
        asked["luminosities"] = [options.number("--luminosity", text) for text in texts]
    search = running.load(name, folder=out)
    running.with_lifetimes(search, name, ctau is not None or model is not None)
    asked |= running.with_models(search, name, model) | ({} if ctau is None else {"ctau": ctau})
    sample = search.read(data, modes=chosen, seed=1 if seed is None else seed)
    if not quiet:
        print(*map(words.visible, sample.report), sep="\n", flush=True)
    found = search.project(
        sample,
        **asked,
        level=search.LEVEL if level is None else level,
        masses=None if ranges is None else options.hypotheses(search, ranges, chosen),
        max_masses=max_masses,
        blind=blind,
        method=search.METHOD if method is None else method,
        progress=not quiet,
        floor=floor,
    )
    written = [out / "projection.json", out / "projection.csv"]
    found.to_json(written[0])
    found.to_csv(written[1])
    from zfit_dark import plot

    drawn = {
        "projection": plot.projection(found),
        "projections": plot.projections(found, **files.mass_label(found)),
    }
    for file, axes in drawn.items():
        written += files.save(
            axes.get_figure(root=True), [out / f"{file}.png", out / f"{file}.pdf"]
        )
    if not quiet:
        print(found.summary())
        words.tell(written)


@app.command("plot")
def plot_scan(
    file: Annotated[Path, typer.Argument(help="A JSON file of 'scan' or 'interpret'.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder.", show_default="that of the file")
    ] = None,
    hepdata: Annotated[
        Path | None,
        typer.Option(
            "--hepdata",
            metavar="FOLDER",
            help="Write a record for HEPData, tables and plots, to a new folder.",
            show_default=False,
        ),
    ] = None,
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Draw limits of other experiments beside those of a scan, with the extra "
            "zfit-dark[published].",
            show_default=False,
        ),
    ] = False,
) -> None:
    """Draw the limits and p-values of a scan."""
    from zfit_dark.results import LifetimeScan, Scan

    folder = running.writable(file.parent if out is None else out)
    if file.suffix == ".root":
        if published:
            raise InputError(f"{file}: --published is for limits at one lifetime, in a JSON file")
        lifetimes = LifetimeScan.from_root(file)
        written = files.maps(lifetimes, folder)
        if hepdata is not None:
            pairs = zip(lifetimes.channels, written, strict=True)
            lifetimes.to_hepdata(hepdata, images={channel: [path] for channel, path in pairs})
    else:
        scan = Scan.from_json(file)
        written = files.plots(scan, folder, **files.published(scan) if published else {})
        if hepdata is not None:
            scan.to_hepdata(hepdata, images=[path for path in written if path.suffix == ".png"])
    words.tell(written if hepdata is None else [*written, hepdata])


@app.command()
def interpret(
    name: options.Name,
    file: Annotated[
        Path, typer.Argument(help="The scan.json of 'scan', or limits.root of 'scan --all'.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder.", show_default="that of the file")
    ] = None,
    model: options.Model = None,
) -> None:
    """Turn the limits of a scan into limits on a coupling."""
    from zfit_dark.results import LifetimeScan, Scan

    folder = file.parent if out is None else out
    if file.suffix == ".root":
        result = LifetimeScan.from_root(file)
        search = running.load(name, folder=folder)
        running.with_lifetimes(search, name, True)
        running.with_models(search, name, model)
        words.tell(files.interpreted(search, result, folder, model))
        return
    scan = Scan.from_json(file)
    search = running.load(name, folder=folder)
    if running.with_models(search, name, model):
        raise InputError(f"{file}: one lifetime alone tells no coupling; give limits.root of --all")
    made_by = scan.provenance.get("search")
    if made_by not in (name, None):
        raise InputError(f"{file}: a scan of {made_by}, not of {name}")
    words.tell(files.coupling(search, scan, folder))


@app.command("report")
def write_report(
    folder: Annotated[Path, typer.Argument(help="A folder that 'scan' wrote to.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The page.", show_default="FOLDER/report.html"),
    ] = None,
) -> None:
    """Write one HTML page of all results in a folder, with interactive plots."""
    from zfit_dark import report, searches
    from zfit_dark.results.scan import write_text

    found = report.read_folder(folder)
    about = {}
    if found.search in searches.names():
        about["title"] = searches.title(found.search)
        about["mass_label"] = searches.mass_label(found.search)
        about["sources"] = searches.load(found.search).sources()
    path = folder / "report.html" if out is None else out
    write_text(path, report.page(found, **about))
    words.tell([path])
