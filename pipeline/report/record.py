# SPDX-License-Identifier: Apache-2.0
"""What a build wrote about itself: manifest, configuration, and how long its stages took."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from pipeline.config import BuildConfig, resolved
from pipeline.dataset.layout import meta_folder
from pipeline.dataset.timings import read_timings
from pipeline.errors import UserError
from pipeline.yaml_file import parse_yaml
from stages import stage_class
from stages.parse import parse_json
from stages.shard.place import Place


@dataclass(frozen=True, slots=True)
class Record:
    """All but the name may be empty: a dataset is its shards."""

    name: str
    manifest: dict[str, str]
    """Dotted key to value, without the configuration."""
    config: dict[str, str]
    """Dotted key to value."""
    changed: list[str]
    """Keys of `config` whose value is not the default."""
    chain: list[str]
    """The stages in the order in which they ran, if that is known."""
    rows: int
    """Images of the shards that were timed."""
    images: dict[str, int]
    """Images that a stage worked on."""
    seconds: dict[str, float]
    """Seconds of all workers together, by stage."""


def read_record(dataset: Place) -> Record:
    """Read `<dataset>/_meta`.

    Raises:
        UserError: a file of it cannot be parsed.
    """
    meta = meta_folder(dataset)
    manifest, config = _parse(meta / "manifest.json"), _parse(meta / "config.yaml")
    flat = dict(_flat(config))
    timings = [*read_timings(dataset)]
    images: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for timing in timings:
        images.update(timing["images"])
        seconds.update(timing["seconds"])
    return Record(
        name=dataset.resolve().name,
        manifest={key: value for key, value in _flat(manifest) if not key.startswith("identity.config.")},
        config=flat,
        changed=_changed(config, flat),
        chain=list(config.get("chain") or []),
        rows=sum(timing["rows"] for timing in timings),
        images=dict(images),
        seconds=dict(seconds),
    )


def _parse(path: Place) -> dict[str, Any]:
    """The mapping that a file holds; empty if there is no such file."""
    try:
        text = path.read_text("utf-8")
        value = parse_json(text) if path.suffix == ".json" else parse_yaml(text)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} cannot be read: {reason}; restore or delete it") from error
    if not isinstance(value, Mapping):
        raise UserError(f"{path}: expected keys and values at the top; restore or delete it")
    return dict(value)


def _changed(config: Mapping[str, Any], flat: Mapping[str, str]) -> list[str]:
    try:
        stages = {name: stage_class(name)() for name in config.get("stages") or {}}
    except (LookupError, TypeError):  # a stage of someone else's that is not installed here
        return []
    default = dict(_flat(resolved(BuildConfig(stages=stages))))
    return [key for key, value in flat.items() if default.get(key) != value]


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    elif prefix:
        yield prefix, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
