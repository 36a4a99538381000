# SPDX-License-Identifier: Apache-2.0
"""`ls`: every stage and backend with its fields, their defaults and a line of help, from the code itself."""

import ast
import dataclasses
import inspect
from collections.abc import Iterator

from models.backends import BACKENDS, backend_class
from models.consistency.registry import METHODS
from models.metrics import METRICS, metric_class
from pipeline.config import plain_fields
from pipeline.fields import default_of, settable
from stages import EVALUATION, STAGES, stage_class


def stage_lines() -> Iterator[str]:
    """Text about all stages, of builds and of evaluations."""
    for name in {**STAGES, **EVALUATION}:
        yield from _about(name, stage_class(name))


def metric_lines() -> Iterator[str]:
    """Text about all metrics."""
    for name in METRICS:
        yield from _about(name, metric_class(name))


def backend_lines() -> Iterator[str]:
    """Text about all backends, by job."""
    for job, table in BACKENDS.items():
        for name in table:
            yield from _about(f"{job}: {name}", backend_class(job, name))


def method_lines() -> Iterator[str]:
    """Text about all methods that keep a subject; their options are for `--set`."""
    for name, kind in METHODS.items():
        usual = kind.defaults()
        yield f"{name}  {kind.about}"
        texts = field_help(type(usual))
        for field in dataclasses.fields(usual):
            yield f"    {field.name} = {getattr(usual, field.name)}  {texts.get(field.name, '')}".rstrip()
        yield ""


def field_help(cls: type) -> dict[str, str]:
    """The docstring under each field of a dataclass and its bases, first line only."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        if not dataclasses.is_dataclass(base):
            continue
        body = ast.parse(inspect.cleandoc(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, doc in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(doc, ast.Expr)
                and isinstance(doc.value, ast.Constant)
            ):
                found[ast.unparse(field.target)] = " ".join(str(doc.value.value).split())
    return found


def _about(title: str, cls: type) -> Iterator[str]:
    yield f"{title}  {(inspect.getdoc(cls) or '').splitlines()[0]}"
    texts = field_help(cls)
    for field in settable(cls).values():
        default = plain_fields(default_of(field))
        shown = default.get("name", default) if isinstance(default, dict) else default
        yield f"    {field.name} = {shown}  {texts.get(field.name, '')}".rstrip()
    yield ""
