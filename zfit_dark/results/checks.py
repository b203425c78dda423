"""What all results check of the numbers and texts that they are made of."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from zfit_dark.errors import InputError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def frozen(name: str, values: npt.ArrayLike, shape: tuple[int | None, ...]) -> FloatArray:
    """A read-only float64 copy of the given shape (None: any length)."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be numbers ({error})") from error
    fits = array.ndim == len(shape) and all(
        want is None or want == have for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise InputError(f"{name} has the shape {array.shape}; it must be ({wanted})")
    array.setflags(write=False)
    return array


def frozen_flags(name: str, values: npt.ArrayLike, n: int) -> BoolArray:
    """A read-only copy of one truth value a mass."""
    array = np.array(values)
    if array.shape != (n,) or (n > 0 and array.dtype != np.bool_):
        raise InputError(f"{name} must be {n} truth values, one per mass")
    array = array.astype(np.bool_)
    array.setflags(write=False)
    return array


def texts_of(name: str, texts: Iterable[str]) -> tuple[str, ...]:
    """A tuple of texts."""
    result = tuple(texts)
    if isinstance(texts, str) or not all(isinstance(text, str) for text in result):
        raise InputError(f"{name} must be a sequence of texts")
    return result


def interval_of(name: str, interval: Iterable[float]) -> tuple[float, float]:
    """The two ends of an interval."""
    values = tuple(float(value) for value in interval)
    if len(values) != 2 or not values[0] < values[1]:
        raise InputError(f"{name} must be (low, high) with low < high; it is {values}")
    return values[0], values[1]


def check_level(level: float) -> None:
    """Refuse what is no confidence level."""
    if not 0 < level < 1:
        raise InputError(f"the confidence level is {level:g}; give a number between 0 and 1")


def check_p0(p0: FloatArray) -> None:
    """Refuse what is no probability; NaN is allowed."""
    known = p0[~np.isnan(p0)]
    if np.any((known < 0) | (known > 1)):
        raise InputError("p0 must lie between 0 and 1")


def check_hidden(name: str, values: FloatArray) -> None:
    """Refuse numbers from the data in a blind result."""
    if not np.all(np.isnan(values)):
        raise InputError(f"{name} must be NaN: a blind result holds no number from the data")


def significance_of(p0: FloatArray) -> FloatArray:
    """Significances, at least 0, of p-values."""
    from scipy.special import ndtri

    z: FloatArray = np.maximum(-ndtri(p0), 0.0)
    return z
