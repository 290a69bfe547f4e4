"""Text from strangers' files on a terminal: no control characters, no passwords, any encoding.

A file's name, a model's description or an error that quotes either may hold terminal escapes, which rename the window or
hide what was said before. A stage and a command therefore print through `plain_output`.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import re
import sys
from collections.abc import Iterator
from typing import Any

# What a stream may not hold: C0 and C1 controls but for tab, newline and carriage return (progress lines), and what turns
# the direction of writing or hides (bidirectional controls, zero-width and line separators, tags).
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_LINE_END = re.compile(r"[\n\r\t]")

_USER = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)(?P<user>[^\s/?#\"'<>]*)@", re.IGNORECASE)
_SECRET = re.compile(
    r"(?P<key>[?&;](?:[a-z0-9._-]*(?:token|secret|passw(?:or)?d|passwd|signature|credential|api[-_]?key)|pwd|sig|auth|key)=)"
    r"[^\s&;#\"'<>]+",
    re.IGNORECASE,
)

# What our own messages hold beyond ASCII, for a terminal that cannot show it.
_NEAREST = {
    "…": "...", "–": "-", "—": "-", "−": "-", "‑": "-", "→": "->", "←": "<-", "×": "x", "±": "+-", "·": "*", "•": "*",
    "≥": ">=", "≤": "<=", "≈": "~", "°": " deg", "²": "^2", "«": '"', "»": '"', "“": '"', "”": '"', "‘": "'", "’": "'",
    "━": "-", "─": "-", "│": "|", "\u00a0": " ", "\u202f": " ", "✓": "ok",
}  # fmt: skip
_HANDLER = "sg3x.nearest"


def one_line(text: str) -> str:
    """The text on one line, without passwords; control characters are shown as `\\x1b`.

    For values out of files; a message of several lines goes through `plain_output` alone.
    """
    return _LINE_END.sub(_escaped, _plain(text))


def without_passwords(text: str) -> str:
    """The text with `***` for the user and password of every URL in it, and for keys that its query hands over."""
    return _SECRET.sub(r"\g<key>***", _USER.sub(r"\g<scheme>***@", text))


@contextlib.contextmanager
def plain_output() -> Iterator[None]:
    """Whatever the block prints is plain: see `one_line`, with line ends as they are.

    A terminal that is not UTF-8 gets the nearest ASCII, and never an error.
    """
    codecs.register_error(_HANDLER, _nearest)
    with contextlib.ExitStack() as undo:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            # A stream that wraps another stays the one that the program sees.
            place, key = (
                (stream, "stream") if isinstance(getattr(stream, "stream", None), io.TextIOBase) else (sys, name)
            )
            inner = getattr(place, key)
            if inner is None:  # the descriptor is closed: print drops its text
                continue
            if isinstance(inner, io.TextIOWrapper):
                inner.reconfigure(errors=_HANDLER)
            setattr(place, key, _PlainStream(inner))
            undo.callback(setattr, place, key, inner)
        yield


class _PlainStream:
    """A text stream whose `write` makes the text plain; all else is the stream's."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(_plain(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    @property
    def rich_proxied_file(self) -> Any:
        """The stream of rich's tables and help: its colours are escapes, and its texts pass through `one_line` before."""
        return self.stream

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":  # bytes would pass unseen; typer would write them to a terminal that is not UTF-8
            raise AttributeError(name)
        return getattr(self.stream, name)


def _plain(text: str) -> str:
    return _CONTROL.sub(_escaped, without_passwords(text))


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def _nearest(error: UnicodeError) -> tuple[str, int]:
    """The codecs' way to ask what to write for text that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_NEAREST.get(letter) or _as_ascii(letter) for letter in lost), error.end


def _as_ascii(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode()
