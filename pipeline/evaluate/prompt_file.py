# SPDX-License-Identifier: Apache-2.0
"""Sets from a YAML file of subjects and prompts.

    source: whose protocol this is, and what differs
    subjects:
      - {name: dog-1, word: dog, text: a small brown dog, references: [a.jpg, b.jpg], prompt: a brown dog}
    styles:
      - {name: ink, word: ink, text: in ink style, references: [c.jpg], captions: [a tree in ink style]}
    templates: ["{} on the beach", "{} at night"]
    sets:
      - {name: dog-1, subjects: [dog-1], prompts: ["a dog in the snow"]}
      - {subjects: [dog-1], style: ink, templates: ["{} on the beach, {style}"]}

Without `sets` each subject is a set of its own. Prompts are a set's own, or the templates with the texts of
its subjects, joined by "and", and of its style. Paths are those beside the file; a folder stands for all
pictures in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.evaluate.given import at_home
from pipeline.evaluate.sets import Box, Protocol, SubjectSet
from pipeline.fields import build, nearest
from pipeline.sources.base import IMAGE_EXTENSIONS
from pipeline.yaml_file import read_yaml
from stages.set_row import Individual


@dataclass(frozen=True, kw_only=True)
class _Subject:
    name: str
    word: str
    text: str | None = None
    references: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    prompt: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Set:
    subjects: tuple[str, ...]
    name: str | None = None
    prompts: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    boxes: tuple[Box, ...] | None = None
    style: str | None = None


@dataclass(frozen=True, kw_only=True)
class _File:
    source: str = ""
    subjects: tuple[Any, ...] = ()
    styles: tuple[Any, ...] = ()
    templates: tuple[str, ...] = ()
    sets: tuple[Any, ...] = ()


def read_protocol(path: Path) -> Protocol:
    """The sets of a file.

    Raises:
        UserError: it is missing, no such file, or a name in it is unknown.
    """
    told = build(_File, read_yaml(path), path.name)
    subjects = [build(_Subject, each, f"{path.name}: subjects.{k}") for k, each in enumerate(told.subjects)]
    if not subjects:
        raise UserError(f"{path}: it has no subjects; list them with name and word")
    by_name = _by_name(subjects, "subjects", path)
    styles = [build(_Subject, each, f"{path.name}: styles.{k}") for k, each in enumerate(told.styles)]
    given = told.sets or tuple({"subjects": [each.name]} for each in subjects)
    sets = [build(_Set, each, f"{path.name}: sets.{k}") for k, each in enumerate(given)]
    return Protocol(
        sets=tuple(
            _set(each, by_name, _by_name(styles, "styles", path), told.templates, path) for each in sets
        ),
        source=" ".join(told.source.split()),
    )


def _by_name(several: Sequence[_Subject], key: str, path: Path) -> Mapping[str, _Subject]:
    found: dict[str, _Subject] = {}
    for each in several:
        if each.name in found:
            raise UserError(f"{path}: {key}: two are called '{each.name}'; give each a name of its own")
        found[each.name] = each
    return found


def _filled(template: str, text: str, painted: str | None, path: Path) -> str:
    """A template with what stands for its fields."""
    fields = {"{}": text} if painted is None else {"{}": text, "{style}": painted}
    for field, value in fields.items():
        template = template.replace(field, value)
    if left := re.search(r"{\w*}", template):
        raise UserError(
            f"{path}: the template {template!r} has {left[0]}, which nothing stands for; known: "
            "{} for the subjects, {style} for the style of a set that has one"
        )
    return template


def _set(
    each: _Set,
    subjects: Mapping[str, _Subject],
    styles: Mapping[str, _Subject],
    templates: Sequence[str],
    path: Path,
) -> SubjectSet:
    if each.style is not None and each.style not in styles:
        raise UserError(f"{path}: no style is called '{each.style}'{nearest(each.style, styles)}")
    for name in each.subjects:
        if name not in subjects:
            raise UserError(f"{path}: no subject is called '{name}'{nearest(name, subjects)}")
    chosen = [subjects[name] for name in each.subjects]
    text = " and ".join(subject.text or f"a {subject.word}" for subject in chosen)
    style = None if each.style is None else styles[each.style]
    painted = None if style is None else style.text or f"in {style.word} style"
    filled = [_filled(template, text, painted, path) for template in each.templates or templates]
    return SubjectSet(
        name=each.name or "+".join([*each.subjects, *([style.name] if style else [])]),
        individuals=tuple(_individual(subject, path.parent) for subject in chosen),
        prompts=each.prompts or tuple(filled),
        boxes=each.boxes,
        style=None if style is None else _individual(style, path.parent),
    )


def _individual(subject: _Subject, folder: Path) -> Individual:
    pictures = [name for reference in subject.references for name in _pictures(reference, folder)]
    values = {"name": subject.name, "word": subject.word, "captions": subject.captions}
    return Individual(**values, references=tuple(pictures), prompt=subject.prompt or subject.text)


def _pictures(reference: str, folder: Path) -> list[str]:
    if reference.startswith("miniature:"):
        return [reference]
    if not reference.strip():
        raise UserError("a reference has no name; give a picture or a folder of them")
    place = folder / at_home(reference)
    if place.is_dir():
        ends = tuple(f".{end}" for end in IMAGE_EXTENSIONS)
        found = sorted(str(path.absolute()) for path in place.iterdir() if path.name.lower().endswith(ends))
        if not found:
            raise UserError(
                f"{place} has no pictures; a subject's references are pictures or folders of them"
            )
        return found
    if not place.is_file():
        raise UserError(f"no picture {place}; it is a reference of the protocol")
    return [str(place.absolute())]
