"""What is asked for again and again, found once while nothing that it depends on can change."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_found: ContextVar[dict[Hashable, Any] | None] = ContextVar("found", default=None)


@contextmanager
def once() -> Iterator[None]:
    """While parameters answer with the same tensors of one graph, remember what follows from them.

    An integral over many pieces is hundreds of operations of a program.
    """
    token = _found.set({})
    try:
        yield
    finally:
        _found.reset(token)


def remembered(key: Hashable, find: Callable[[], Any]) -> Any:
    """What was found for a key before, if that is remembered now; else what is found."""
    found = _found.get()
    if found is None:
        return find()
    if key not in found:
        found[key] = find()
    return found[key]
