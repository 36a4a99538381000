# SPDX-License-Identifier: Apache-2.0
"""YAML files as plain mappings; a key that is given twice is a mistake, not a choice of the last one."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

from pipeline.errors import UserError
from stages.shard.place import Place


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                line = key_node.start_mark.line + 1
                raise yaml.constructor.ConstructorError(None, None, f"line {line}: a key is no plain word")
            if key != "<<" and key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.constructor.ConstructorError(None, None, f"line {line}: '{key}' is given twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


# As everybody writes it, and YAML 1.2 has it; YAML 1.1 takes 1e-4 for text.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), [*"-+0123456789"]
)


def read_yaml(path: Place) -> dict[str, Any]:
    """The keys and values of a file.

    Raises:
        UserError: the file is missing, no text, no YAML, or holds something else than keys and values.
    """
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the configuration {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file in UTF-8; give a YAML file") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected keys and values at the top")
    return values


def parse_yaml(text: str | bytes) -> Any:
    """One YAML document.

    Raises:
        yaml.YAMLError: it is none.
    """
    try:
        return yaml.load(text, _Loader)
    except ValueError as error:  # a date or number that cannot be
        raise yaml.YAMLError(str(error)) from error
    except RecursionError as error:
        raise yaml.YAMLError("it nests too deeply") from error
