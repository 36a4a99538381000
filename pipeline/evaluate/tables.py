# SPDX-License-Identifier: Apache-2.0
"""An evaluation as tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeline.evaluate.config import EvaluateConfig
from pipeline.evaluate.sets import Reported
from pipeline.evaluate.statistics import Estimate
from pipeline.evaluate.summary import Estimates, Method
from pipeline.wording import counted

MAIN = (
    "found",
    "judge_identity_reference",
    "judge_all_reference",
    "judge_identity_pairs",
    "judge_position",
    "judge_background",
    "judge_noun",
    "judge_style",
    "clip_t_whole",
    "siglip_t_whole",
    "clip_i_subject_reference",
    "clip_i_subject_pairs",
    "dino_subject_reference",
    "dino_subject_pairs",
    "dinov2_subject_reference",
    "clip_i_style",
    "dino_style",
    "dinov2_style",
    "dreamsim_subject_pairs",
    "lpips_subject_pairs",
    "layout_pairs",
)
"""Columns of the first table, where they were measured; all others are in results.json."""
HEADERS = {
    "found": "found",
    "judge_identity_reference": "identity, given",
    "judge_all_reference": "all identities, given",
    "judge_identity_pairs": "identity, in pairs",
    "judge_position": "where asked",
    "judge_background": "background",
    "judge_noun": "noun",
    "judge_style": "style",
    "clip_t_whole": "CLIP-T",
    "siglip_t_whole": "SigLIP-T",
    "clip_i_subject_reference": "CLIP-I, given",
    "clip_i_subject_pairs": "CLIP-I, in pairs",
    "dino_subject_reference": "DINO, given",
    "dino_subject_pairs": "DINO, in pairs",
    "dinov2_subject_reference": "DINOv2, given",
    "clip_i_style": "CLIP-I, style",
    "dino_style": "DINO, style",
    "dinov2_style": "DINOv2, style",
    "dreamsim_subject_pairs": "DreamSim, in pairs",
    "lpips_subject_pairs": "LPIPS, in pairs",
    "layout_pairs": "layout diversity",
}
_READS = {
    "judge_identity_reference": "identity",
    "judge_all_reference": "identity",
    "judge_identity_pairs": "identity",
    "judge_position": "noun",
    "judge_background": "background",
    "judge_noun": "noun",
}
"""Which of the judge's own accuracies stands beside what it has read."""


def markdown(methods: Sequence[Method], config: EvaluateConfig, judged: Mapping[str, float] | None) -> str:
    """All tables of table.md.

    Args:
        methods: summed up.
        config: of the evaluation.
        judged: the judge's own accuracies, where it was asked.
    """
    names = headers(methods, judged or {})
    values = [(method, method.values) for method in methods]
    parts = ["\n".join(_values(values, names, "Means over subjects with 95 % intervals."))]
    for count in sorted({count for method in methods for count in method.by_count}):
        some = [(method, method.by_count[count]) for method in methods if count in method.by_count]
        parts.append("\n".join(_values(some, names, f"The same of sets of {counted(count, 'subject')}.")))
    parts.append("\n".join(_differences(methods, config.baseline, names)))
    parts.append("\n".join(_compared(methods, names)))
    parts.append("\n".join(_costs(methods)))
    parts.append("\n".join(_overtaking(methods)))
    if judged:
        told = ", ".join(f"{name} {share:.3f}" for name, share in judged.items())
        parts.append(f"Judge: its own accuracy on held-out renders: {told}.")
    missing = [*_missing(methods)]
    if missing:
        parts.append("Pictures that are not there (`--retry` tries again):\n\n" + "\n".join(missing))
    if config.protocol.reported:
        parts.append("\n".join(_reported(config.protocol.reported)))
    if config.protocol.source:
        parts.append(f"Protocol: {config.protocol.source}.".replace("..", "."))
    return "\n\n".join(part for part in parts if part) + "\n"


def headers(methods: Sequence[Method], judged: Mapping[str, float]) -> dict[str, str]:
    """Of the first table's columns; what the judge reads stands beside how well it reads that."""
    there = {name for method in methods for name in method.values}
    if all(_same(method) for method in methods):
        there -= {"judge_all_reference"}
    own = {name: judged.get(_READS.get(name, "")) for name in MAIN}
    return {
        name: HEADERS[name] + ("" if own[name] is None else f" [judge {own[name]:.3f}]")
        for name in MAIN
        if name in there
    }


def _same(method: Method) -> bool:
    """Whether no set has several subjects: then one is all."""
    return method.values.get("judge_all_reference") == method.values.get("judge_identity_reference")


def _values(rows: Sequence[tuple[Method, Estimates]], names: Mapping[str, str], about: str) -> Iterator[str]:
    yield about
    yield ""
    yield _line("method", "pictures", *names.values())
    yield _rule(len(names) + 2)
    for method, values in rows:
        yield _line(method.name, _drawn(method, values), *(told(values.get(name)) for name in names))


def _drawn(method: Method, values: Estimates) -> str:
    """Pictures of all, or sets of what a part of them are."""
    if values is method.values:
        return f"{method.drawn} of {method.pictures}"
    return counted(max(each.subjects for each in values.values()), "set") if values else "-"


def _differences(methods: Sequence[Method], baseline: str, names: Mapping[str, str]) -> Iterator[str]:
    rows = {method.name: method.differences for method in methods if method.differences}
    about = (
        f"Differences from {baseline} on the same pictures asked for; bold where the interval leaves out 0 "
        "and there are six subjects or more."
    )
    yield from _apart_rows(rows, names, about)


def _compared(methods: Sequence[Method], names: Mapping[str, str]) -> Iterator[str]:
    rows = {
        f"{method.name} less {other}": found
        for method in methods
        for other, found in method.compared.items()
        if found
    }
    yield from _apart_rows(rows, names, "Differences between other pairs, likewise.")


def _apart_rows(rows: Mapping[str, Estimates], names: Mapping[str, str], about: str) -> Iterator[str]:
    if not rows:
        return
    yield about
    yield ""
    yield _line("method", *names.values())
    yield _rule(len(names) + 1)
    for name, found in rows.items():
        yield _line(name, *(_apart(found.get(each)) for each in names))


def _costs(methods: Sequence[Method]) -> Iterator[str]:
    yield "Costs: seconds to learn a set's subjects, seconds a picture, T(n) both together for n pictures."
    yield ""
    yield _line("method", "learning, s", "picture, s", "T(10), s", "T(100), s", "kept, bytes", "memory, MiB")
    yield _rule(7)
    for method in methods:
        times = (method.tuning_seconds, method.image_seconds, method.seconds(10), method.seconds(100))
        memory = None if method.memory_bytes is None else round(method.memory_bytes / 2**20)
        kept = None if method.subject_bytes is None else f"{method.subject_bytes:,}"
        shown = ["-" if each is None else f"{each:.2f}" for each in times]
        yield _line(method.name, *shown, kept or "-", "-" if memory is None else str(memory))


def _overtaking(methods: Sequence[Method]) -> Iterator[str]:
    for method in methods:
        found = [(other.name, count) for other in methods if (count := method.overtakes(other)) is not None]
        if found:
            told = ", ".join(f"{name} from {count} pictures on" for name, count in found)
            yield f"- In all, {method.name} takes less time than {told}"


def _missing(methods: Sequence[Method]) -> Iterator[str]:
    for method in methods:
        for why, count in method.why.items():
            yield f"- {method.name}: {count} of {method.pictures}, {why}"


def _reported(rows: Sequence[Reported]) -> Iterator[str]:
    names = [*dict.fromkeys(name for row in rows for name in row.values)]
    yield "Published elsewhere, with other models, prompts and pictures; not run here."
    yield ""
    yield _line("method (reported)", *names, "source")
    yield _rule(len(names) + 2)
    for row in rows:
        yield _line(row.method, *(str(row.values.get(name, "-")) for name in names), row.source)


def told(value: Estimate | None) -> str:
    """`0.812 (0.790 to 0.834)`."""
    return "-" if value is None else f"{value.mean:.3f} ({value.low:.3f} to {value.high:.3f})"


def _apart(value: Estimate | None) -> str:
    if value is None:
        return "-"
    text = f"{value.mean:+.3f} ({value.low:+.3f} to {value.high:+.3f})"
    return f"**{text}**" if value.apart else text


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(columns: int) -> str:
    return f"|{'---|' * columns}"
