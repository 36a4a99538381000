# SPDX-License-Identifier: Apache-2.0
"""A build's configuration: YAML on top of the defaults in code, and `--set` on top of that."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from models.backends import BACKENDS
from pipeline.errors import UserError
from pipeline.fields import build, nearest
from stages import STAGES, stage_class
from stages.base import Stage


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """Where the images are found inside the input."""

    kind: str = "auto"
    """`auto`, `folder`, `webdataset` or `parquet`."""
    image_column: str | None = None
    """Parquet only: the column with the image bytes; guessed if not given."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """All that decides what a dataset will hold."""

    shard_size: int = 1000
    """Source items in a shard: the unit of work, of retry and of resume."""
    chain: tuple[str, ...] = tuple(STAGES)
    """The stages in order; `my_package.module:MyStage` is accepted."""
    source: SourceConfig = SourceConfig()
    """How to read the input."""
    stages: Mapping[str, Stage] = dataclasses.field(default_factory=dict)
    """Name to stage, for every name in `chain`."""


def load_config(path: Path, overrides: Iterable[str] = ()) -> BuildConfig:
    """Read a YAML file, apply `key.path=value` overrides and check everything.

    Raises:
        UserError: missing file, bad YAML, unknown key, wrong type or value.
    """
    values = _read_yaml(path)
    for override in overrides:
        _apply(values, override)
    known = {field.name: field for field in dataclasses.fields(BuildConfig)}
    for key in values:
        if key not in known:
            raise UserError(f"{path.name}: {key}: no such key{nearest(str(key), known)}")
    plain = {key: value for key, value in values.items() if key != "stages"}
    config = build(BuildConfig, plain, path.name)
    if config.shard_size < 1:
        raise UserError(f"{path.name}.shard_size: must be at least 1, got {config.shard_size}")
    stages = _stages(config.chain, values.get("stages") or {})
    _check_columns(stages)
    return dataclasses.replace(config, stages=stages)


def resolved(config: BuildConfig) -> dict[str, Any]:
    """Every value, defaults included, as plain data; backends carry their `name`."""
    return {
        "shard_size": config.shard_size,
        "chain": list(config.chain),
        "source": dataclasses.asdict(config.source),
        "stages": {name: plain_fields(stage) for name, stage in config.stages.items()},
    }


def fingerprint(parts: Mapping[str, Any]) -> str:
    """SHA-256 of plain data, the same whatever the order of its keys."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def plain_fields(value: Any) -> Any:
    """A dataclass as a mapping, recursively; a backend is told by its `name`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: plain_fields(getattr(value, field.name)) for field in dataclasses.fields(value)}
        name = _backend_name(type(value))
        return {"name": name, **fields} if name else fields
    return list(value) if isinstance(value, tuple) else value


def _backend_name(cls: type) -> str | None:
    if not hasattr(cls, "load"):
        return None
    place = f"{cls.__module__}:{cls.__qualname__}"
    known = {target: name for table in BACKENDS.values() for name, target in table.items()}
    return known.get(place, place)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise UserError(f"cannot read the configuration {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file in UTF-8; give a YAML file") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected keys and values at the top")
    return values


def _apply(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator:
        raise UserError(f"--set {override}: expected KEY=VALUE, for instance stages.detect.box_threshold=0.3")
    *parents, last = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise UserError(f"--set {override}: '{parent}' holds a value, not keys")
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {override}: the value is not valid YAML; quote it") from error


def _stages(chain: tuple[str, ...], given: Mapping[str, Any]) -> dict[str, Stage]:
    for name in given:
        if name not in chain:
            raise UserError(f"stages.{name}: no such stage in the chain{nearest(name, dict.fromkeys(chain))}")
    stages = {}
    for name in chain:
        try:
            cls = stage_class(name)
        except LookupError as error:
            raise UserError(f"chain: {error}") from error
        stages[name] = build(cls, given.get(name) or {}, f"stages.{name}")
    return stages


def _check_columns(stages: Mapping[str, Stage]) -> None:
    """Every stage finds the columns it reads.

    Raises:
        UserError: naming the stage, the column, and what there is.
    """
    from stages.columns import RAW

    there = set(RAW.names)
    for name, stage in stages.items():
        missing = [column for column in stage.inputs if column not in there]
        if missing:
            raise UserError(f"chain: stage '{name}' reads '{missing[0]}', which no stage before it writes")
        there = (there | set(stage.outputs.names)) - set(stage.drops)
