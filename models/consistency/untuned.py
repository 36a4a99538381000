# SPDX-License-Identifier: Apache-2.0
"""What methods that learn nothing of a subject have in common."""

from typing import Any

from models.consistency.method import Cost, Sampling, Subject, Tell, silent


class Untuned:
    """Options, and what the last drawing cost."""

    usual: type
    """Of the options."""

    def __init__(self, options: Any = None) -> None:
        """
        Args:
            options: of class `usual`; its defaults if not given.
        """
        self.options = self.usual() if options is None else options
        self._cost = Cost()

    def fit(self, pipe: Any, subject: Subject, sampling: Sampling, tell: Tell = silent) -> None:
        """Nothing is learnt."""

    def cost(self) -> Cost:
        """Of the last drawing."""
        return self._cost
