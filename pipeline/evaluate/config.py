# SPDX-License-Identifier: Apache-2.0
"""An evaluation's configuration: YAML on top of the defaults in code, and `--set` on top of that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Interval

from models.generation import TextToImage
from pipeline.config import BuildConfig, apply_override
from pipeline.dataset.layout import EVALUATION as EVALUATION_SPLIT
from pipeline.errors import UserError
from pipeline.evaluate.dreambench import DreamBench, dreambench_protocol
from pipeline.evaluate.entries import check_columns, metric_of, settings_of
from pipeline.evaluate.given import with_digests
from pipeline.evaluate.prompt_file import read_protocol
from pipeline.evaluate.sets import Protocol, Reported, checked
from pipeline.evaluate.world import World, world_protocol
from pipeline.fields import build, check_keys, nearest, settable
from pipeline.yaml_file import read_yaml
from stages import EVALUATION
from stages.base import Resources, Stage
from stages.detect import Detect
from stages.find import Find
from stages.generate import Generate
from stages.measure import Measure
from stages.references import References
from stages.segment import Segment
from stages.select import Select
from stages.setting import Setting
from stages.write import Write


@dataclass(frozen=True, kw_only=True)
class Finding:
    """How subjects are found in pictures."""

    detect: Detect = field(default_factory=Detect)
    select: Select = field(default_factory=Select)
    segment: Segment = field(default_factory=Segment)


@dataclass(frozen=True, kw_only=True)
class _Given:
    """The keys of the file, but for methods and metrics."""

    world: World | None = None
    """Sets of the miniature's world."""
    prompts: str | None = None
    """Path of a protocol's file, beside this one."""
    dreambench: DreamBench | None = None
    """Sets of a local folder in DreamBench's layout."""
    seeds: tuple[Annotated[int, Interval(ge=0, lt=2**32)], ...] = (0,)
    sampler: TextToImage = field(default_factory=TextToImage)
    negative: str | None = None
    baseline: str = "plain"
    """The setting that all others are compared with."""
    comparisons: tuple[tuple[str, str], ...] = ()
    """Further pairs of settings; the first less the second on the same pictures."""
    finding: Finding = field(default_factory=Finding)
    reported: tuple[Any, ...] = ()
    """Published rows to show beside: `method`, `values` by name, `source`."""
    workers: Resources = field(default_factory=Resources)


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """All that decides what an evaluation will say."""

    protocol: Protocol
    settings: Mapping[str, Setting]
    metrics: Mapping[str, Any]
    seeds: tuple[int, ...]
    sampler: TextToImage
    negative: str | None
    baseline: str
    comparisons: tuple[tuple[str, str], ...]
    finding: Finding
    workers: Resources

    @property
    def prompts(self) -> int:
        """Of a set."""
        return len(self.protocol.sets[0].prompts)

    def build_config(self) -> BuildConfig:
        """The same as the configuration of a build: its shards are sets."""
        found = {each.name: getattr(self.finding, each.name) for each in fields(Finding)}
        stages: dict[str, Stage] = {
            "references": References(**found, resources=self.workers),
            "generate": Generate(sampler=self.sampler, negative=self.negative, resources=None),
            "find": Find(**found),
            "measure": Measure(metrics=self.metrics),
            "write": Write(split=EVALUATION_SPLIT),
        }
        return BuildConfig(shard_size=self.prompts, chain=tuple(EVALUATION), stages=stages)


def load_evaluation(path: Path, overrides: Iterable[str] = ()) -> EvaluateConfig:
    """Read a YAML file, apply `key.path=value` overrides and check everything.

    Raises:
        UserError: missing file, bad YAML, unknown key, method or metric, wrong type or value, no prompts.
    """
    values = read_yaml(path)
    for override in overrides:
        apply_override(values, override)
    check_keys(values, {**settable(_Given), **dict.fromkeys(("methods", "metrics"))}, path.name)
    methods, metrics = (_mapping(values.pop(name, None), name, path) for name in ("methods", "metrics"))
    given = build(_Given, values, path.name)
    settings = settings_of(methods, path.name)
    _check_names(given, settings, path.name)
    if not given.seeds or len({*given.seeds}) < len(given.seeds):
        raise UserError(f"{path.name}: seeds are {[*given.seeds]}; give at least one, each once")
    where = given.prompts or path.name
    protocol = with_digests(checked(_protocol(given, path), where), where)
    measured = {name: metric_of(name, values, path.name) for name, values in metrics.items()}
    check_columns(measured, path.name)
    rows = [build(Reported, row, f"{path.name}: reported.{k}") for k, row in enumerate(given.reported)]
    return EvaluateConfig(
        protocol=replace(protocol, reported=tuple(rows)),
        settings=settings,
        metrics=measured,
        seeds=given.seeds,
        sampler=given.sampler,
        negative=given.negative,
        baseline=given.baseline,
        comparisons=given.comparisons,
        finding=given.finding,
        workers=given.workers,
    )


def _check_names(given: _Given, settings: Mapping[str, Setting], where: str) -> None:
    for place, name in [
        ("baseline", given.baseline),
        *(("comparisons", each) for pair in given.comparisons for each in pair),
    ]:
        if name not in settings:
            raise UserError(f"{where}: {place}: no method is called '{name}'{nearest(name, settings)}")
    for one, other in given.comparisons:
        if one == other:
            raise UserError(f"{where}: comparisons: '{one}' is compared with itself; name two methods")


def _mapping(values: Any, name: str, path: Path) -> Mapping[str, Any]:
    if not isinstance(values, Mapping) or not values:
        raise UserError(f"{path.name}: {name}: list them by name, each with its keys; got {values!r}")
    return {str(key): value or {} for key, value in values.items()}


def _protocol(given: _Given, path: Path) -> Protocol:
    if sum(each is not None for each in (given.world, given.prompts, given.dreambench)) != 1:
        raise UserError(f"{path.name}: give one of world, prompts and dreambench, which says what is drawn")
    if given.world is not None:
        return world_protocol(given.world)
    if given.dreambench is not None:
        return dreambench_protocol(given.dreambench, path.parent)
    assert given.prompts is not None
    return read_protocol(path.parent / given.prompts)
