"""Hypotheses worked on by other processes, of this machine or of others.

A model is sent once to each process, which makes it anew and compiles it once; after that a
hypothesis is a few bytes to and fro, and quick ones go several at a time. No process has to be
known for that: one that is asked for a model that it has not got says so, and is sent it with the
hypotheses, also if it has taken the place of one that died.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from time import perf_counter
from types import MappingProxyType
from typing import Any, NamedTuple

import cloudpickle
import zfit

from zfit_dark.channel import Channel
from zfit_dark.errors import InputError
from zfit_dark.likelihood import Likelihood
from zfit_dark.limits import asked
from zfit_dark.profile import CompiledLoss, compiled
from zfit_dark.results import Limit
from zfit_dark.terms import ALONE
from zfit_dark.toys import make_room

_FIRST = 8
"""Tasks that are handed out before it is known how long a hypothesis takes."""

_IN_FLIGHT = 256
"""Tasks that are handed out at a time after that: some for every worker of a large cluster."""

_TURN = 0.2
"""Seconds that a task should take: a cluster takes 5 ms to hand one out."""

_MOST = 32
"""Most hypotheses of a task."""

_THREADS = "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"

_models: dict[str, Likelihood] = {}
"""What this process has: the last model that it was sent."""

_ready: dict[bytes, tuple[Likelihood, tuple[Any, ...]]] = {}
"""The model with the yields of the last question, and what that asks."""

_loading = Lock()


class WorkerError(InputError):
    """A process died at work; the limits that it had found before are not lost."""


class Turn(NamedTuple):
    """What a process has done of a task.

    Attributes:
        limits: at the first masses of the task, at one of them at least.
        seconds: what that took, without making the model.
    """

    limits: list[Limit]
    seconds: float


class Job(NamedTuple):
    """A model and what is asked of it.

    Attributes:
        key: tells models apart.
        model: the model for another process, with all that is compiled and no signal yields.
        question: the yields, and what is asked.
    """

    key: str
    model: bytes
    question: bytes


def job(model: Any, largest: Sequence[int], asked: tuple[Any, ...]) -> Job:
    """Pack a model for other processes.

    Args:
        model: a ``Likelihood``.
        largest: most candidates in a fit window, of each channel.
        asked: the arguments of ``limits.asked`` after the parameter of interest.

    Raises:
        InputError: if the model is a bare loss, or holds something that cannot be sent.
    """
    if not isinstance(model, Likelihood):
        raise InputError(
            "a zfit loss cannot be sent to another process: give a Likelihood, or leave out the "
            "executor and work in threads"
        )
    yields = {channel.name: channel.signal_per_poi for channel in model.channels}
    held = {parameter.name: value for parameter, value in model.held.items()}
    packed = io.BytesIO()
    try:
        _Pickler(packed).dump(model)
        question = cloudpickle.dumps((yields, held, list(largest), asked))
    except Exception as error:  # whatever a user's function holds
        raise InputError(
            f"the model cannot be sent to another process ({error}): its functions must be plain"
        ) from error
    content = packed.getvalue()
    return Job(hashlib.sha256(content).hexdigest(), content, question)


def check_executor(executor: Executor) -> None:
    """Refuse processes that are forks of this one: TensorFlow does not work in them.

    Raises:
        InputError: if they are.
    """
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        raise InputError(
            "TensorFlow does not survive a fork: give ProcessPoolExecutor(n, "
            "mp_context=multiprocessing.get_context('spawn'))"
        )


def limits(work: Job, masses: Sequence[float], executor: Executor) -> Iterator[tuple[float, Limit]]:
    """The limits at masses, in the order in which they are found.

    Raises:
        WorkerError: if a process died and the executor has none in its place.
    """
    waiting, running = deque(masses), dict[Future[Turn | None], list[float]]()
    size, at_a_time = 1, _FIRST

    def hand_out(some: list[float], model: bytes | None = None) -> None:
        with _one_thread_each():
            running[executor.submit(limits_at, some, work.key, work.question, model)] = some

    try:
        while waiting or running:
            while waiting and len(running) < at_a_time:
                few = min(size, 1 + len(waiting) // 8)  # so that all are busy to the end
                hand_out([waiting.popleft() for _ in range(few)])
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                some, turn = running.pop(future), future.result()
                if turn is None:
                    hand_out(some, work.model)
                    continue
                done = len(turn.limits)
                yield from zip(some, turn.limits, strict=False)
                waiting.extendleft(reversed(some[done:]))
                size = min(max(1, int(_TURN * done / max(turn.seconds, 1e-9))), _MOST)
                at_a_time = _IN_FLIGHT
    except Exception as error:
        if not _of_the_executor(error):
            raise
        raise WorkerError(
            f"a worker process died ({error}), for want of memory perhaps: take fewer of them; "
            "with a checkpoint the same call goes on where it ended"
        ) from error
    finally:
        for future in running:
            future.cancel()


def limits_at(
    masses: Sequence[float], key: str, question: bytes, model: bytes | None
) -> Turn | None:
    """Limits at masses, in a process that works; None if it has to be sent the model first.

    When the time of a turn is over it leaves the other masses, so that nobody waits for it.
    """
    with _loading:
        if key not in _models:
            if model is None:
                return None
            _models.clear()
            _ready.clear()
            _models[key] = cloudpickle.loads(model)
        if question not in _ready:
            _ready.clear()
            _ready[question] = _prepared(_models[key], question)
        ours, arguments = _ready[question]
    found: list[Limit] = []
    began = perf_counter()
    while len(found) < len(masses) and not (found and perf_counter() - began > _TURN):
        with ALONE:
            ours.move_to(masses[len(found)])
            task = asked(ours, None, *arguments)
        found.append(task())
    return Turn(found, perf_counter() - began)


def _of_the_executor(error: Exception) -> bool:
    """Whether it is not the work that failed: a pool is broken, or a cluster gave up."""
    return isinstance(error, BrokenExecutor | CancelledError) or type(error).__module__.startswith(
        "distributed."
    )


def _prepared(model: Likelihood, question: bytes) -> tuple[Likelihood, tuple[Any, ...]]:
    """A model with the yields of a question, and the arguments of ``limits.asked``."""
    yields, held, largest, arguments = cloudpickle.loads(question)
    there = {parameter.name: parameter for parameter in model.held}
    found = model.rescaled(yields, {there[name]: held[name] for name in held})
    reserve = make_room if arguments[1] in ("toys", "auto") else CompiledLoss.reserve
    reserve(compiled(found.loss), largest)
    return found, arguments


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that start meanwhile have one thread each: the cores are for as many processes.

    TensorFlow looks at the environment when it is imported, and does not change its mind later.
    """
    missing = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(missing, "1"))
    try:
        yield
    finally:
        for name in missing:
            os.environ.pop(name, None)


class _Pickler(cloudpickle.Pickler):
    """Sends what it takes to make anew what zfit cannot send.

    Of parameters there are only fixed ones, such as a lifetime that signal shapes share. What they
    are held at goes with the question.
    """

    _held: Mapping[Any, float] = MappingProxyType({})

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, Likelihood):
            self._held = thing.held
            plain = tuple(
                replace(channel, signal_per_poi=1.0)  # type: ignore[type-var]
                for channel in thing.channels
            )
            return _likelihood, (plain, thing.poi.name, thing.correction, list(thing.held))
        if isinstance(thing, zfit.Parameter):
            if thing.floating:
                raise InputError(f"parameter {thing.name} floats")
            return _fixed, (thing.name, 1.0 if thing in self._held else float(thing.value()))
        return super().reducer_override(thing)


def _likelihood(
    channels: Sequence[Channel], poi: str, correction: float, held: Sequence[Any]
) -> Likelihood:
    made = Likelihood(channels, poi, correction=correction)
    return made.rescaled({c.name: 1.0 for c in channels}, dict.fromkeys(held, 1.0))


def _fixed(name: str, value: float) -> Any:
    return zfit.Parameter(name, value, floating=False)
