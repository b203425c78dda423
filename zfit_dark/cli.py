"""The command line: a thin face on the searches, the results and the plots.

Nothing heavy is imported before a command needs it, so that ``zfit-dark --help`` answers at once.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zfit_dark import __version__
from zfit_dark.errors import InputError

if TYPE_CHECKING:
    from zfit_dark.results import Exclusion, LifetimeScan, Projection, Scan
    from zfit_dark.searches import LifetimeSearch, ModelSearch, Search

__all__ = ["app", "main"]

_USAGE_ERROR: type[Any] = typer.BadParameter.__mro__[1]
_INTERRUPTED = 130
_SECONDS_TO_CONNECT = 30
_MOST_WORKERS = 1000
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "ZFIT_DISABLE_TF_WARNINGS": "1"}

app = typer.Typer(
    help="Searches for dark-sector particles: pseudo-data, limits, plots. Masses are in GeV.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_Name = Annotated[str, typer.Argument(help="Name of a search, see 'list'.", show_default=False)]
_Inject = Annotated[
    list[str] | None,
    typer.Option(
        "--inject",
        metavar="MASS:EVENTS",
        help="Put a signal into the pseudo-data, with so many events expected in the first mode. "
        "May be given again.",
        show_default=False,
    ),
]
_Modes = Annotated[
    str | None,
    typer.Option(
        "--modes", "--channel", metavar="MODE,...", help="Decay modes.", show_default="all"
    ),
]
_Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="For long-lived particles: the theory that ties channels, or that limits are "
        "interpreted in.",
        show_default=False,
    ),
]
_Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FILE",
        help="ROOT file with one tree per mode.",
        show_default="pseudo-data",
    ),
]
_Level = Annotated[
    float | None,
    typer.Option("--level", help="Confidence level.", show_default="that of the search"),
]
_Masses = Annotated[
    str | None,
    typer.Option(
        "--masses",
        metavar="M,M,...|LOW:HIGH",
        help="Mass hypotheses: single ones, or a range in steps of the resolution.",
        show_default="all",
    ),
]
_MaxMasses = Annotated[
    int | None,
    typer.Option(
        "--max-masses",
        metavar="N",
        help="Scan N of the hypotheses, spread evenly.",
        show_default="all",
    ),
]
_Seed = Annotated[
    int | None,
    typer.Option("--seed", help="Seed of the pseudo-data.", show_default="1"),
]
_Blind = Annotated[bool, typer.Option("--blind", help="Expected limits only, from the sidebands.")]
_Method = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help="How limits are found: asymptotic, toys, exact, or auto.",
        show_default="that of the search",
    ),
]
_Ctau = Annotated[
    float | None,
    typer.Option(
        "--ctau",
        metavar="CM",
        help="For long-lived particles: the proper decay length in cm.",
        show_default="that of the search",
    ),
]
_Quiet = Annotated[
    bool, typer.Option("--quiet", help="Show nothing but errors.", show_default=False)
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; what ``zfit-dark`` calls.

    Args:
        arguments: Those of the command line if not given.

    Returns:
        The exit status: 0; 1 if nobody reads the output; 2 for bad input, or a machine without
        room or memory, told in one line on standard error; 130 if interrupted.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    _mend_streams()
    try:
        status = app(arguments, prog_name="zfit-dark", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        status = _INTERRUPTED
    except InputError as error:
        return _refuse(str(error))
    except _USAGE_ERROR as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # the help was shown
            return 0
        return _refuse(error.format_message())
    except MemoryError:
        return _refuse("too little memory; allow more, or ask for fewer modes, workers or toys")
    except OSError as error:
        with suppress(OSError):  # else Python tries to print the rest at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 1
        return _refuse(f"{error.filename or 'the output'}: {error.strerror or error}")
    if status == _INTERRUPTED:
        print("zfit-dark: interrupted", file=sys.stderr)
    return int(status or 0)


def _mend_streams() -> None:
    """Open what the shell closed, and have letters that a terminal cannot show told by number.

    The number of a closed stream would go to the next file, and what TensorFlow logs into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):  # one put in its place may have none
            stream.reconfigure(errors="backslashreplace")


def _refuse(message: str) -> int:
    line = re.sub("[ \t\n]+", " ", message.strip())
    with suppress(OSError):
        print(f"zfit-dark: error: {_visible(line)}", file=sys.stderr)
    return 2


def _visible(text: str) -> str:
    """A text with what would control the terminal told by number; a file can hold anything."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
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
def sources(name: _Name) -> None:
    """Show the numbers behind a search, with unit, status and source."""
    print(_load(name).sources())


@app.command()
def generate(
    name: _Name,
    out: Annotated[Path, typer.Option("--out", help="The ROOT file to write.", show_default=False)],
    seed: Annotated[int, typer.Option("--seed", help="Seed of the random numbers.")] = 1,
    inject: _Inject = None,
    modes: _Modes = None,
) -> None:
    """Write pseudo-data to a ROOT file, one TTree per mode."""
    signals = _signals(inject)
    chosen = _names(modes)
    made = _load(name).generate(seed, out=out, inject=signals, modes=chosen)
    events = ", ".join(f"{len(masses)} {mode}" for mode, masses in made.items())
    print(f"{out}: pseudo-data with seed {seed}: {events}")


@app.command()
def scan(
    name: _Name,
    data: _Data = None,
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
    level: _Level = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("limits"),
    masses: _Masses = None,
    modes: _Modes = None,
    max_masses: _MaxMasses = None,
    seed: _Seed = None,
    inject: _Inject = None,
    blind: _Blind = False,
    method: _Method = None,
    ctau: _Ctau = None,
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
    model: _Model = None,
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
    quiet: _Quiet = False,
) -> None:
    """Scan the mass hypotheses; leave limits, tables and plots in a folder."""
    ranges, signals, chosen = _ranges(masses), _signals(inject), _names(modes)
    part = _shard(shard)
    if part is not None:
        if global_toys or goodness_toys:
            raise InputError("--shard is a part of a scan: leave out toys of the whole scan")
        out /= f"shard-{part[0]}-of-{part[1]}"
    if data is None and (tree or cut is not None or branch != "mass"):
        raise InputError("--tree, --branch and --cut select from a file; give --data")
    if data is not None and seed is not None:
        raise InputError("--seed makes pseudo-data; leave it out with --data")
    trees = _pairs("--tree", tree, "=", "MODE=TREE")
    if every and (ctau is not None or global_toys or goodness_toys):
        raise InputError("--all is for all lifetimes: leave out --ctau and toys of a whole scan")
    search = _load(name, folder=out)
    lifetimes = _with_lifetimes(search, name, every or ctau is not None or model is not None)
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
        print(*map(_visible, sample.report), sep="\n", flush=True)
    asked: dict[str, Any] = {
        "level": search.LEVEL if level is None else level,
        "masses": None if ranges is None else _hypotheses(search, ranges, chosen),
        "max_masses": max_masses,
        "blind": blind,
        "method": search.METHOD if method is None else method,
        "progress": not quiet,
        "shard": part,
    }
    tied = _with_models(search, name, model)
    if every and lifetimes is not None:
        parts = out / "parts"
        kept_in = partial(_kept, lambda: sorted(parts.glob("*.checkpoint")), fresh, quiet)
        with kept_in(), _executor(workers, dask) as executor, _told(log, quiet):
            found = lifetimes.scan_lifetimes(
                sample, **asked, **tied, parts=parts, executor=executor
            )
        written = _lifetimes(found, out) if part is None else _root(found, out)
        if part is None:
            written += _interpreted(search, found, out, model)
        if not quiet:
            print(found.summary())
            _tell(written)
        return
    asked |= tied | ({} if ctau is None else {"ctau": ctau})
    kept = out / "scan.checkpoint"
    kept_in = partial(_kept, lambda: [kept], fresh, quiet)
    with kept_in(), _executor(workers, dask) as executor, _told(log, quiet):
        limits = search.scan(
            sample, **asked, global_toys=global_toys, checkpoint=kept, executor=executor
        )
    written = _tables(limits, out)
    if part is not None:
        if not quiet:
            print(limits.summary())
            _tell(written)
        return
    written += _plots(limits, out)
    if not tied and not ctau:  # else one lifetime alone tells no coupling
        written += _coupling(search, limits, out)
    from zfit_dark import plot

    words = []
    for fit in search.fits(sample, limits, goodness_toys=goodness_toys):
        if fit.goodness is not None:
            words.append(f"fit at {fit.mass:.4f} GeV: {fit.goodness.summary()}")
        path = out / f"fit_{fit.mass:.4f}.png"
        written += _save(plot.fit(fit, observable_label=search.OBSERVABLE_LABEL), [path])
    if not quiet:
        print(limits.summary(), *words, sep="\n")
        _tell(written)


@app.command()
def merge(
    folder: Annotated[Path, typer.Argument(help="The --out of all shards.")],
    quiet: _Quiet = False,
) -> None:
    """Make one result of the shards of a scan; leave limits, tables and plots in their folder."""
    from zfit_dark.merging import merged
    from zfit_dark.results import Scan

    found = merged(folder)
    scans = [found] if isinstance(found, Scan) else [each[0] for each in found.scans.values()]
    settings = scans[0].provenance["settings"]
    model = settings.get("model")
    search = _load(str(scans[0].provenance["search"]), folder=folder)
    if isinstance(found, Scan):
        written = [*_tables(found, folder), *_plots(found, folder)]
        if model is None and not settings.get("ctau"):
            written += _coupling(search, found, folder)
    else:
        written = [*_lifetimes(found, folder), *_interpreted(search, found, folder, model)]
    if not quiet:
        print(*map(_visible, found.summary().split("\n")), sep="\n")
        _tell(written)


@app.command()
def project(
    name: _Name,
    data: _Data = None,
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
    level: _Level = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path(
        "projection"
    ),
    masses: _Masses = None,
    modes: _Modes = None,
    max_masses: _MaxMasses = None,
    seed: _Seed = None,
    blind: _Blind = False,
    method: _Method = None,
    ctau: _Ctau = None,
    model: _Model = None,
    quiet: _Quiet = False,
) -> None:
    """Project the expected limits to other luminosities."""
    ranges, chosen = _ranges(masses), _names(modes)
    if data is not None and seed is not None:
        raise InputError("--seed makes pseudo-data; leave it out with --data")
    asked: dict[str, Any] = {}
    if luminosity is not None:
        texts = luminosity.split(",")
        asked["luminosities"] = [_number("--luminosity", text) for text in texts]
    search = _load(name, folder=out)
    _with_lifetimes(search, name, ctau is not None or model is not None)
    asked |= _with_models(search, name, model) | ({} if ctau is None else {"ctau": ctau})
    sample = search.read(data, modes=chosen, seed=1 if seed is None else seed)
    if not quiet:
        print(*map(_visible, sample.report), sep="\n", flush=True)
    found = search.project(
        sample,
        **asked,
        level=search.LEVEL if level is None else level,
        masses=None if ranges is None else _hypotheses(search, ranges, chosen),
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
        "projections": plot.projections(found, **_mass_label(found)),
    }
    for file, axes in drawn.items():
        written += _save(axes.get_figure(root=True), [out / f"{file}.png", out / f"{file}.pdf"])
    if not quiet:
        print(found.summary())
        _tell(written)


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

    folder = _folder(file.parent if out is None else out)
    if file.suffix == ".root":
        if published:
            raise InputError(f"{file}: --published is for limits at one lifetime, in a JSON file")
        lifetimes = LifetimeScan.from_root(file)
        written = _maps(lifetimes, folder)
        if hepdata is not None:
            pairs = zip(lifetimes.channels, written, strict=True)
            lifetimes.to_hepdata(hepdata, images={channel: [path] for channel, path in pairs})
    else:
        scan = Scan.from_json(file)
        written = _plots(scan, folder, **_published(scan) if published else {})
        if hepdata is not None:
            scan.to_hepdata(hepdata, images=[path for path in written if path.suffix == ".png"])
    _tell(written if hepdata is None else [*written, hepdata])


@app.command()
def interpret(
    name: _Name,
    file: Annotated[
        Path, typer.Argument(help="The scan.json of 'scan', or limits.root of 'scan --all'.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder.", show_default="that of the file")
    ] = None,
    model: _Model = None,
) -> None:
    """Turn the limits of a scan into limits on a coupling."""
    from zfit_dark.results import LifetimeScan, Scan

    folder = file.parent if out is None else out
    if file.suffix == ".root":
        result = LifetimeScan.from_root(file)
        search = _load(name, folder=folder)
        _with_lifetimes(search, name, True)
        _with_models(search, name, model)
        _tell(_interpreted(search, result, folder, model))
        return
    scan = Scan.from_json(file)
    search = _load(name, folder=folder)
    if _with_models(search, name, model):
        raise InputError(f"{file}: one lifetime alone tells no coupling; give limits.root of --all")
    made_by = scan.provenance.get("search")
    if made_by not in (name, None):
        raise InputError(f"{file}: a scan of {made_by}, not of {name}")
    _tell(_coupling(search, scan, folder))


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
    words = {}
    if found.search in searches.names():
        words["title"] = searches.title(found.search)
        words["mass_label"] = searches.mass_label(found.search)
        words["sources"] = searches.load(found.search).sources()
    path = folder / "report.html" if out is None else out
    write_text(path, report.page(found, **words))
    _tell([path])


# -- what commands share --------------------------------------------------------------------


def _load(name: str, folder: Path | None = None) -> Search:
    """The search; its name and the folder are looked at before it is imported, which is slow."""
    from zfit_dark import searches

    searches.title(name)
    if folder is not None:
        _folder(folder)
    return searches.load(name)


def _folder(path: Path) -> Path:
    """A folder that can be written to, made if it is not there."""
    from zfit_dark.searches._samples import why_not

    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        why = why_not(error)
        raise InputError(f"{path}: cannot be written to ({why}); choose another --out") from error
    return path


def _with_lifetimes(search: Search, name: str, wanted: bool) -> LifetimeSearch | None:
    """The search if it knows lifetimes.

    Raises:
        InputError: It does not, but is asked for them.
    """
    from zfit_dark.searches import LifetimeSearch

    if isinstance(search, LifetimeSearch):
        return search
    if wanted:
        raise InputError(f"{name} has no lifetimes: leave out --ctau, --all and --model")
    return None


def _with_models(search: Search, name: str, model: str | None) -> dict[str, Any]:
    """The argument that tells a search the model; none for one that knows no models.

    Raises:
        InputError: It knows none, but is asked for one.
    """
    from zfit_dark.searches import ModelSearch

    if isinstance(search, ModelSearch):
        return {"model": model}
    if model is not None:
        raise InputError(f"{name} has no models to choose from: leave out --model")
    return {}


@contextmanager
def _executor(workers: int, dask: str | None) -> Iterator[Executor | None]:
    """What works on hypotheses: processes of this machine, those of a cluster, or None."""
    if not 0 <= workers <= _MOST_WORKERS or (workers and dask is not None):
        raise InputError(
            f"--workers {workers}: give 1 or more, up to {_MOST_WORKERS}, or --dask alone"
        )
    if dask is not None:
        try:
            cluster: Any = import_module("distributed").Client
        except ImportError as error:
            raise InputError("--dask needs: pip install 'zfit-dark[dask]'") from error
        try:
            client: Any = cluster(dask, timeout=_SECONDS_TO_CONNECT)
        except (OSError, TypeError, ValueError) as error:
            raise InputError(f"--dask {dask}: no scheduler answers ({error})") from error
        with client, client.get_executor() as executor:
            yield executor
    elif workers:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=spawn) as executor:
            yield executor
    else:
        yield None


@contextmanager
def _kept(checkpoints: Callable[[], Iterable[Path]], fresh: bool, quiet: bool) -> Iterator[None]:
    """Tell what the checkpoints of a scan hold before it, and after an interrupt; or clear them."""
    from zfit_dark import checkpoint

    def limits() -> int:
        return sum(len(checkpoint.masses_done(path)) for path in checkpoints())

    if fresh:
        for path in checkpoints():
            checkpoint.clear(path)
    if (before := limits()) and not quiet:
        print(f"{before} limits were found before (--fresh starts over)", flush=True)
    try:
        yield
    except KeyboardInterrupt:
        if after := limits():
            print(f"zfit-dark: {after} limits are kept; the same command goes on", file=sys.stderr)
        raise


@contextmanager
def _told(log: Path | None, quiet: bool) -> Iterator[None]:
    """Tell of fits that failed on standard error, and of everything in a file if wanted."""
    import logging

    from zfit_dark.progress import LOG, Words, logged

    handler = Words()
    handler.setLevel(logging.CRITICAL if quiet else logging.WARNING)
    LOG.addHandler(handler)
    try:
        with nullcontext() if log is None else logged(log):
            LOG.info("zfit-dark %s: %s", __version__, " ".join(sys.argv[1:]))
            yield
            LOG.info("finished")
    finally:
        LOG.removeHandler(handler)


def _tables(limits: Scan, folder: Path) -> list[Path]:
    """Write limits as JSON and as a table."""
    written = [folder / "scan.json", folder / "scan.csv"]
    limits.to_json(written[0])
    limits.to_csv(written[1])
    return written


def _root(result: LifetimeScan, folder: Path) -> list[Path]:
    """Write limits of all lifetimes as ROOT file."""
    path = folder / "limits.root"
    result.to_root(path)
    return [path]


def _lifetimes(result: LifetimeScan, folder: Path) -> list[Path]:
    """Write and draw limits of all lifetimes."""
    return [*_root(result, folder), *_maps(result, folder)]


def _maps(result: LifetimeScan, folder: Path) -> list[Path]:
    """Draw the limits of each channel against mass and lifetime."""
    from zfit_dark import plot

    written = []
    for channel in result.channels:
        label = _mass_label(result.scans[channel][0])
        figure = plot.lifetimes(result, channel, **label).get_figure(root=True)
        written += _save(figure, [_named(folder, f"limits_{channel}.png")])
    return written


def _interpreted(
    search: Search, result: LifetimeScan, folder: Path, model: str | None
) -> list[Path]:
    """Write and draw what the limits of all lifetimes mean for couplings."""
    from zfit_dark.searches import ModelSearch

    if isinstance(search, ModelSearch):
        return _exclusions(search, result, folder, model)
    coupling = search.interpret(result)
    path = folder / "coupling.json"
    coupling.to_json(path)
    prompt = search.interpret(result.scans[result.channels[0]][0])
    return [path, *_plots(coupling, folder, p_values=False, beside=[prompt])]


def _exclusions(
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
            figure = plot.exclusion(exclusion, **_mass_label(exclusion)).get_figure(root=True)
            written += [path, *_save(figure, [path.with_suffix(".png")])]
            if isinstance(search, PlaneSearch):
                for plane in search.planes(result, model=name, channel=channel):
                    path = folder / f"plane_{plane.x}_{channel}.json"
                    plane.to_json(path)
                    figure = plot.plane(plane).get_figure(root=True)
                    written += [path, *_save(figure, [path.with_suffix(".png")])]
    return written


def _mass_label(result: Scan | Exclusion | Projection) -> dict[str, Any]:
    """The mass as an axis names it; nothing for a scan of one's own, the plot has a label too."""
    from zfit_dark import searches

    made_by = str(result.provenance.get("search"))
    return {"mass_label": searches.mass_label(made_by)} if made_by in searches.names() else {}


def _coupling(search: Search, scan: Scan, folder: Path) -> list[Path]:
    """Write and draw the limits on the coupling."""
    coupling = search.interpret(scan)
    path = folder / "coupling.json"
    coupling.to_json(path)
    return [path, *_plots(coupling, folder, p_values=False)]


def _published(scan: Scan) -> dict[str, Any]:
    """What `plot.brazil` is to draw of published limits; without their package, a note on it."""
    from zfit_dark import literature

    if note := literature.missing():
        return {"note": note}
    found = literature.comparable(scan)
    return {"published": found, "note": "" if found else "no published limits on this are known"}


def _plots(scan: Scan, folder: Path, *, p_values: bool = True, **drawn_beside: Any) -> list[Path]:
    """Draw limits and, if there are any, p-values, each as PNG and PDF.

    What is drawn beside the limits is passed on to `plot.brazil`.
    """
    from numpy import isnan

    from zfit_dark import plot

    drawn = {f"limit_{scan.poi}": plot.brazil(scan, **_mass_label(scan), **drawn_beside)}
    if p_values and not isnan(scan.p0).all():
        drawn["p0"] = plot.p_values(scan, **_mass_label(scan))
    written = []
    for name, axes in drawn.items():
        paths = [_named(folder, f"{name}.{kind}") for kind in ("png", "pdf")]
        written += _save(axes.get_figure(root=True), paths)
    return written


def _named(folder: Path, name: str) -> Path:
    """A file in a folder, whatever the name is made of: a channel or parameter of some file.

    Raises:
        InputError: The name leads out of the folder, or cannot be that of a file.
    """
    if Path(name).name != name or not name.isprintable():
        raise InputError(
            f"{name!r} cannot name a file in {folder}; rename the parameter or channel"
        )
    return folder / name


def _save(figure: Any, paths: list[Path]) -> list[Path]:
    from zfit_dark.plot.style import bad_labels_told
    from zfit_dark.results.scan import in_one_step

    for path in paths:
        with in_one_step(path) as temporary, bad_labels_told():
            figure.savefig(temporary, format=path.suffix[1:])
    return paths


def _tell(paths: Iterable[Path]) -> None:
    print("written:", *(f"  {path}" for path in paths), sep="\n")


def _hypotheses(
    search: Search, ranges: list[tuple[float, float | None]], modes: list[str] | None
) -> list[float]:
    masses: list[float] = []
    for low, high in ranges:
        masses += [low] if high is None else search.masses(low=low, high=high, modes=modes).tolist()
    return masses


def _ranges(text: str | None) -> list[tuple[float, float | None]] | None:
    """Masses, and ranges of masses, of an option such as ``0.5,1:1.2``."""
    if text is None:
        return None
    ranges: list[tuple[float, float | None]] = []
    for part in text.split(","):
        low, colon, high = part.partition(":")
        ranges.append((_number("--masses", low), _number("--masses", high) if colon else None))
    return ranges


def _shard(text: str | None) -> tuple[int, int] | None:
    """Number of a shard, and how many there are, of an option such as ``3/40``."""
    if text is None:
        return None
    k, slash, n = text.partition("/")
    if not (slash and k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        raise InputError(f"--shard {text!r}: give K/N, K from 1 to N")
    return int(k), int(n)


def _signals(texts: list[str] | None) -> list[tuple[float, float]]:
    return [
        (_number("--inject", mass), _number("--inject", events))
        for mass, events in _pairs("--inject", texts, ":", "MASS:EVENTS")
    ]


def _pairs(option: str, texts: list[str] | None, sign: str, form: str) -> list[tuple[str, str]]:
    pairs = []
    for text in texts or []:
        first, found, second = text.partition(sign)
        if not (found and first.strip() and second.strip()):
            raise InputError(f"{option} {text!r}: give {form}")
        pairs.append((first.strip(), second.strip()))
    return pairs


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",")]


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{option}: {text!r} is not a number") from error
