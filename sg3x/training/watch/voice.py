"""Output of a trainer that never ends it: lines that have nowhere to go are dropped, and a closed pipe is a wish to stop."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO


class Voice:
    """A text stream that writes as long as somebody takes it, and drops what comes after.

    `gone` says what went wrong first; `when_closed` is called once if that was a closed pipe (`... | head`): nobody listens
    any more. A terminal that is gone, a full disk below a log or a closed descriptor stop nothing.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.gone: OSError | ValueError | None = None
        self.when_closed: Callable[[], object] = lambda: None

    def write(self, text: str) -> int:
        if self.gone is None:
            try:
                self.stream.write(self._writable(text))
            except (OSError, ValueError) as error:
                self._drop(error)
        return len(text)

    def flush(self) -> None:
        if self.gone is None:
            try:
                self.stream.flush()
            except (OSError, ValueError) as error:
                self._drop(error)

    @property
    def closed_pipe(self) -> bool:
        """True if the reader went away."""
        return isinstance(self.gone, OSError) and self.gone.errno == errno.EPIPE

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _writable(self, text: str) -> str:
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        return text.encode(encoding, "replace").decode(encoding)  # a terminal that has no "…" gets a "?"

    def _drop(self, error: OSError | ValueError) -> None:
        self.gone = error
        # What is still buffered, and what libraries write to the descriptor themselves, has to go somewhere too.
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)
        if self.closed_pipe:
            self.when_closed()


@contextlib.contextmanager
def unbroken_output(when_closed: Callable[[], object] | None = None) -> Iterator[None]:
    """Inside the block, writing to stdout or stderr never fails; `when_closed` is told that stdout's reader went away."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (
        stream if stream is None or isinstance(stream, Voice) else Voice(stream) for stream in before
    )
    voice, heard = sys.stdout, None
    if when_closed is not None and isinstance(voice, Voice):
        heard, voice.when_closed = voice.when_closed, when_closed
        if voice.closed_pipe:
            when_closed()
    try:
        yield
    finally:
        if heard is not None and isinstance(voice, Voice):
            voice.when_closed = heard
        sys.stdout, sys.stderr = before
