"""Programs compiled by XLA, and found again for a model that is made again.

A notebook cell that runs twice, or a search that is set up for each lifetime, makes losses that
differ in the names of their parameters only. Tracing takes a second, compiling many: a graph that
computes what another one did, number for number, gets the program of that one.
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from zfit_dark.terms import ALONE

Program = Callable[..., Any]

_KEPT = 16
"""Programs that are remembered; a large one keeps some 50 MB."""

_known: dict[bytes, Program] = {}

# names that TensorFlow gives to what it traces; they differ from graph to graph
_NAMES = frozenset({"_gradient_op_type", "_forward_func_name", "_backward_func_name"})


def program(build: Callable[..., Any], sizes: Sequence[int], by_xla: bool) -> Program:
    """A function of vectors of these sizes, compiled and tried; a known one if it is the same.

    Args:
        build: makes the graph from its arguments, vectors of floats; their number is that of the
            sizes.
        sizes: numbers of elements of the arguments.
        by_xla: whether it is compiled, or left to TensorFlow.

    Raises:
        Exception: whatever a PDF raises while it is traced, compiled or run.
    """
    signature = [tf.TensorSpec((size,), tf.float64) for size in sizes]
    with ALONE, _no_garbage_collection():
        traced = tf.function(build, autograph=False).get_concrete_function(*signature)
        key = _meaning(traced) if by_xla else None
        if key in _known:
            _known[key] = _known.pop(key)  # the last one that was asked for
            return _known[key]
        made = _compiled(traced, len(sizes), by_xla)
    made(*[tf.zeros(size, tf.float64) for size in sizes])
    _give_back_memory()
    if key is not None:
        _known[key] = made
        for oldest in list(_known)[:-_KEPT]:
            _known.pop(oldest, None)
    return made


def _compiled(traced: Any, arguments: int, by_xla: bool) -> Program:
    """A traced function with so many arguments as a program; XLA compiles when it is first run."""
    with_arguments = _WITH_ARGUMENTS[arguments](traced)
    compiled: Program = tf.function(
        with_arguments, jit_compile=by_xla, autograph=False
    ).get_concrete_function(*traced.structured_input_signature[0])
    return compiled


def _meaning(traced: Any) -> bytes | None:
    """What a graph computes, whatever its nodes and functions are called; None if nobody knows.

    Graphs of equal meaning have the same operations in the same order with the same constants.
    """
    if any(each.dtype == tf.resource for each in traced.captured_inputs):
        return None  # a variable, whose value may change
    graph, found, met = traced.graph.as_graph_def(), hashlib.sha256(), list[str]()
    functions = {f.signature.name: f for f in graph.library.function}
    found.update(_told(graph.node, [], [], met))
    for name in met:  # more are met on the way
        signature, returned = functions[name].signature, functions[name].ret
        arguments = [each.name for each in signature.input_arg]
        results = [returned[each.name] for each in signature.output_arg]
        found.update(_told(functions[name].node_def, arguments, results, met))
    for value in traced.captured_inputs:
        found.update(repr((value.dtype, value.shape, value.numpy().tobytes())).encode())
    return found.digest()


def _told(nodes: Iterable[Any], arguments: list[str], results: list[str], met: list[str]) -> bytes:
    """The operations of a graph or of a function; what they are called is left out.

    Args:
        nodes: what is done, one after the other.
        arguments: names of what goes in.
        results: names of what comes out.
        met: functions that are called, in the order in which they are met; new ones are added.
    """
    names = [*arguments, *(node.name for node in nodes)]
    number = {name: i for i, name in enumerate(names)}

    def placed(of: str) -> tuple[bool, int, str]:
        name, _, output = of.removeprefix("^").partition(":")
        return of.startswith("^"), number[name], output

    def called(function: Any) -> tuple[int, list[tuple[str, bytes]]]:
        if function.name not in met:
            met.append(function.name)
        attributes = sorted(function.attr.items())
        return met.index(function.name), [(k, _bytes(value)) for k, value in attributes]

    told: list[Any] = [placed(each) for each in results]
    for node in nodes:
        told.append((node.op, node.device, [placed(each) for each in node.input]))
        for name, value in sorted(node.attr.items()):
            functions = [value.func] if value.HasField("func") else value.list.func
            if name not in _NAMES:
                told.append((name, [called(f) for f in functions] or _bytes(value)))
    return repr(told).encode()


def _bytes(message: Any) -> bytes:
    content: bytes = message.SerializeToString(deterministic=True)
    return content


def _give_back_memory() -> None:
    """The allocator keeps the half gigabyte that a large program took to compile."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # there is none outside glibc
        trim(0)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """While it traces, TensorFlow makes objects that stay, and the collector walks them all."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


# With a bare *args TensorFlow would take every call for a wrong one first, and format an error.
_WITH_ARGUMENTS: dict[int, Callable[..., Program]] = {
    1: lambda traced: lambda a: traced(a),
    2: lambda traced: lambda a, b: traced(a, b),
    3: lambda traced: lambda a, b, c: traced(a, b, c),
    4: lambda traced: lambda a, b, c, d: traced(a, b, c, d),
}
