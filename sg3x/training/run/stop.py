"""Requests to stop: signals, a closed pipe, the death of the process that started this one."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence

from sg3x.files.lifeline import ancestors, die_with_parent
from sg3x.training.watch.voice import unbroken_output

INSIST = 3  # so many SIGINTs end the process at once
INSISTING = "A third Ctrl-C ends at once, without saving"
GO_ON = "The last checkpoint is intact: repeat the command (dvc repro) to go on from it"


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop, and saved what it had."""


class StopRequest:
    """Set by SIGTERM, SIGINT, SIGHUP, a closed pipe on stdout or the parent's death; looked at between steps."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.interrupts = 0

    def __bool__(self) -> bool:
        return self.reason is not None

    def set(self, reason: str) -> None:
        if self.reason is None:
            self.reason = reason
            print(f"stopping after this step and saving ({reason}) …", flush=True)

    def signalled(self, number: int) -> None:
        """The first one asks for a stop, later ones are answered; the third SIGINT ends the process at once.

        SIGTERM never does: one stop can bring several, from a group, a launcher and the parent's death.
        """
        name, again = signal.Signals(number).name, bool(self)
        self.interrupts += number == signal.SIGINT
        if self.interrupts >= INSIST:
            print(f"{name} again: ending without saving. {GO_ON}", flush=True)
            os._exit(128 + number)
        self.set(name)
        if again:
            print(f"{name} again: already stopping, progress is being saved, please wait. {INSISTING}", flush=True)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """SIGTERM, SIGINT and SIGHUP ask for a stop instead of killing; a trainer whose `dvc` died does not go on alone.

    So does a closed pipe on stdout. Output that has nowhere to go for other reasons stops nothing.
    """
    request, finished = StopRequest(), threading.Event()
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup's wish is to go on
        numbers.append(signal.SIGHUP)
    previous = {number: signal.signal(number, lambda *_: None) for number in numbers}
    # Python runs handlers between its own instructions, so not while XLA compiles: a thread hears of signals at once.
    heard, told = os.pipe()
    os.set_blocking(told, False)
    previous_told = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    listener = threading.Thread(target=_listen, args=(heard, request, numbers), daemon=True, name="signals")
    listener.start()
    die_with_parent()
    # DVC starts us through a shell, which may live on as our parent when DVC is killed: watch the one above it too.
    threading.Thread(target=_watch_ancestors, args=(request, finished), daemon=True, name="parents").start()
    try:
        with unbroken_output(lambda: request.set("nobody reads the output any more: closed pipe")):
            yield request
    finally:
        finished.set()
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous_told)
        os.close(told)
        listener.join()
        os.close(heard)


def _listen(heard: int, request: StopRequest, numbers: Sequence[int]) -> None:
    while number := os.read(heard, 1):
        if number[0] in numbers:
            request.signalled(number[0])


def _watch_ancestors(request: StopRequest, finished: threading.Event) -> None:
    first = ancestors()
    while not finished.wait(0.5):
        if ancestors() != first:
            request.set("the process that started this one is gone")
            return
