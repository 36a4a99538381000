# SPDX-License-Identifier: Apache-2.0
"""A build's configuration: YAML on top of the defaults in code, and `--set` on top of that."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import yaml
from annotated_types import Interval

from models.backends import BACKENDS
from models.metrics import METRICS
from pipeline.errors import UserError
from pipeline.fields import build, nearest, settable
from pipeline.yaml_file import parse_yaml, read_yaml
from stages import STAGES, stage_class
from stages.base import Stage
from stages.shard.place import Place


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """Where the images are found inside the input."""

    kind: Literal["auto", "folder", "webdataset", "parquet"] = "auto"
    """`auto` takes tars if there are any, else pictures, else parquet files."""
    image_column: str | None = None
    """Parquet only: the column with the image bytes; guessed if not given."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """All that decides what a dataset will hold."""

    shard_size: Annotated[int, Interval(ge=1, le=100_000)] = 1000
    """Source items in a shard: the unit of work, of retry and of resume."""
    chain: tuple[str, ...] = tuple(STAGES)
    """The stages in order; `my_package.module:MyStage` is accepted."""
    source: SourceConfig = SourceConfig()
    """How to read the input."""
    stages: Mapping[str, Stage] = dataclasses.field(default_factory=dict)
    """Name to stage, for every name in `chain`."""


def load_config(path: Place, overrides: Iterable[str] = ()) -> BuildConfig:
    """Read a YAML file, apply `key.path=value` overrides and check everything.

    Raises:
        UserError: missing file, bad YAML, unknown key, wrong type or value.
    """
    values = read_yaml(path)
    for override in overrides:
        apply_override(values, override)
    known = {field.name: field for field in dataclasses.fields(BuildConfig)}
    for key in values:
        if key not in known:
            raise UserError(f"{path.name}: {key}: no such key{nearest(str(key), known)}")
    plain = {key: value for key, value in values.items() if key != "stages"}
    config = build(BuildConfig, plain, path.name)
    stages = _stages(config.chain, {} if values.get("stages") is None else values["stages"])
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
        fields = {name: plain_fields(getattr(value, name)) for name in settable(type(value))}
        name = _backend_name(type(value))
        return {"name": name, **fields} if name else fields
    if isinstance(value, Mapping):
        return {key: plain_fields(each) for key, each in value.items()}
    return [plain_fields(each) for each in value] if isinstance(value, tuple) else value


def _backend_name(cls: type) -> str | None:
    if not hasattr(cls, "load"):
        return None
    place = f"{cls.__module__}:{cls.__qualname__}"
    tables = (*BACKENDS.values(), METRICS)
    known = {target: name for table in tables for name, target in table.items()}
    return known.get(place, place)


def apply_override(values: dict[str, Any], override: str) -> None:
    """Put a `key.path=value` in its place.

    Raises:
        UserError: it is none, or leads through a value.
    """
    key, separator, text = override.partition("=")
    if not separator:
        raise UserError(f"--set {override}: expected KEY=VALUE, for instance stages.detect.box_threshold=0.3")
    if not all(key.split(".")):
        raise UserError(f"--set {override}: a part of the key is empty")
    *parents, last = key.split(".")
    for parent in parents:
        if values.get(parent) is None:
            values[parent] = {}
        values = values[parent]
        if not isinstance(values, dict):
            raise UserError(f"--set {override}: '{parent}' holds a value, not keys")
    try:
        values[last] = parse_yaml(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {override}: the value is not valid YAML; quote it") from error


def _stages(chain: tuple[str, ...], given: Any) -> dict[str, Stage]:
    if not isinstance(given, Mapping):
        raise UserError(f"stages: expected the names of stages, got {given!r}")
    classes = {name: _stage_class(name) for name in chain}
    for name in given:
        if name not in chain:
            known = dict.fromkeys(chain)
            raise UserError(f"stages.{name}: no such stage in the chain{nearest(str(name), known)}")
    twice = next((name for place, name in enumerate(chain) if name in chain[:place]), None)
    if twice is not None:
        raise UserError(f"chain: '{twice}' is in it twice")
    return {
        name: build(cls, {} if given.get(name) is None else given[name], f"stages.{name}")
        for name, cls in classes.items()
    }


def _stage_class(name: str) -> type[Stage]:
    try:
        return stage_class(name)
    except LookupError as error:
        raise UserError(f"chain: {error}") from error


def _check_columns(stages: Mapping[str, Stage]) -> None:
    """Every stage finds the columns it reads, and the last one writes them down.

    Raises:
        UserError: naming the stage and the column.
    """
    from stages.columns import RAW

    there = set(RAW.names)
    for name, stage in stages.items():
        missing = [column for column in stage.inputs if column not in there]
        if missing:
            raise UserError(f"chain: stage '{name}' reads '{missing[0]}', which no stage before it writes")
        there = (there | set(stage.outputs.names)) - set(stage.drops)
    if [*stages][-1:] != ["write"]:
        raise UserError(f"chain: must end in 'write', got [{', '.join(stages)}]")
