# SPDX-License-Identifier: Apache-2.0
"""A URI that people type, as a filesystem, a path there, and a name without secrets."""

import re
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from pyarrow import fs

KNOWN = "use a local path or a file://, s3://, gs:// or fsspec+<protocol>:// URI"
_ALLOWED = ":/?#[]@!$&'()*+,;=%~"  # what a URI may hold besides letters and digits
_HARMLESS = re.compile(r"Unexpected query parameter in \w+ URI: '\w+'|Bucket '[^']*' not found|AWS Error \w+")
"""The parts of Arrow's messages that are sure to hold no credentials."""
_KEYS = ("access_key", "secret_key")
# S3: one request for a small object, not three. Google's: a quarter of an hour is long for a wrong address.
_USUAL = {"s3": {"allow_delayed_open": "true"}, "gs": {"retry_limit_seconds": "60"}}


def is_uri(text: str) -> bool:
    """Whether a text is a URI, and not a path of this machine."""
    return "://" in text


def plain_name(text: str) -> str:
    """A URI for the record: no credentials, no query, no slash at the end. A path is its own name."""
    if not is_uri(text):
        return text
    parts = urlsplit(quote(text, safe=_ALLOWED))  # people write spaces into URIs
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")


def open_uri(text: str) -> tuple[fs.FileSystem, str]:
    """The filesystem of a URI that `pyarrow.fs` knows, and the path there.

    `access_key` and `secret_key` of an `s3://` URI may be in its query, as its other options are.

    Raises:
        ValueError: no filesystem knows such a URI; one sentence, without credentials.
    """
    try:
        return fs.FileSystem.from_uri(_for_arrow(quote(text, safe=_ALLOWED)))
    except (ValueError, OSError, ImportError) as error:
        told = _HARMLESS.search(str(error))
        what = told[0] if told else type(error).__name__
        raise ValueError(f"{plain_name(text)!r} cannot be opened ({what}); {KNOWN}") from error


def _for_arrow(text: str) -> str:
    """The same with the usual options, and the keys where Arrow looks for them, before the bucket."""
    parts = urlsplit(text)
    if parts.scheme not in _USUAL:
        return text
    # A plus in a key is a plus.
    query = dict(parse_qsl(parts.query.replace("+", "%2B"), keep_blank_values=True))
    query = _USUAL[parts.scheme] | query
    netloc = parts.netloc
    if parts.scheme == "s3" and set(_KEYS) <= set(query):
        user = ":".join(quote(query.pop(name), safe="") for name in _KEYS)
        netloc = f"{user}@{netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=netloc, query=urlencode(query)))
