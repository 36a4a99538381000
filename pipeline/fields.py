# SPDX-License-Identifier: Apache-2.0
"""From a mapping to a frozen dataclass, with errors that a person can act on."""

import dataclasses
import difflib
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from models.backends import backend_class
from pipeline.errors import UserError
from stages.backend import Backend

T = TypeVar("T")


def build(cls: type[T], values: Mapping[str, Any], path: str) -> T:
    """An instance of a dataclass from plain values, each checked against its type hint.

    Args:
        values: as read from YAML; what is left out keeps its default.
        path: where in the configuration we are, for messages.

    Raises:
        UserError: unknown key (with the nearest known one), wrong type, or a value the class refuses.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{path}: expected keys and values, got {values!r}")
    if not dataclasses.is_dataclass(cls):
        raise UserError(f"{path}: {cls.__module__}:{cls.__qualname__} is no dataclass; make it a frozen one")
    hints = get_type_hints(cls, include_extras=True)
    known = settable(cls)
    check_keys(values, known, path)
    for key, field in known.items():
        required = field.default is field.default_factory is dataclasses.MISSING
        if required and key not in values:
            raise UserError(f"{path}.{key}: is missing; give it")
    checked = {key: _checked(hints[key], value, known[key], f"{path}.{key}") for key, value in values.items()}
    try:
        return cls(**checked)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def check_keys(values: Mapping[str, Any], known: Mapping[str, Any], path: str) -> None:
    """See that keys are known.

    Raises:
        UserError: one is not, with the nearest that is.
    """
    for key in values:
        if key not in known:
            raise UserError(f"{path}.{key}: no such key{nearest(str(key), known)}")


def settable(cls: type) -> dict[str, dataclasses.Field]:
    """A dataclass' fields by name, without those that a run sets by itself (metadata `by_run`)."""
    return {field.name: field for field in dataclasses.fields(cls) if not field.metadata.get("by_run")}


def nearest(word: str, known: Mapping[str, Any]) -> str:
    """` (did you mean 'x'?)`, or what there is to choose from."""
    match = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{match[0]}'?" if match else f"; known: {', '.join(known)}"


def backend_job(hint: Any) -> str | None:
    """The job (`captioner`, `detector`, ...) that a field's type asks a backend for, if it does."""
    for option in (hint, *get_args(hint)):
        if get_origin(option) is Backend:
            return get_args(option)[0].__name__.lower()
    return None


def default_of(field: dataclasses.Field) -> Any:
    """A field's default value, or None."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _checked(hint: Any, value: Any, field: dataclasses.Field, path: str) -> Any:
    if value is None and type(None) in get_args(hint):
        return None
    job = backend_job(hint)
    if job:
        return _backend(job, value, field, path)
    options = (option for option in (hint, *get_args(hint)) if isinstance(option, type))
    nested = next((option for option in options if dataclasses.is_dataclass(option)), None)
    if nested:
        return build(nested, value, path)  # pyright: ignore[reportArgumentType]
    try:
        # YAML has types of its own: "3" is no number, and true is none either.
        return TypeAdapter(hint).validate_python(_as_tuple(hint, value), strict=_choice(hint) is None)
    except ValidationError as error:
        message = error.errors()[0]["msg"].replace("valid tuple", "list")
        raise UserError(f"{path}: {message}, got {value!r}") from error


def _choice(hint: Any) -> type[Enum] | None:
    """The enumeration that a field's value is one of, if it is."""
    options = (option for option in (hint, *get_args(hint)) if isinstance(option, type))
    return next((option for option in options if issubclass(option, Enum)), None)


def _as_tuple(hint: Any, value: Any) -> Any:
    """A list for a field that takes tuples, perhaps among others, and lists in it."""
    takes = next((option for option in (hint, *get_args(hint)) if get_origin(option) is tuple), None)
    if takes is None or not isinstance(value, list):
        return value
    within = [each for each in get_args(takes) if each is not ...]
    return tuple(_as_tuple(within[min(place, len(within) - 1)], each) for place, each in enumerate(value))


def _backend(job: str, value: Any, field: dataclasses.Field, path: str) -> Any:
    if not isinstance(value, Mapping):
        raise UserError(f"{path}: expected keys such as `name:` and `model:`, got {value!r}")
    default = default_of(field)
    options = {key: option for key, option in value.items() if key != "name"}
    try:
        cls = backend_class(job, value["name"]) if "name" in value else type(default)
    except LookupError as error:
        raise UserError(f"{path}.name: {error}") from error
    if cls is type(None):
        raise UserError(f"{path}.name: say which {job}, for instance `name: clip`")
    return build(cls, options, path)
