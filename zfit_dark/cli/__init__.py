"""The command line: a thin face on the searches, the results and the plots.

Nothing heavy is imported before a command needs it, so that ``zfit-dark --help`` answers at once.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import typer

from zfit_dark.cli.commands import app
from zfit_dark.cli.words import visible
from zfit_dark.errors import InputError

__all__ = ["app", "main"]
_INTERRUPTED = 130
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "ZFIT_DISABLE_TF_WARNINGS": "1"}
_USAGE_ERROR: type[Any] = typer.BadParameter.__mro__[1]


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
        print(f"zfit-dark: error: {visible(line)}", file=sys.stderr)
    return 2
