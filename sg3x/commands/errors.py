"""Foreseeable problems of a command as one line and exit status 1."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import typer


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """What a user can mend is `error: ...`, not a traceback; SG3X_DEBUG in the environment shows it all the same."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(130) from None
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        if os.environ.get("SG3X_DEBUG") or isinstance(error, typer.Exit):
            raise
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
