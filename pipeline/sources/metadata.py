# SPDX-License-Identifier: Apache-2.0
"""What came with a picture: address, text, and the rest as JSON that any parser reads."""

import json
from typing import Any

_TEXTS = ("caption", "text", "alt_text")


def url_and_text(meta: dict[str, Any]) -> tuple[str | None, str | None]:
    """The picture's address and the text that stood beside it, where known."""
    texts = (_string(meta.get(name)) for name in _TEXTS)
    return _string(meta.get("url")), next((text for text in texts if text is not None), None)


def parsed(text: str) -> tuple[str, dict[str, Any]]:
    """Metadata as JSON text, and as a dict.

    A JSON object stays the text it is, except that NaN and infinities, which only some parsers accept,
    become null. Anything else is kept whole as one JSON string, with an empty dict.
    """
    strange: list[str] = []
    try:
        meta = json.loads(text, parse_constant=strange.append)
        if isinstance(meta, dict):
            return json.dumps(meta) if strange else text, meta
    except (ValueError, RecursionError):
        pass
    return json.dumps(text), {}


def decoded(data: bytes) -> str:
    """Text as UTF-8; bytes that are not become U+FFFD."""
    return data.decode("utf-8", "replace").strip("\ufeff\x00 \t\r\n")


def _string(value: Any) -> str | None:
    # JSON can spell half of a surrogate pair, which no UTF-8 can.
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) and value else None
