"""One picture: file bytes → upright RGB → square → `resolution` × `resolution`.

What every kind of picture becomes:

* EXIF orientation is applied, and only the first frame of an animation is taken;
* transparency (alpha channel, transparent palette entry or colour key) is composited on white, as a web page would;
* 16-bit grey is scaled, `round(v / 257)`, and 12-bit grey likewise; Pillow's own conversion would clip it to white.
  16-bit colour reaches us from Pillow as its high bytes;
* CMYK becomes RGB by Pillow's plain formula; the inverted values that Adobe puts into JPEGs are put right;
* CIELAB becomes sRGB through LittleCMS. Other embedded colour profiles are ignored, as StyleGAN's own tools do;
* 32-bit integer and float pixels are refused: nothing in such a file says which value is white.

What a file is, its first bytes say, not its name. Metadata that cannot be read cost themselves, not the picture.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import struct
import threading
import warnings
from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
from PIL import Image, UnidentifiedImageError

PICTURE_SUFFIXES = (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp", ".webp", ".bmp", ".dib", ".tif", ".tiff",
    ".gif", ".avif", ".heic", ".heif", ".jp2", ".j2k", ".jpf", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jxl",
)  # fmt: skip
# Only these decoders ever see the user's bytes: others can be slow, or start programs (EPS).
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM", "TGA")
MAX_PIXELS = 1 << 28  # 268 million: larger than any camera's picture, and 0.8 GB once decoded
MAX_FILE_BYTES = 2 << 30  # 268 million pixels of 16-bit colour, not compressed, fit
HEAD_BYTES = 64  # of a file, enough to tell its kind

_SIGNATURES = tuple(
    (kind, re.compile(pattern, re.DOTALL))
    for kind, pattern in (
        ("PNG", rb"\x89PNG\r\n\x1a\n"),
        ("JPEG", rb"\xff\xd8\xff"),
        ("WEBP", rb"RIFF.{4}WEBP"),
        ("BMP", rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"),  # the length of what follows: seven versions
        ("TIFF", rb"II[\x2a\x2b]\0|MM\0[\x2a\x2b]"),
        ("GIF", rb"GIF8[79]a"),
        ("AVIF", rb".{4}ftyp(avif|avis|(mif1|msf1).{0,40}avi[fs])"),
        ("HEIC", rb".{4}ftyp(hei[cxms]|hev[cxms]|mif1|msf1)"),
        ("JPEG2000", rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n"),
        ("JPEG XL", rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
        ("PPM", rb"P[1-6]\s+[#0-9]"),
    )
)
_TGA_HEADER = struct.Struct("<BBBHHBHHHHBB")
_PNG_METADATA = (b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf")

ResizeFilter = Literal["lanczos", "area"]
NonSquare = Literal["crop", "pad"]

_UPRIGHT = {  # EXIF orientation → what turns the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EXIF_ORIENTATION = 0x0112
_TIFF_BITS_PER_SAMPLE = 258


class PictureError(ValueError):
    """A file that cannot be read as a picture; the message is the reason, without the file's name."""


def is_picture_name(name: str) -> bool:
    """True if a file of this name should be a picture: by suffix, in any case; names with a leading dot never are."""
    base = name.rsplit("/", 1)[-1]
    return not base.startswith(".") and base.lower().endswith(PICTURE_SUFFIXES)


def kind_of(head: bytes) -> str | None:
    """The kind of picture that a file begins as, of its first `HEAD_BYTES` bytes; None for anything else.

    Kinds that are no member of `FORMATS` (HEIC, JPEG XL) are pictures that cannot be read here. A TGA has no
    signature: only the whole file shows it.
    """
    return next((kind for kind, pattern in _SIGNATURES if pattern.match(head)), None)


def load_picture(
    content: bytes, *, resolution: int, resize_filter: ResizeFilter, nonsquare: NonSquare
) -> tuple[np.ndarray, int]:
    """Decodes the bytes of a picture file and brings them to `resolution`.

    Returns:
        uint8[resolution, resolution, 3], and the side in pixels that the square picture had before.

    Raises:
        PictureError: the bytes are not a whole picture that can be read, or the square would be too large.
        ValueError: unknown `resize_filter` or `nonsquare`.
    """
    with _memory_named():
        image = square(decode(content), nonsquare)
        return np.asarray(resize(image, resolution, resize_filter)), image.width


def decode(content: bytes) -> Image.Image:
    """Decodes the bytes of a picture file to an upright Pillow image of mode RGB.

    Raises:
        PictureError: the bytes are empty, truncated, damaged, too large, or not a picture.
    """
    if not content:
        raise PictureError("empty file (0 bytes)")
    kind = kind_of(content[:HEAD_BYTES]) or ("TGA" if _is_tga(content) else None)
    if kind is None:
        raise PictureError(f"not a picture ({', '.join(FORMATS)} can be read)")
    if kind not in FORMATS:
        raise PictureError(f"{kind} is not read here ({', '.join(FORMATS)} are): save it as PNG or JPEG")
    with _memory_named():
        try:
            return _decode_as(kind, content)
        except PictureError as error:
            plain = _without_metadata(content) if kind == "PNG" else content
            if len(plain) == len(content):
                raise
            try:
                return _decode_as(kind, plain)
            except PictureError:
                raise error from None


def _decode_as(kind: str, content: bytes) -> Image.Image:
    """Decodes a file of a known kind; whatever goes wrong inside Pillow is a PictureError."""
    with warnings.catch_warnings(), _own_limit():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd EXIF or palettes are no news to the user
        try:
            with Image.open(io.BytesIO(content), formats=(kind,)) as image:
                _check_size(image.size)
                image.load()
                return _to_rgb(_upright(image))
        except (PictureError, MemoryError):
            raise
        except UnidentifiedImageError:
            raise PictureError(f"damaged: it begins as {kind}, and cannot be read as that") from None
        except Exception as error:  # decoders fail in every way on damaged bytes: struct.error, SyntaxError, KeyError…
            said = re.sub(r"<_io\.\w+ object at 0x[0-9a-f]+>", "the file", str(error))
            raise PictureError(f"damaged: {type(error).__name__}: {said}") from error


@contextlib.contextmanager
def _memory_named() -> Iterator[None]:
    """Turns a MemoryError inside the block into a PictureError."""
    try:
        yield
    except MemoryError as error:
        raise PictureError("there is not enough memory to decode it") from error


_limit_lock = threading.RLock()


@contextlib.contextmanager
def _own_limit() -> Iterator[None]:
    """Puts `MAX_PIXELS` in the place of Pillow's limit, which is lower, is global, and calls larger pictures an attack."""
    with _limit_lock:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _is_tga(content: bytes) -> bool:
    """True if the bytes are a TGA: by the footer of its second version, or by a header that makes sense throughout."""
    if len(content) <= _TGA_HEADER.size:
        return False
    if content.endswith(b"TRUEVISION-XFILE.\0"):
        return True
    comment, has_map, kind, _, entries, entry_bits, _, _, width, height, bits, flags = _TGA_HEADER.unpack_from(content)
    if has_map > 1 or (has_map == 1) != (kind in (1, 9)) or flags & 0xC0 or not (width and height):
        return False
    if bits not in {1: (8,), 9: (8,), 2: (15, 16, 24, 32), 10: (15, 16, 24, 32), 3: (8, 16), 11: (8, 16)}.get(kind, ()):
        return False
    least = width * height * (-(-bits // 8)) if kind < 8 else 2
    return len(content) >= _TGA_HEADER.size + comment + entries * (-(-entry_bits // 8)) + least


def _without_metadata(content: bytes) -> bytes:
    """A PNG without its texts, colour profile and EXIF: when they are what Pillow stumbles over, the picture is sound."""
    kept, at = [content[:8]], 8
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] not in _PNG_METADATA:
            kept.append(content[at:end])
        at = end
    return b"".join(kept)


def square(image: Image.Image, nonsquare: NonSquare) -> Image.Image:
    """Makes an RGB image square.

    "crop" keeps the centre: the longer side is cut to the shorter one. "pad" keeps everything: the shorter side grows
    to the longer one by repeating the outermost rows or columns, because bars of one colour would bring a hard edge
    that a GAN then learns to draw. When the difference is odd, the odd pixel is cut or added at the right or bottom.

    Raises:
        PictureError: padded, it would have more than `MAX_PIXELS` pixels.
        ValueError: `nonsquare` is neither.
    """
    if nonsquare not in get_args(NonSquare):
        raise ValueError(f"prepare.nonsquare is {nonsquare!r}; allowed are 'crop' and 'pad'")
    width, height = image.size
    if width == height:
        return image
    if nonsquare == "crop":
        with _own_limit():  # Pillow applies its own to the part as well
            return image.crop(crop_box(width, height))
    side = max(width, height)
    if side * side > MAX_PIXELS:
        raise PictureError(
            f"{width}x{height} pixels, padded {side}x{side}; at most {MAX_PIXELS} in all are made (prepare.nonsquare: crop "
            "reads it)"
        )
    left, top = (side - width) // 2, (side - height) // 2
    margins = ((top, side - height - top), (left, side - width - left), (0, 0))
    return Image.fromarray(np.pad(np.asarray(image), margins, mode="edge"))


def crop_box(width: int, height: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in pixels of the largest centred square."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def resize(image: Image.Image, resolution: int, resize_filter: ResizeFilter) -> Image.Image:
    """Resizes a square RGB image to `resolution`, antialiased; an image of that size is returned as it is.

    "lanczos" is Pillow's: three lobes, stretched by the scale when it shrinks, so it is antialiased. "area" gives every
    output pixel the mean of the area it covers (see `area_resize`). Both work on the sRGB values as they are.

    Raises:
        ValueError: `resize_filter` is neither, or `resolution` is less than 1.
    """
    if resize_filter not in get_args(ResizeFilter):
        raise ValueError(f"prepare.filter is {resize_filter!r}; allowed are 'lanczos' and 'area'")
    if resolution < 1:
        raise ValueError(f"resolution is {resolution!r}; allowed are whole numbers of at least 1 pixel")
    if image.size == (resolution, resolution):
        return image
    if resize_filter == "lanczos":
        return image.resize((resolution, resolution), Image.Resampling.LANCZOS)
    return Image.fromarray(area_resize(np.asarray(image), resolution))


def area_resize(pixels: np.ndarray, resolution: int) -> np.ndarray:
    """Exact area average of uint8[S, S, C], as uint8[resolution, resolution, C], halves rounded up.

    Pixels that an output pixel covers in part count in part (Pillow's BOX filter counts them wholly or not at all).
    Everything is done in integers, so the bytes are the same on every machine.
    """
    size, _, channels = pixels.shape
    tall = _area_sums(pixels.reshape(size, -1), resolution).reshape(resolution, size, channels)
    wide = _area_sums(tall.transpose(1, 0, 2).reshape(size, -1), resolution).reshape(resolution, resolution, channels)
    return ((2 * wide.transpose(1, 0, 2) + size * size) // (2 * size * size)).astype(np.uint8)


def _area_sums(rows: np.ndarray, resolution: int) -> np.ndarray:
    """[S, K] → int64[resolution, K]: sum over the rows that each output row covers, times `resolution`.

    Output row i covers the rows from a = i*S/resolution to b = (i+1)*S/resolution: those from floor(a) to before
    floor(b), less the part of row floor(a) before a, and the part of row floor(b) before b.
    """
    size = rows.shape[0]
    whole, part = np.divmod(np.arange(resolution + 1) * size, resolution)
    # A loop, because np.add.reduceat takes twenty times as long, and sums one row where there is none.
    sums = resolution * np.stack([rows[i:j].sum(axis=0, dtype=np.int64) for i, j in itertools.pairwise(whole)])
    sums -= part[:-1, None] * rows[whole[:-1]]
    sums += part[1:, None] * rows[np.minimum(whole[1:], size - 1)]  # at the very end part is 0: any row will do
    return sums


def _check_size(size: tuple[int, int]) -> None:
    """Refuses what would fill the memory once decoded, before it is decoded."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise PictureError(
            f"{width}x{height} pixels, {width * height} in all; at most {MAX_PIXELS} are read (decompression bomb?)"
        )


def _upright(image: Image.Image) -> Image.Image:
    """Applies the EXIF orientation; a broken EXIF block costs the orientation, not the picture."""
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # like the decoders, the EXIF parser fails in every way
        orientation = 1
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode that the decoders give → RGB (see the head of this file)."""
    if image.mode.startswith("I;16"):
        image = _from_16_bit(image)
    if image.mode in ("I", "F"):
        raise PictureError("32-bit integer or float pixels have no agreed white: save it with 8 or 16 bits a channel")
    if image.mode == "LAB":
        return _from_lab(image)
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    """16-bit (or 12-bit) grey → 8-bit grey, with alpha where one grey is declared transparent."""
    values = np.asarray(image).astype(np.uint32)
    bits = getattr(image, "tag_v2", {}).get(_TIFF_BITS_PER_SAMPLE, (16,))[0]
    white = (1 << bits) - 1
    grey = Image.fromarray(((values * 255 + white // 2) // white).astype(np.uint8))
    if "transparency" in image.info:
        grey.putalpha(Image.fromarray(np.where(values == image.info["transparency"], 0, 255).astype(np.uint8)))
    return grey


def _from_lab(image: Image.Image) -> Image.Image:
    """CIELAB → sRGB, the one conversion that Pillow leaves to LittleCMS."""
    from PIL import ImageCms  # here, because some builds of Pillow have no LittleCMS

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    assert converted is not None  # it is None only when converting in place
    return converted
