# SPDX-License-Identifier: Apache-2.0
"""From bytes of unknown making to a decoded picture, or the reason why there is none."""

import io
import logging
import warnings

from PIL import Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""What is decoded, whatever the file's name says. Pillow's other formats are left out on purpose: some
start programs, none is what a collection of photographs holds."""

PIXELS = 178_956_970
"""More than this Pillow refuses to open."""

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")

_NOWHERE = logging.NullHandler()

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class BadImageError(Exception):
    """These bytes are no usable picture. `reason` is one short word_with_underscores."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def prepare() -> None:
    """Load Pillow's formats and silence its warnings: what they warn of becomes a reason."""
    Image.init()
    warnings.filterwarnings("ignore", module=r"PIL\.")
    # Without any handler what it logs would go to stderr.
    logging.getLogger("PIL").addHandler(_NOWHERE)


def opened(data: bytes) -> Image.Image:
    """Read the header; the size is known, no pixel is decoded.

    Raises:
        BadImageError: `empty_file`, `not_an_image`, `undecodable`, `truncated`, or `too_many_pixels` for more
            than `PIXELS`.
    """
    if not data:
        raise BadImageError("empty_file", "the file has no bytes")
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise BadImageError("too_many_pixels", _line(error)) from error
    except MemoryError:
        raise
    except Exception as error:  # damaged headers raise anything
        raise _unopened(data, error) from error


def decode(image: Image.Image) -> int:
    """Decode all pixels of the first frame, in place.

    Returns:
        The EXIF orientation that is still to be applied, 1 to 8.

    Raises:
        BadImageError: `truncated` or `undecodable`.
    """
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # damaged data raises anything
        raise BadImageError(_reason(_line(error)), _line(error)) from error
    if 0 in image.size:
        raise BadImageError("undecodable", "it has no pixels")
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF harms no pixel
        return 1
    return orientation if isinstance(orientation, int) and orientation in _UPRIGHT else 1


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Undo an EXIF orientation, 1 to 8."""
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _unopened(data: bytes, error: Exception) -> BadImageError:
    webp = data.startswith(b"RIFF") and data[8:12] == b"WEBP"
    if not webp and not data.startswith(_SIGNATURES):
        return BadImageError("not_an_image", f"it begins with {data[:24]!r}")
    size = int.from_bytes(data[4:8], "little") + 8
    if webp and size > len(data):
        return BadImageError("truncated", f"it should have {size} bytes, not {len(data)}")
    why = "its header is damaged" if isinstance(error, UnidentifiedImageError) else _line(error)
    return BadImageError(_reason(why), f"it begins like a picture, {data[:8]!r}, but {why}")


def _reason(message: str) -> str:
    return "truncated" if "truncated" in message.lower() else "undecodable"


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
