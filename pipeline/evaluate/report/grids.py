# SPDX-License-Identifier: Apache-2.0
"""Pictures of an evaluation in a page: a row a method, a column a prompt, the subject at the left."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image

from models.references import BadReference, opened_reference
from pipeline.evaluate.config import EvaluateConfig
from pipeline.evaluate.pictures import Row
from pipeline.evaluate.sets import SubjectSet
from pipeline.report.picture import NoPicture, data_uri, decoded

_SIDE = 160
_SETS, _WORST = 3, 4


def grids(root: Path, config: EvaluateConfig, rows: Sequence[Row], shown: Mapping[str, str]) -> str:
    """The first sets with the first seed.

    Args:
        root: of the evaluation.
        config: its configuration.
        rows: its pictures.
        shown: values to tell under each picture, and what people call them.
    """
    sets = [each for each in config.protocol.sets if any(row["set"] == each.name for row in rows)][:_SETS]
    return "".join(_grid(root, each, config, rows, shown) for each in sets)


def worst(root: Path, config: EvaluateConfig, rows: Sequence[Row], by: str, name: str) -> str:
    """Of each method the pictures with the least of a value, which people call `name`."""
    parts = []
    for setting in config.settings:
        of = [row for row in rows if row["setting"] == setting and by in row["scores"] and row["image"]]
        least = sorted(of, key=lambda row: row["scores"][by])[:_WORST]
        cells = "".join(f"<td>{_cell(root, row, {by: name})}</td>" for row in least)
        if not least:
            continue
        parts.append(f"<tr><th>{html.escape(setting)}</th>{cells}</tr>")
    return f'<div class="panel scroll"><table class="pictures">{"".join(parts)}</table></div>'


def _grid(
    root: Path, each: SubjectSet, config: EvaluateConfig, rows: Sequence[Row], shown: Mapping[str, str]
) -> str:
    head = "".join(f"<th>{html.escape(prompt)}</th>" for prompt in each.prompts)
    references = "".join(_references(each))
    body = []
    for setting in config.settings:
        seeds = [row["seed"] for row in rows if row["setting"] == setting and row["set"] == each.name]
        of = {
            row["place"]: row
            for row in rows
            if row["setting"] == setting and row["set"] == each.name and row["seed"] == min(seeds)
        }
        if of:
            cells = "".join(f"<td>{_cell(root, of[place], shown)}</td>" for place in sorted(of))
            body.append(f"<tr><th>{html.escape(setting)}</th><td>{references}</td>{cells}</tr>")
            references = ""
    return (
        f'<h3>{html.escape(each.name)}</h3><div class="panel scroll"><table class="pictures">'
        f"<tr><th></th><th>given</th>{head}</tr>{''.join(body)}</table></div>"
    )


def _references(each: SubjectSet) -> Iterator[str]:
    for individual in each.given:
        for picture in individual.given[:1]:
            try:
                image = opened_reference(*picture)
            except BadReference as error:
                yield f'<span class="quiet">{html.escape(str(error))}</span>'
            else:
                image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
                yield f'<img alt="{html.escape(individual.name)}" src="{data_uri(image)}">'


def _cell(root: Path, row: Row, shown: Mapping[str, str]) -> str:
    if row["image"] is None:
        return f'<span class="quiet">{html.escape(str(row["reason"]))}</span>'
    try:
        image = decoded((root / row["image"]).read_bytes())
    except (OSError, NoPicture) as error:
        return f'<span class="quiet">{html.escape(str(error))}</span>'
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    told = "".join(
        f"<span>{html.escape(title)} {row['scores'][name]:.2f}</span>"
        for name, title in shown.items()
        if name in row["scores"]
    )
    alt = html.escape(f"{row['setting']}: {row['prompt']}")
    return f'<img alt="{alt}" title="{alt}" src="{data_uri(image)}"><small>{told}</small>'
