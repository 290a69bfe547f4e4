"""One thin script per DVC stage, run as `python3 -m stages.NAME`."""

import importlib.util
import sys

from sg3x.files.lifeline import remember_ancestors

remember_ancestors()  # before the imports of a stage, which take seconds


def _say_interrupted(kind, error, trace) -> None:
    """Ctrl-C while a stage's packages are being imported, before `stages.common.main` looks after it."""
    if issubclass(kind, KeyboardInterrupt):
        print("\ninterrupted before the stage began: nothing was changed", file=sys.stderr, flush=True)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _say_interrupted

if importlib.util.find_spec("jax") is None:
    sys.exit(
        "error: this Python has none of sg3x's packages. Activate the project's environment first "
        "(. .venv/bin/activate), or run `make setup` to create it."
    )
