"""YAML files that people write."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from zfit_dark.errors import InputError

__all__ = ["read_yaml"]

_WRONG = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What PyYAML raises for values that are none, such as a date with a 99th month."""
_MERGE = "tag:yaml.org,2002:merge"


def read_yaml(path: Path) -> Any:
    """The content of a YAML file: plain values, lists and mappings.

    Raises:
        InputError: The file is missing or no YAML, repeats a key of a mapping, merges mappings
            (``<<``), or has a tag that stands for no plain value.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, *_WRONG) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: not a YAML file ({why})") from error


class _Loader(yaml.SafeLoader):
    """The safe loader, of which mappings have each key once.

    They cannot be merged either: a few nested merges make a small file fill the memory.
    """

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            name = (key.tag, str(key.value))
            if key.tag == _MERGE or name in seen:
                problem = (
                    "'<<' is not read" if key.tag == _MERGE else f"{key.value!r} is there twice"
                )
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep=deep)
