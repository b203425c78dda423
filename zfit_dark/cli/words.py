"""What commands say: on the terminal, and in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from zfit_dark import __version__


@contextmanager
def told(log: Path | None, quiet: bool) -> Iterator[None]:
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


def visible(text: str) -> str:
    """A text with what would control the terminal told by number; a file can hold anything."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def tell(paths: Iterable[Path]) -> None:
    """Say what was written."""
    print("written:", *(f"  {path}" for path in paths), sep="\n")
