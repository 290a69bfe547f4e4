from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sg3x.data import pictures
from sg3x.data.pictures import (
    FORMATS,
    PictureError,
    decode,
    is_picture_name,
)

RAMP = np.arange(256, dtype=np.uint8).repeat(4).reshape(32, 32)  # every grey


def encoded(image: Image.Image | np.ndarray, suffix: str, **options) -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, suffix, **options)
    return buffer.getvalue()


def decoded(content: bytes) -> np.ndarray:
    image = decode(content)
    assert image.mode == "RGB"
    return np.asarray(image)


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2)


def close(mine: np.ndarray, expected: np.ndarray, tolerance: int = 0) -> None:
    assert mine.shape == expected.shape
    assert np.abs(mine.astype(int) - expected.astype(int)).max() <= tolerance


# What each kind of file becomes


@pytest.mark.parametrize("suffix", ["PNG", "BMP", "TIFF"])
def test_rgb_is_kept_exactly(smooth, suffix):
    pixels = smooth(20, 30)
    close(decoded(encoded(pixels, suffix)), pixels)


def test_lossless_webp_is_kept_exactly(smooth):
    pixels = smooth(20, 30)
    close(decoded(encoded(pixels, "WEBP", lossless=True)), pixels)


def test_jpeg_is_ycbcr_inside_and_comes_out_rgb(smooth):
    pixels = smooth(32, 32)
    close(decoded(encoded(pixels, "JPEG", quality=95, subsampling=0)), pixels, tolerance=8)


def test_ycbcr_tiff_becomes_rgb(smooth):
    pixels = smooth(16, 16)
    image = Image.fromarray(pixels).convert("YCbCr")
    content = encoded(image, "TIFF")
    assert Image.open(io.BytesIO(content)).mode == "YCbCr"
    close(decoded(content), pixels, tolerance=3)


@pytest.mark.parametrize("suffix", ["PNG", "TIFF", "BMP"])
def test_grey_is_repeated(suffix):
    close(decoded(encoded(RAMP, suffix)), grey(RAMP))


@pytest.mark.parametrize("suffix", ["PNG", "TIFF"])
def test_one_bit_becomes_black_and_white(suffix):
    bits = np.random.default_rng(0).integers(0, 2, (9, 11)).astype(bool)
    close(decoded(encoded(Image.fromarray(bits), suffix)), grey(np.uint8(255 * bits)))


@pytest.mark.parametrize("suffix", ["PNG", "TIFF"])
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_16_bit_grey_is_scaled_and_not_clipped(suffix, order):
    values = np.arange(65536).reshape(256, 256)
    mine = decoded(encoded(Image.fromarray(values.astype(order)), suffix))
    close(mine, grey(np.round(values / 257).astype(np.uint8)))


def test_12_bit_grey_is_scaled_by_its_own_white():
    row = bytes([0xFF, 0xF0, 0x00, 0x80, 0x0F, 0xFF])  # four values of 12 bits: 4095, 0, 2048, 4095
    close(decoded(tiff(width=4, height=1, bits=12, data=row)), grey(np.array([[255, 0, 128, 255]], np.uint8)))


def tiff(width: int, height: int, bits: int, data: bytes) -> bytes:
    """An uncompressed grey TIFF, written by hand because Pillow does not write 12 bits."""
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: len(data)}
    data += b"\0" * (len(data) % 2)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + b"\0" * 4


def test_16_bit_colour_keeps_its_high_bytes(smooth):
    pixels = smooth(5, 7)
    rows = b"".join(b"\0" + np.stack([row, row], axis=2).tobytes() for row in pixels)  # value v as v * 257
    close(decoded(png(7, 5, depth=16, kind=2, rows=rows)), pixels)


def png(width: int, height: int, depth: int, kind: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG written by hand, for what Pillow does not write."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("suffix", ["PNG", "TIFF"])
def test_grey_with_alpha_is_composited_on_white(suffix):
    image = Image.fromarray(np.full((4, 4), 100, np.uint8))
    image.putalpha(Image.fromarray(np.array([[0, 255, 128, 51]] * 4, np.uint8)))
    assert image.mode == "LA"
    close(decoded(encoded(image, suffix)), grey(np.array([[255, 100, 177, 224]] * 4, np.uint8)), tolerance=1)


@pytest.mark.parametrize("suffix", ["PNG", "TIFF", "WEBP"])
def test_rgba_is_composited_on_white(suffix):
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0] = [[200, 0, 0, 255], [7, 8, 9, 0], [0, 0, 0, 127]]
    content = encoded(pixels, suffix, **({"lossless": True, "exact": True} if suffix == "WEBP" else {}))
    close(decoded(content), np.array([[[200, 0, 0], [255, 255, 255], [128, 128, 128]]], np.uint8), tolerance=1)


def test_opaque_rgba_is_kept_exactly(smooth):
    image = Image.fromarray(smooth(8, 8))
    image.putalpha(255)
    close(decoded(encoded(image, "PNG")), smooth(8, 8))


@pytest.fixture
def palette() -> Image.Image:
    """Three pixels: red, green, blue."""
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    assert image.mode == "P"
    return image


@pytest.mark.parametrize("suffix", ["PNG", "GIF", "TIFF", "BMP"])
def test_palette_is_looked_up(palette, suffix):
    close(decoded(encoded(palette, suffix)), np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8))


@pytest.mark.parametrize("suffix", ["PNG", "GIF"])
def test_transparent_palette_entry_becomes_white(palette, suffix):
    content = encoded(palette, suffix, transparency=1)
    close(decoded(content), np.array([[[255, 0, 0], [255, 255, 255], [0, 0, 255]]], np.uint8))


def test_palette_with_alpha_per_entry_is_composited_on_white(palette):
    content = encoded(palette, "PNG", transparency=bytes([255, 0, 127]))
    close(decoded(content), np.array([[[255, 0, 0], [255, 255, 255], [128, 128, 255]]], np.uint8), tolerance=1)


def test_colour_key_becomes_white():
    pixels = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    expected = np.array([[[255, 255, 255], [4, 5, 6]]], np.uint8)
    close(decoded(encoded(pixels, "PNG", transparency=(1, 2, 3))), expected)


def test_grey_keys_become_white():
    close(decoded(encoded(np.array([[7, 9]], np.uint8), "PNG", transparency=7)), grey(np.array([[255, 9]], np.uint8)))
    rows = b"\0" + struct.pack(">HH", 1000, 257 * 9)
    content = png(2, 1, depth=16, kind=0, rows=rows, extra=chunk(b"tRNS", struct.pack(">H", 1000)))
    close(decoded(content), grey(np.array([[255, 9]], np.uint8)))


def test_cmyk_tiff_becomes_rgb():
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 255, 0], [0, 0, 0, 255]]], np.uint8)
    expected = np.array([[[255, 255, 255], [0, 255, 255], [255, 0, 0], [0, 0, 0]]], np.uint8)
    close(decoded(encoded(Image.fromarray(inks, "CMYK"), "TIFF")), expected)


def test_adobe_cmyk_jpeg_is_not_negative():
    inks = np.broadcast_to(np.uint8([0, 200, 200, 0]), (16, 16, 4)).copy()  # red
    content = encoded(Image.fromarray(inks, "CMYK"), "JPEG", quality=95)
    assert b"Adobe" in content[:100]
    assert Image.open(io.BytesIO(content)).mode == "CMYK"
    close(decoded(content), np.broadcast_to(np.uint8([255, 55, 55]), (16, 16, 3)), tolerance=4)


def test_lab_tiff_becomes_srgb():
    # L in 0 … 255 for 0 … 100, a and b signed; white, middle grey, and the primaries of sRGB (D50) from tables.
    lab = np.array([[[255, 0, 0], [136, 0, 0], [138, 81, 70], [224, -79, 81], [75, 68, -112]]])
    rgb = np.array([[[255, 255, 255], [127, 127, 127], [255, 0, 0], [0, 255, 0], [0, 0, 255]]])
    content = encoded(Image.frombytes("LAB", (5, 1), (lab & 255).astype(np.uint8).tobytes()), "TIFF")
    assert bytes([224, 256 - 79, 81]) in content  # signed in the file, as TIFF wants it
    close(decoded(content), rgb, tolerance=24)  # one step of a or b is that much at a dark end of sRGB


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(orientation, suffix):
    upright = np.full((16, 32, 3), 40, np.uint8)
    upright[:8, :16] = 220  # bright top left quarter of a wide picture
    turn_back = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}.get(
        orientation,
        pictures._UPRIGHT.get(orientation),  # the others are their own inverse
    )
    stored = Image.fromarray(upright) if turn_back is None else Image.fromarray(upright).transpose(turn_back)
    exif = Image.Exif()
    exif[0x0112] = orientation
    close(decoded(encoded(stored, suffix, exif=exif)), upright, tolerance=12 if suffix in ("JPEG", "WEBP") else 0)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff"])
@pytest.mark.parametrize("suffix", ["PNG", "JPEG", "WEBP"])
def test_broken_exif_does_not_cost_the_picture(smooth, suffix, exif):
    pixels = smooth(16, 16)
    best = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(suffix, {})
    close(decoded(encoded(pixels, suffix, exif=exif, **best)), pixels, tolerance=8)


@pytest.mark.parametrize("suffix", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_an_animation_is_taken(suffix):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    content = encoded(frames[0], suffix, save_all=True, append_images=frames[1:])
    assert Image.open(io.BytesIO(content)).n_frames == 3
    close(decoded(content), np.asarray(frames[0]), tolerance=2)


# What cannot be read


def reason(content: bytes) -> str:
    with pytest.raises(PictureError) as caught:
        decode(content)
    return str(caught.value)


def test_empty_file_is_named_so():
    assert reason(b"") == "empty file (0 bytes)"


@pytest.mark.parametrize("content", [b"\0", b"hello, I am a text", b"<html>", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture_gets_a_reason_that_is_the_same_every_time(content):
    assert reason(content) == reason(content) == f"not a picture ({', '.join(FORMATS)} can be read)"


@pytest.mark.parametrize("suffix", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated_file_is_refused(smooth, suffix, share):
    content = encoded(smooth(64, 64), suffix)
    decode(content)
    assert reason(content[: int(len(content) * share)])


def test_png_with_a_wrong_checksum_is_refused(smooth):
    content = bytearray(encoded(smooth(64, 64), "PNG"))
    content[len(content) // 2] ^= 0xFF
    assert "damaged" in reason(bytes(content))


def test_decompression_bomb_is_refused_before_it_is_decoded(monkeypatch):
    content = png(20_000, 20_000, depth=8, kind=0, rows=b"")
    assert "400000000" in reason(content)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 99)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    assert "10x10 pixels" in reason(encoded_bmp())


def encoded_bmp() -> bytes:
    row = b"\0" * 32
    size = 54 + 10 * len(row)
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", size, 0, 0, 54, 40, 10, 10, 1, 24, 0, 0, 0, 0, 0, 0) + row * 10


def test_large_pictures_pass_without_a_warning(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)  # Pillow warns from here, and refuses from twice as much
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(encoded_bmp()).size == (10, 10)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_32_bit_pixels_are_refused(dtype):
    assert "no agreed white" in reason(encoded(np.ones((4, 4), dtype), "TIFF"))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"]), st.data())
def test_damaged_bytes_give_a_picture_or_a_reason_and_nothing_else(suffix, data):
    content = bytearray(encoded(np.tile(RAMP, (2, 2)), suffix))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert decode(bytes(content)).mode == "RGB"
    except PictureError as error:
        assert " at 0x" not in str(error)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("a.png", True), ("b/A.JPEG", True), ("a.tif", True), ("a.txt", False), ("png", False), (".a.png", False)],
)
def test_pictures_are_known_by_their_suffix(name, wanted):
    assert is_picture_name(name) is wanted


# Sizes, metadata and memory that Pillow, or a machine, would stumble over


@pytest.mark.parametrize(("width", "height"), [(65500, 1), (1, 65500), (2**31 - 1, 1), (16385, 16)])
def test_a_thin_picture_is_not_padded_to_gigabytes(monkeypatch, width, height):
    monkeypatch.setattr(np, "pad", lambda *args, **options: pytest.fail("padded"))
    with pytest.raises(PictureError, match="pixels"):
        pictures.load_picture(thin(width, height), resolution=16, resize_filter="area", nonsquare="pad")


def thin(width: int, height: int) -> bytes:
    """One bit a pixel, all black: hundreds of bytes at most."""
    packed = zlib.compressobj(9)
    row = b"\0" * (1 + -(-min(width, 1 << 20) // 8))
    data = b"".join(packed.compress(row) for _ in range(height)) + packed.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_cropped_it_is_read():
    pixels, side = pictures.load_picture(thin(65500, 1), resolution=16, resize_filter="area", nonsquare="crop")
    assert (pixels.shape, side) == ((16, 16, 3), 1)


@pytest.mark.parametrize("nonsquare", ["crop", "pad"])
def test_pillows_own_limit_is_not_ours(monkeypatch, nonsquare):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # Pillow refuses from twice as much
    pixels, side = pictures.load_picture(encoded_bmp(), resolution=10, resize_filter="area", nonsquare=nonsquare)
    assert (pixels.shape, side) == ((10, 10, 3), 10)
    wide = encoded(np.zeros((9, 12, 3), np.uint8), "PNG")
    pictures.load_picture(wide, resolution=9, resize_filter="area", nonsquare=nonsquare)
    assert Image.MAX_IMAGE_PIXELS == 20


TEXT = b"Comment\0" + b"x" * 2_000_000


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(TEXT)),
        chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(TEXT)),
        chunk(b"tEXt", TEXT) * 40,
        chunk(b"iCCP", b"Profile\0\0" + zlib.compress(TEXT)),
        chunk(b"iCCP", b"Profile\0\1rubbish"),
        chunk(b"tEXt", b"Comment\0x")[:-1] + b"?",
        chunk(b"eXIf", b"rubbish"),
    ],
    ids=[
        "compressed text",
        "international text",
        "80 MB of text",
        "profile",
        "bad profile",
        "bad sum of a text",
        "exif",
    ],
)
def test_metadata_do_not_cost_a_png(extra):
    content = png(2, 1, depth=8, kind=0, rows=bytes([0, 7, 9]), extra=extra)
    close(decoded(content), grey(np.array([[7, 9]], np.uint8)))


def test_a_picture_without_memory_for_it_is_unreadable(monkeypatch):
    def full(*args, **options):
        raise MemoryError

    monkeypatch.setattr(pictures, "_to_rgb", full)
    assert reason(encoded_bmp()) == "there is not enough memory to decode it"


def test_a_reason_names_no_place_in_memory(monkeypatch):
    def spoiled(*args, **options):
        raise OSError("cannot identify <_io.BytesIO object at 0x7f11>")

    monkeypatch.setattr(Image, "open", spoiled)
    assert reason(encoded_bmp()) == "damaged: OSError: cannot identify the file"
