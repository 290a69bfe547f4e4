"""Foreseeable problems of a command as one line and exit status 1."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar

import typer

INTERRUPTED = 130  # as shells count SIGINT

command: ContextVar[str] = ContextVar("command", default="sg3x")
"""The command that runs, as `sg3x info`: what an interruption names."""


@contextlib.contextmanager
def one_line_errors(about: object = None) -> Iterator[None]:
    """Errors that a user can mend become `error: ...`; SG3X_DEBUG in the environment shows the traceback too.

    Args:
        about: the file or folder that the command works on; named where an error does not say what it is of.
    """
    try:
        yield
    except KeyboardInterrupt as stopped:
        typer.echo(f"\ninterrupted: {str(stopped) or _named(about)}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except (ValueError, OSError, RuntimeError, ImportError, MemoryError) as error:
        # Of a closed pipe, as in `sg3x info x | head -3`, typer says nothing.
        if os.environ.get("SG3X_DEBUG") or isinstance(error, typer.Exit | BrokenPipeError):
            raise
        typer.echo(f"error: {explain(error, about)}", err=True)
        raise typer.Exit(1) from None


def explain(error: BaseException, about: object = None) -> str:
    """The error's message, with what it is of where Python leaves that out."""
    subject = "" if about is None else f"{about}: "
    if isinstance(error, UnicodeDecodeError):
        return f"{subject}text that is not UTF-8 (byte {error.object[error.start]:#04x} at {error.start}): save it as UTF-8"
    if isinstance(error, MemoryError):
        return f"{subject}there is not enough memory for it{f' ({error})' if str(error) else ''}"
    if isinstance(error, RecursionError):
        return f"{subject}it is nested too deeply"
    return str(error) or f"{subject}{type(error).__name__}"


def _named(about: object) -> str:
    """The command as it was called, and what it works on."""
    return command.get() if about is None else f"{command.get()} {about}"
