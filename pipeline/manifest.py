# SPDX-License-Identifier: Apache-2.0
"""What a dataset was made from. An output folder belongs to one manifest; another one is refused.

Fields that only say where and how fast the work runs (`resources`) are not part of it.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import yaml

from models.backends.protocols import MissingWeights
from models.backends.weights import weights_digest
from pipeline.config import BuildConfig, fingerprint, resolved
from pipeline.dataset.layout import config_path, result_paths
from pipeline.dataset.parts import part_files
from pipeline.errors import UserError
from stages.backend import backends_of
from stages.base import Stage
from stages.columns import SCHEMA_VERSION
from stages.parse import parse_json
from stages.shard.commit import holds_only_drafts, replace
from stages.shard.place import Place
from stages.write import refused

_PACKAGES = ("subjectforge", "torch", "transformers", "spacy", "ray", "pyarrow", "pillow")
_OPTIONAL = ("groundingdino-py", "segment-anything", "torchvision")
"""Told where they are installed."""


def identity_of(config: BuildConfig) -> dict[str, Any]:
    """Everything but the source that decides the dataset's bytes, as plain data.

    Raises:
        UserError: if local weights are missing.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "config": without_resources(resolved(config)),
        "stage_versions": {name: stage.version for name, stage in config.stages.items()},
        "weights": _weights(config.stages),
    }


def without_resources(config: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved configuration less what only says where and how fast the work runs."""
    stages = {
        name: {key: value for key, value in stage.items() if key != "resources"}
        for name, stage in config["stages"].items()
    }
    return {**config, "stages": stages}


def claim(
    root: Place,
    identity: Mapping[str, Any],
    about: Mapping[str, Any],
    config: Mapping[str, Any] | None = None,
) -> str:
    """Make `root` this run's output folder, or see that it already is; returns the fingerprint.

    Writes `_meta/manifest.json` and `_meta/config.yaml` the first time.

    Args:
        root: the folder.
        identity: see `identity_of`.
        about: what else the manifest is to hold.
        config: the configuration with what only says where the work runs; the identity's if not given.

    Raises:
        UserError: if the folder holds another run's dataset (with what differs), or something else.
    """
    mark = fingerprint(identity)
    if check_claim(root, identity):
        return mark
    meta = root / "_meta"
    try:
        write_config(root, config or identity["config"])
        manifest = {"fingerprint": mark, **about, "packages": _versions(), "identity": identity}
        replace(meta / "manifest.json", (json.dumps(manifest, indent=1) + "\n").encode())
    except OSError as error:
        raise UserError(refused("the manifest", root, error)) from error
    return mark


def write_config(root: Place, config: Mapping[str, Any]) -> None:
    """Write `_meta/config.yaml`.

    Raises:
        OSError: if that cannot be done.
    """
    replace(config_path(root), yaml.safe_dump(dict(config), sort_keys=False).encode())


def check_claim(root: Place, identity: Mapping[str, Any], overwrite: bool = False) -> bool:
    """Whether `root` is already this run's output folder; False if it can become it.

    A folder in which no shard is committed is nobody's yet; `overwrite` takes any dataset's folder.

    Raises:
        UserError: if the folder holds another run's dataset (with what differs), or something else.
    """
    path = root / "_meta" / "manifest.json"
    try:
        old = parse_json(path.read_bytes())["identity"] if path.exists() else None
        if old is not None and not isinstance(old, dict):
            raise ValueError("no manifest of a dataset")
        if old and (len(part_files(root)) > 1 or any((root / "data").glob("*/*_stats.json"))):
            if not overwrite:
                _refuse_if_changed(root, old, identity)
            return True
        ours = {"_meta", "data", "README.md", "report.html"} if path.exists() else {"_meta"}
        ours |= {result.name for result in result_paths(root)}
        # A run whose folder is removed leaves drafts: its workers end at once, but not before.
        ours |= {"data"} if holds_only_drafts(root / "data") else set()
        if root.exists() and any(found.name not in ours for found in root.iterdir()):
            raise UserError(f"{root} {_not_ours(root)}")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged; restore it, or give another --output") from error
    except OSError as error:
        raise UserError(f"{root} cannot be an output folder: {error.strerror or error}") from error
    return False


def _not_ours(root: Place) -> str:
    if any((root / "data").glob("*/*_stats.json")):
        return "has shards, but its _meta/manifest.json is missing: restore it, or give another --output"
    return "is not empty and holds no dataset; move away what is in it, or give another --output"


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """Dotted paths of the values that differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = list(dict.fromkeys([*old, *new]))
        return [line for key in keys for line in differences(old.get(key), new.get(key), f"{path}.{key}")]
    return [] if old == new else [path.removeprefix(".")]


def _refuse_if_changed(root: Place, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    if changed := changes(old, new):
        raise UserError(
            f"{root} holds the dataset of another run; changed since: {changed}; give another --output, or "
            "--overwrite to begin anew"
        )


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What differs between two identities, for people; empty if nothing does."""
    changed = differences(old, json.loads(json.dumps(new)))
    return ", ".join(changed[:6]) + (f" and {len(changed) - 6} more" if len(changed) > 6 else "")


def known_identity(root: Place) -> dict[str, Any]:
    """The identity of what made a dataset.

    Raises:
        UserError: the manifest is missing or damaged, or the place cannot be reached.
    """
    path = root / "_meta" / "manifest.json"
    try:
        return dict(parse_json(path.read_bytes())["identity"])
    except FileNotFoundError as error:
        raise UserError(
            f"{root} has no _meta/manifest.json: it is no dataset, or it has to be restored"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged; restore it") from error
    except OSError as error:
        raise UserError(f"{root} cannot be reached: {error}; check address and access") from error


def _weights(stages: Mapping[str, Stage]) -> dict[str, str | None]:
    digests = {}
    for name, stage in stages.items():
        for field, backend in backends_of(stage).items():
            try:
                digests[f"{name}.{field}"] = weights_digest(getattr(backend, "model", ""))
                if text := getattr(backend, "text", ""):
                    digests[f"{name}.{field}.text"] = weights_digest(text)
            except MissingWeights as error:
                raise UserError(f"stages.{name}.{field}.model: {error}") from error
    return digests


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    for package in _OPTIONAL:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
