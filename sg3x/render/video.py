"""Frames as GIF, MP4 and a still strip; the same bytes for the same frames."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sg3x.files.atomic import atomic_write
from sg3x.render.images import enlarge, image_grid

if TYPE_CHECKING:
    from av.container import OutputContainer

_PALETTE_FRAMES = 32  # frames that the GIF's palette is taken from


def write_gif(path: Path, frames: Iterable[np.ndarray], *, fps: float = 25.0, enlarge_to: int | None = None) -> None:
    """Writes an endlessly looping GIF.

    Args:
        path: the file.
        frames: uint8[H, W, 3] each, all of one size.
        fps: frames per second; GIF counts in 1/100 s, so the frame's time is rounded to that, at least 2/100.
        enlarge_to: longer side in pixels, by LANCZOS; None, or less than the frames have: as they are.

    Raises:
        ValueError: if there is no frame, their sizes differ, or ``fps`` is not positive.
    """
    _check_fps(fps)
    stack = _stack(frames, enlarge_to)
    # One palette for all frames, and no dithering: both would flicker from frame to frame where nothing moves.
    chosen = stack[np.linspace(0, len(stack) - 1, min(_PALETTE_FRAMES, len(stack))).astype(int)]
    montage = Image.fromarray(chosen.reshape(-1, chosen.shape[2], 3))
    palette = montage.quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=1)
    pictures = [Image.fromarray(f).quantize(palette=palette, dither=Image.Dither.NONE) for f in stack]
    content = io.BytesIO()
    duration = max(20, 10 * round(100 / fps))
    pictures[0].save(
        content, "GIF", save_all=True, append_images=pictures[1:], duration=duration, loop=0, optimize=False
    )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    atomic_write(Path(path), content.getvalue())


def write_mp4(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    fps: float = 25.0,
    enlarge_to: int | None = None,
    crf: int = 18,
    loops: int = 1,
) -> None:
    """Writes an MP4 of H.264 in yuv420p, which every browser plays.

    Frames are taken one by one and not kept, unless they loop.

    One thread, no assembler, no wall clock: two runs with one version of PyAV give the same bytes.

    Args:
        path: the file.
        frames: uint8[H, W, 3] each, all of one size; an odd side is made even by repeating its last row or column.
        fps: frames per second.
        enlarge_to: as for `write_gif`.
        crf: x264's quality, 0 (lossless) to 51; 18 is near to what an eye can tell.
        loops: how often the frames are shown; players need not repeat an MP4.

    Raises:
        ValueError: if there is no frame, their sizes differ, or ``fps``, ``crf`` or ``loops`` is out of range.
    """
    _check_fps(fps)
    if not 0 <= crf <= 51 or loops < 1:
        raise ValueError(f"crf is {crf} and loops is {loops}; allowed are crf 0 to 51 and loops >= 1")
    shown = frames if loops == 1 else list(frames) * loops
    content = _encode(_even(_alike(shown, enlarge_to)), Fraction(fps).limit_denominator(1001), crf)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    atomic_write(Path(path), content)


def _encode(frames: Iterable[np.ndarray], fps: Fraction, crf: int) -> bytes:
    """Frames uint8[H, W, 3] with even sides as the bytes of an MP4."""
    import av

    # bitexact leaves out the muxer's version; faststart puts the index first, so that a page can play while it loads.
    options = {"fflags": "+bitexact", "movflags": "+faststart"}
    # faststart reads back what it has written, which only a real file allows.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "video.mp4")
        with av.open(str(file), "w", format="mp4", options=options) as container:
            _encode_into(container, frames, fps, crf)
        return file.read_bytes()


def _encode_into(container: OutputContainer, frames: Iterable[np.ndarray], fps: Fraction, crf: int) -> None:
    import av

    following = iter(frames)
    first = next(following)
    stream = container.add_stream("libx264", rate=fps)
    stream.height, stream.width, stream.pix_fmt = *first.shape[:2], "yuv420p"
    stream.codec_context.colorspace = 6  # SMPTE 170M: says which matrix made the colours, or players guess by size
    stream.codec_context.thread_count = 1  # slices and look-ahead of more threads depend on their timing
    # x264's assembler for AVX-512 reads memory that nobody wrote, and decides by it: two runs gave two films.
    stream.options = {"crf": str(crf), "preset": "medium", "threads": "1", "x264-params": "asm=0"}
    for picture in chain([first], following):
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    container.mux(stream.encode(None))


def strip(frames: Iterable[np.ndarray], count: int, *, enlarge_to: int | None = None) -> np.ndarray:
    """A still of a video: ``count`` of its frames, evenly spaced, side by side.

    Args:
        frames: uint8[H, W, 3] each, all of one size.
        count: how many to show; all where there are fewer.
        enlarge_to: longer side of each frame in pixels, by LANCZOS.

    Returns:
        uint8[h, w, 3].
    """
    if count < 1:
        raise ValueError(f"the strip has {count} frames; allowed are 1 and more")
    stack = _stack(frames, None)
    count = min(count, len(stack))
    # Of a loop: the frame after the last shown is the first again, at the same distance as between any two.
    shown = stack[np.arange(count) * len(stack) // count]
    return image_grid(shown, count, enlarge_to=enlarge_to)


def _stack(frames: Iterable[np.ndarray], enlarge_to: int | None) -> np.ndarray:
    """uint8[N, H, W, 3] of the frames, enlarged."""
    return np.stack(list(_alike(frames, enlarge_to)))


def _alike(frames: Iterable[np.ndarray], enlarge_to: int | None) -> Iterator[np.ndarray]:
    """The frames uint8[H, W, 3], enlarged, one by one: at least one, all of one shape."""
    expected: tuple[int, ...] | None = None
    for frame in frames:
        picture = enlarge(frame, enlarge_to)
        expected = expected or picture.shape
        if picture.shape != expected or picture.shape[2] != 3:
            raise ValueError(f"frames have the shapes {expected} and {picture.shape}; allowed is one shape [H, W, 3]")
        yield picture
    if expected is None:
        raise ValueError("there are no frames; allowed is at least one frame")


def _even(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Odd sides made even by their last row or column again."""
    for frame in frames:
        yield np.pad(frame, [(0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)], mode="edge")


def _check_fps(fps: float) -> None:
    if not 0 < fps <= 100:
        raise ValueError(f"fps is {fps}; allowed are more than 0 and up to 100 (walk.fps)")
