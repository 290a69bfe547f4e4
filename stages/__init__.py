"""One thin script per DVC stage, run as `python3 -m stages.NAME`."""

import importlib.util
import sys

from sg3x.files.lifeline import remember_ancestors

remember_ancestors()  # before the imports of a stage, which take seconds

if importlib.util.find_spec("jax") is None:
    sys.exit(
        "error: this Python has none of sg3x's packages. Activate the project's environment first "
        "(. .venv/bin/activate), or run `make setup` to create it."
    )
