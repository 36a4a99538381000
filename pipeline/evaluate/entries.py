# SPDX-License-Identifier: Apache-2.0
"""The methods and metrics of an evaluation's file, each an entry by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from math import isfinite
from typing import Any

from models.consistency.registry import METHODS, entry
from models.metrics import metric_class
from pipeline.errors import UserError
from pipeline.evaluate.sets import check_name
from pipeline.fields import build, nearest
from stages.setting import Setting

_OF_METRIC = ("name", "better", "load", "check", "model")
"""What an evaluation asks of a metric's class."""
_WHOLE = 2**63


def settings_of(methods: Mapping[str, Any], where: str) -> dict[str, Setting]:
    """Methods by the names that the file gives them.

    Raises:
        UserError: a name, method, key or value that cannot be.
    """
    found = {name: _setting(name, values, where) for name, values in methods.items()}
    for name, setting in found.items():
        if setting.learned_as is not None:
            place = f"{where}: methods.{name}.learned_as"
            _check_teacher(setting.learned_as, found, place)
            _check_kinds(setting, found[setting.learned_as], place)
    return found


def _check_kinds(setting: Setting, teacher: Setting, place: str) -> None:
    """See that what the one learns is what the other draws with."""
    if not entry(setting.method).tuned:
        raise UserError(
            f"{place}: {setting.method} learns nothing that it could have from elsewhere; remove it"
        )
    if entry(setting.method).method != entry(teacher.method).method:
        raise UserError(f"{place}: {setting.method} cannot draw with what {teacher.method} has learnt")


def _check_teacher(teacher: str, settings: Mapping[str, Setting], place: str) -> None:
    if teacher not in settings:
        raise UserError(f"{place}: no method is called '{teacher}'{nearest(teacher, settings)}")
    if not entry(settings[teacher].method).tuned:
        raise UserError(f"{place}: '{teacher}' learns nothing; name a method that does")
    if (first := settings[teacher].learned_as) is not None:
        raise UserError(f"{place}: '{teacher}' takes what '{first}' has learnt; name '{first}' itself")


def _setting(name: str, values: Mapping[str, Any], where: str) -> Setting:
    check_name(name, f"{where}: a method")
    if "," in name:
        raise UserError(f"{where}: a method is called '{name}'; leave commas to --methods")
    place = f"{where}: methods.{name}"
    _check_mapping(values, place)
    setting = _checked_setting({"method": name, **values}, place)
    if setting.style is not None:
        _check_style(setting.style, f"{place}.style")
    return setting


def _check_style(values: Mapping[str, Any], place: str) -> None:
    style = _checked_setting(values, place)
    if not entry(style.method).merges:
        raise UserError(f"{place}.method: {style.method} learns nothing that can be added; give dco-style")
    if style.learned_as is not None or style.style is not None:
        raise UserError(f"{place}: give method, options and given alone")


def _check_mapping(values: Any, place: str) -> None:
    if not isinstance(values, Mapping):
        raise UserError(f"{place}: expected names and values, such as {{}}, got {values!r}")


def _checked_setting(values: Mapping[str, Any], place: str) -> Setting:
    setting = build(Setting, values, place)
    try:
        kind = entry(setting.method)
        usual = kind.defaults()
    except (KeyError, ImportError, AttributeError, TypeError, ValueError) as error:
        raise UserError(f"{place}.method: no such method{nearest(setting.method, METHODS)}") from error
    known = {each.name: getattr(usual, each.name) for each in fields(usual)}
    _check_numbers(setting.options, f"{place}.options")
    # Raises on unknown keys and on values that make no sense.
    build(type(usual), {**known, **setting.options}, f"{place}.options")
    return setting


def _check_numbers(value: Any, place: str) -> None:
    if isinstance(value, Mapping):
        for name, each in value.items():
            _check_numbers(each, f"{place}.{name}")
            if name == "seed" and isinstance(each, int) and each < 0:
                raise UserError(f"{place}.seed: is {each}; it must be 0 or more")
    elif isinstance(value, list | tuple):
        for each in value:
            _check_numbers(each, place)
    elif isinstance(value, int) and not -_WHOLE <= value < _WHOLE:
        raise UserError(f"{place}: {value} is too large a number")
    elif isinstance(value, float) and not isfinite(value):
        raise UserError(f"{place}: {value} is no number that can be reckoned with")


def metric_of(name: str, values: Mapping[str, Any], where: str) -> Any:
    """A metric as the file has it.

    Raises:
        UserError: there is no such one, or a key or value cannot be.
    """
    _check_mapping(values, f"{where}: metrics.{name}")
    try:
        cls = metric_class(str(values.get("name", name)))
    except LookupError as error:
        raise UserError(f"{where}: metrics.{name}: {error}") from error
    if not isinstance(cls, type) or any(not hasattr(cls, each) for each in _OF_METRIC):
        raise UserError(
            f"{where}: metrics.{name}: {values.get('name', name)} is no metric; "
            f"give a frozen dataclass with {', '.join(_OF_METRIC)}"
        )
    metric = build(
        cls, {key: each for key, each in values.items() if key != "name"}, f"{where}: metrics.{name}"
    )
    if getattr(metric, "regions", None) == ():
        raise UserError(f"{where}: metrics.{name}.regions: name at least one")
    return metric


def check_columns(metrics: Mapping[str, Any], where: str) -> None:
    """See that no two metrics write the same columns.

    Raises:
        UserError: two do.
    """
    owners: dict[str, str] = {}
    for name, metric in metrics.items():
        other = owners.setdefault(metric.name, name)
        if other != name:
            raise UserError(
                f"{where}: metrics.{name}: '{other}' writes the columns {metric.name}_... already; "
                "give one of them, or a class of your own with another name"
            )
