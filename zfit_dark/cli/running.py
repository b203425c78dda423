"""What a command needs to work: a search, a folder, somebody who works, a record."""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zfit_dark.errors import InputError

if TYPE_CHECKING:
    from zfit_dark.searches import LifetimeSearch, Search

_SECONDS_TO_CONNECT = 30
_MOST_WORKERS = 1000


def load(name: str, folder: Path | None = None) -> Search:
    """The search; its name and the folder are looked at before it is imported, which is slow."""
    from zfit_dark import searches

    searches.title(name)
    if folder is not None:
        writable(folder)
    return searches.load(name)


def writable(path: Path) -> Path:
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


def with_lifetimes(search: Search, name: str, wanted: bool) -> LifetimeSearch | None:
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


def with_models(search: Search, name: str, model: str | None) -> dict[str, Any]:
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
def executor(workers: int, dask: str | None) -> Iterator[Executor | None]:
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
def kept(checkpoints: Callable[[], Iterable[Path]], fresh: bool, quiet: bool) -> Iterator[None]:
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
