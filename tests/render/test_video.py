"""Videos open elsewhere, show what was given, and are the same bytes in another run."""

import hashlib
import subprocess
import sys
import time

import av
import numpy as np
import pytest
from PIL import Image

from sg3x.render.video import strip, write_gif, write_mp4

WRITERS = {"x.gif": write_gif, "x.mp4": write_mp4}


def moving(count: int = 12, height: int = 32, width: int = 48) -> list[np.ndarray]:
    """A soft ball that goes once around, on a background of another colour."""
    y, x = np.mgrid[:height, :width]
    frames = []
    for angle in 2 * np.pi * np.arange(count) / count:
        ball = np.exp(-((x - width / 2 - 12 * np.cos(angle)) ** 2 + (y - height / 2 - 8 * np.sin(angle)) ** 2) / 40)
        frames.append((ball[..., None] * [200, 90, 40] + [30, 60, 120]).astype(np.uint8))
    return frames


def read_mp4(path) -> tuple[np.ndarray, object]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        about = (stream.codec_context.name, stream.codec_context.pix_fmt, stream.average_rate)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]), about


@pytest.mark.parametrize("name", WRITERS)
def test_same_bytes_at_another_time(name, tmp_path):
    WRITERS[name](tmp_path / name, moving())
    first = (tmp_path / name).read_bytes()
    time.sleep(1.1)
    WRITERS[name](tmp_path / "elsewhere" / name, iter(moving()))
    assert (tmp_path / "elsewhere" / name).read_bytes() == first


def test_same_bytes_in_another_process(tmp_path):
    program = (
        "import sys, numpy as np; from sg3x.render.video import write_gif, write_mp4;"
        "frames = np.random.RandomState(0).randint(0, 256, (9, 64, 64, 3)).astype(np.uint8);"
        "write_gif(sys.argv[1] + '/x.gif', frames); write_mp4(sys.argv[1] + '/x.mp4', frames)"
    )
    digests = []
    for run in "ab":
        (tmp_path / run).mkdir()
        subprocess.run([sys.executable, "-c", program, str(tmp_path / run)], check=True)
        digests.append([hashlib.sha256((tmp_path / run / name).read_bytes()).hexdigest() for name in WRITERS])
    assert digests[0] == digests[1]


def test_mp4_plays_in_browsers_and_shows_the_frames(tmp_path):
    write_mp4(tmp_path / "x.mp4", moving(), fps=24)
    shown, about = read_mp4(tmp_path / "x.mp4")
    assert about == ("h264", "yuv420p", 24)
    assert shown.shape == (12, 32, 48, 3)
    assert np.abs(shown.astype(float) - np.stack(moving())).mean() < 3
    content = (tmp_path / "x.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat") and b"Lavf" not in content


def test_mp4_of_odd_size_is_padded_and_of_many_loops_repeated(tmp_path):
    write_mp4(tmp_path / "x.mp4", moving(5, 31, 45), loops=2)
    shown, _ = read_mp4(tmp_path / "x.mp4")
    assert shown.shape == (10, 32, 46, 3)


def test_gif_loops_forever_and_shows_the_frames(tmp_path):
    write_gif(tmp_path / "x.gif", moving(), fps=20)
    with Image.open(tmp_path / "x.gif") as gif:
        assert (gif.n_frames, gif.info["loop"], gif.info["duration"]) == (12, 0, 50)
        for number, frame in enumerate(moving()):
            gif.seek(number)
            assert np.abs(np.asarray(gif.convert("RGB"), float) - frame).mean() < 4


@pytest.mark.parametrize("name", WRITERS)
def test_enlarged_on_request(name, tmp_path):
    WRITERS[name](tmp_path / name, moving(3), enlarge_to=96)
    with av.open(str(tmp_path / name)) as container:
        assert (container.streams.video[0].height, container.streams.video[0].width) == (64, 96)


def test_strip_shows_frames_evenly():
    frames = [np.full((8, 8, 3), value, np.uint8) for value in range(12)]
    shown = strip(frames, 4)
    assert shown.shape == (10, 37, 3)
    assert [int(shown[5, 1 + 9 * column + 4, 0]) for column in range(4)] == [0, 3, 6, 9]
    assert strip(frames[:2], 4).shape == (10, 19, 3)


@pytest.mark.parametrize("name", WRITERS)
def test_wrong_frames_and_rates_are_named(name, tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        WRITERS[name](tmp_path / name, [])
    with pytest.raises(ValueError, match="allowed is one shape"):
        WRITERS[name](tmp_path / name, [moving(1)[0], moving(1, 16)[0]])
    with pytest.raises(ValueError, match="fps is 0"):
        WRITERS[name](tmp_path / name, moving(2), fps=0)
    assert list(tmp_path.iterdir()) == []


STAGE = """
import hashlib, sys
import numpy as np
from sg3x.allocator import keep_freed_memory
keep_freed_memory()
from sg3x.render.video import write_mp4
rng = np.random.RandomState(0)
base = np.kron(rng.randint(0, 255, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
frames = [np.clip(np.roll(base, 2 * i, 1) + rng.randint(0, 9, base.shape), 0, 255).astype(np.uint8) for i in range(12)]
seen = set()
for round in range(4):
    left = [rng.randint(0, 255, 30_000 + 1_000 * i).astype(np.uint8) for i in range(round * 100)]
    del left
    write_mp4(sys.argv[1], frames)
    seen.add(hashlib.md5(open(sys.argv[1], "rb").read()).hexdigest())
print(len(seen))
"""


def test_what_memory_held_before_decides_no_byte(tmp_path):
    """As in a stage, which keeps freed memory: x264's AVX-512 code reads some of it."""
    done = subprocess.run(
        [sys.executable, "-c", STAGE, str(tmp_path / "x.mp4")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"
