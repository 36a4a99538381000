# SPDX-License-Identifier: Apache-2.0
"""Which pictures are given: they belong to what is asked for by what is in them, not by their names alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from models.references import BadReference, digest_of_reference, opened_reference
from pipeline.errors import UserError
from pipeline.evaluate.sets import Protocol
from stages.set_row import Individual


def at_home(name: str) -> Path:
    """A path, with `~` for somebody's home.

    Raises:
        UserError: there is nobody of that name here.
    """
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise UserError(f"{name}: nobody of that name has a home here; give the whole path") from error


def with_digests(protocol: Protocol, where: str) -> Protocol:
    """The same with the digest of each picture.

    Raises:
        UserError: one is not there, or is no picture.
    """

    @cache
    def digest(name: str) -> str | None:
        # What is no picture is told before anything is learnt of the others.
        opened_reference(name)
        return digest_of_reference(name)

    def known(each: Individual) -> Individual:
        return replace(each, digests=tuple(digest(name) for name in each.references))

    try:
        return replace(
            protocol,
            sets=tuple(
                replace(
                    each,
                    individuals=tuple(map(known, each.individuals)),
                    style=None if each.style is None else known(each.style),
                )
                for each in protocol.sets
            ),
        )
    except BadReference as error:
        raise UserError(f"{where}: {error}") from error
