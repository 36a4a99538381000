# SPDX-License-Identifier: Apache-2.0
"""Which pictures are given: they belong to what is asked for by what is in them, not by their names alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from models.references import BadReference, digest_of_reference
from pipeline.errors import UserError
from pipeline.evaluate.sets import Protocol
from stages.set_row import Individual


def with_digests(protocol: Protocol, where: str) -> Protocol:
    """The same with the digest of each picture.

    Raises:
        UserError: one is not there or cannot be read.
    """
    digest = cache(digest_of_reference)

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
