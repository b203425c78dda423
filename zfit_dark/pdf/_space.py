"""Spaces whose limits are tensors."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import zfit
from zfit.core.space import Limit


def tensor_space(obs: tuple[str], lower: tf.Tensor, upper: tf.Tensor) -> Any:
    """A space in one observable from tensors of one element, lower ≤ upper.

    Unlike `zfit.Space(obs, limits=(lower, upper))` it may be empty, and it puts no assertion into
    the graph: with one, a function can be neither batched over what the limits depend on, nor
    compiled then.
    """
    limit = Limit(rect_limits=(0.0, 1.0), n_obs=1)
    limit._rect_limits = tuple(tf.reshape(edge, (1, 1)) for edge in (lower, upper))
    return zfit.Space(obs, limits={"obs": {obs: limit}})
