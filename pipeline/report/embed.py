# SPDX-License-Identifier: Apache-2.0
"""Values inside a page: JSON that no text in it can break out of."""

import json
from typing import Any

_HARMLESS = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def script_json(value: Any) -> str:
    """`value` as JSON for a `<script type="application/json">` element.

    Raises:
        ValueError: a number in it is NaN or infinite.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_HARMLESS)
