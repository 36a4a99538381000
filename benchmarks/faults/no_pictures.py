# SPDX-License-Identifier: Apache-2.0
"""Files of other kinds that are named like pictures, by the reason that they must be rejected with."""

import gzip
import io
import zipfile

import numpy as np

from benchmarks.faults.pictures import encoded, jpeg, quadrants


def no_pictures() -> dict[str, dict[str, bytes]]:
    """Reason -> name -> file."""
    page = "<!DOCTYPE html><html><body>404 Not Found</body></html>"
    return {
        "empty_file": {"empty.jpg": b"", "empty.png": b""},
        "not_an_image": {
            "one_byte.jpg": b"\xff",
            "half_a_signature.png": b"\x89PNG",
            "html.jpg": page.encode(),
            "html_utf16.jpg": page.encode("utf-16"),
            "json.webp": b'{"error": "rate limited"}',
            "text.png": b"This picture is no longer available.\n",
            "git_lfs.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
            "postscript.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n",
            "svg.png": b'<svg xmlns="http://www.w3.org/2000/svg" width="96" height="64"><rect/></svg>',
            "pdf.jpg": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n",
            "zip.jpg": _zip(),
            "gzip.jpg": gzip.compress(jpeg(), mtime=0),
            "heic.jpg": b"\0\0\0\x1cftypheic\0\0\0\0heicmif1" + bytes(200),
            "avif.jpg": encoded(quadrants(), "AVIF"),
            "mp4.jpg": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(200),
            "icon.png": encoded(quadrants(), "ICO"),
            "jpeg_2000.jpg": encoded(quadrants(), "JPEG2000"),
            "zeros.png": bytes(1000),
            "random.jpg": b"\0" + np.random.default_rng(3).bytes(3000),
            "line_before_it.jpg": b"\r\n" + jpeg(),
            "text_of_it.jpg": jpeg().decode("latin-1").encode(),
        },
    }


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("picture.jpg"), jpeg())
    return buffer.getvalue()
