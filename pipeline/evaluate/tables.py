# SPDX-License-Identifier: Apache-2.0
"""An evaluation as tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeline.evaluate.cells import apart, line, rule, told
from pipeline.evaluate.columns import headers
from pipeline.evaluate.config import EvaluateConfig
from pipeline.evaluate.part import Estimates, Part
from pipeline.evaluate.sets import Reported
from pipeline.evaluate.summary import FASTER, Method
from pipeline.wording import counted


def markdown(methods: Sequence[Method], config: EvaluateConfig, judged: Mapping[str, float] | None) -> str:
    """All tables of table.md.

    Args:
        methods: summed up.
        config: of the evaluation.
        judged: the judge's own accuracies, where it was asked.
    """
    names = headers(methods, judged or {})
    whole = {method.name: (f"{method.drawn} of {method.pictures}", method.whole) for method in methods}
    parts = [*_parts(whole, config.baseline, names, "")]
    for count in sorted({count for method in methods for count in method.by_count}):
        of = {each.name: each.by_count[count] for each in methods if count in each.by_count}
        some = {name: (counted(_sets(part), "set"), part) for name, part in of.items()}
        parts += _parts(some, config.baseline, names, f"Sets of {counted(count, 'subject')} alone: ")
    parts.append("\n".join(_ranks(methods, names)))
    parts.append("\n".join(_costs(methods)))
    parts.append("\n".join(_overtaking(methods)))
    if judged:
        shares = ", ".join(f"{name} {share:.3f}" for name, share in judged.items())
        parts.append(f"Judge: its own accuracy on held-out renders: {shares}.")
    missing = [*_missing(methods)]
    if missing:
        parts.append("Pictures that are not there (`--retry` tries again):\n\n" + "\n".join(missing))
    if config.protocol.reported:
        parts.append("\n".join(_reported(config.protocol.reported)))
    if config.protocol.source:
        parts.append(f"Protocol: {config.protocol.source}.".replace("..", "."))
    return "\n\n".join(part for part in parts if part) + "\n"


def _parts(
    rows: Mapping[str, tuple[str, Part]], baseline: str, names: Mapping[str, str], of: str
) -> Iterator[str]:
    """Three tables: values, differences from the baseline, and from others.

    Args:
        rows: of each method how much was drawn, and what it comes to.
        baseline: name of the method that others are compared with.
        names: of columns.
        of: which sets these are.
    """
    yield "\n".join(_values(rows, names, f"{of}means over sets, with 95 % intervals of other subjects."))
    differences = {name: part.differences for name, (_, part) in rows.items() if part.differences}
    about = (
        f"{of}differences from {baseline} on the same pictures asked for; bold where the interval leaves out "
        "0 and there are six subjects or more."
    )
    yield "\n".join(_apart_rows(differences, names, about))
    others = {
        f"{name} less {other}": found
        for name, (_, part) in rows.items()
        for other, found in part.compared.items()
        if found
    }
    yield "\n".join(_apart_rows(others, names, f"{of}differences between other pairs, likewise."))


def _sets(part: Part) -> int:
    return max((each.sets for each in part.values.values()), default=0)


def _values(rows: Mapping[str, tuple[str, Part]], names: Mapping[str, str], about: str) -> Iterator[str]:
    yield _sentence(about)
    yield ""
    yield line("method", "pictures", *names.values())
    yield rule(len(names) + 2)
    for name, (drawn, part) in rows.items():
        yield line(name, drawn, *(told(part.values.get(each)) for each in names))


def _ranks(methods: Sequence[Method], names: Mapping[str, str]) -> Iterator[str]:
    if len(methods) < 2:
        return
    yield "Mean ranks over the sets that all methods have; 1 is the best, and ties share a rank."
    yield ""
    yield line("method", *names.values())
    yield rule(len(names) + 1)
    for method in methods:
        ranks = [method.ranks.get(each) for each in names]
        yield line(method.name, *("-" if rank is None else f"{rank:.2f}" for rank in ranks))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _apart_rows(rows: Mapping[str, Estimates], names: Mapping[str, str], about: str) -> Iterator[str]:
    if not rows:
        return
    yield _sentence(about)
    yield ""
    yield line("method", *names.values())
    yield rule(len(names) + 1)
    for name, found in rows.items():
        yield line(name, *(apart(found.get(each)) for each in names))


def _costs(methods: Sequence[Method]) -> Iterator[str]:
    yield (
        "Costs: seconds to learn a set's subjects, seconds a picture, T(n) both together for n pictures. "
        "Memory is the most that the worker held meanwhile, its other models included. A method that begins "
        f"later overtakes another where its pictures take at least {FASTER:.0%} less time."
    )
    yield ""
    yield line("method", "learning, s", "picture, s", "T(10), s", "T(100), s", "kept, bytes", "memory, MiB")
    yield rule(7)
    for method in methods:
        times = (method.tuning_seconds, method.image_seconds, method.seconds(10), method.seconds(100))
        memory = None if method.memory_bytes is None else round(method.memory_bytes / 2**20)
        kept = None if method.subject_bytes is None else f"{method.subject_bytes:,}"
        shown = ["-" if each is None else f"{each:.2f}" for each in times]
        yield line(method.name, *shown, kept or "-", "-" if memory is None else str(memory))


def _overtaking(methods: Sequence[Method]) -> Iterator[str]:
    for method in methods:
        found = [(other.name, count) for other in methods if (count := method.overtakes(other)) is not None]
        if found:
            others = ", ".join(f"{name} from {counted(count, 'picture')} on" for name, count in found)
            yield f"- In all, {method.name} takes less time than {others}"


def _missing(methods: Sequence[Method]) -> Iterator[str]:
    for method in methods:
        for why, count in method.why.items():
            yield f"- {method.name}: {count} of {method.pictures}, {why}"


def _reported(rows: Sequence[Reported]) -> Iterator[str]:
    names = [*dict.fromkeys(name for row in rows for name in row.values)]
    yield "Published elsewhere, with other models, prompts and pictures; not run here."
    yield ""
    yield line("method (reported)", *names, "source")
    yield rule(len(names) + 2)
    for row in rows:
        yield line(row.method, *(str(row.values.get(name, "-")) for name in names), row.source)
