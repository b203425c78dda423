"""What is asked for again and again, found once while nothing that it depends on can change."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Place = Callable[[], Hashable]

_found: ContextVar[tuple[dict[Hashable, Any], Place] | None] = ContextVar("found", default=None)


def _anywhere() -> None:
    return None


@contextmanager
def once(place: Place = _anywhere) -> Iterator[None]:
    """While parameters answer with the same tensors, remember what follows from them.

    An integral over many pieces is hundreds of operations of a program.

    Args:
        place: tells where the work is done, such as in which graph: what is found in one place is
            not known in another.
    """
    token = _found.set(({}, place))
    try:
        yield
    finally:
        _found.reset(token)


def remembered(key: Hashable, find: Callable[[], Any]) -> Any:
    """What was found here for a key before, if that is remembered now; else what is found."""
    now = _found.get()
    if now is None:
        return find()
    found, place = now
    key = place(), key
    if key not in found:
        found[key] = find()
    return found[key]
