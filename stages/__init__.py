"""One thin script per DVC stage, run as `python3 -m stages.NAME`."""

import importlib.util
import sys

if importlib.util.find_spec("jax") is None:
    sys.exit(
        "error: this Python has none of sg3x's packages. Activate the project's environment first "
        "(. .venv/bin/activate), or run `make setup` to create it."
    )
