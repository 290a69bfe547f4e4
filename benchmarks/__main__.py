"""Benchmarks, each against its baselines in one run: `make bench` (minutes), `python -m benchmarks --full` (an hour)."""

import argparse
import os

NAMES = ("filtered_lrelu", "modulated_conv", "networks", "augmentation", "scaling", "reading", "tpu_static")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(NAMES)}; none: all but tpu_static")
    parser.add_argument("--full", action="store_true", help="larger shapes, more rounds")
    given = parser.parse_args()
    # Before torch starts its threads: on a busy machine a thread that waits by spinning would count as work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import importlib

    for name in given.names or NAMES[:-1]:
        importlib.import_module(f"benchmarks.{name}").main(given.full)


if __name__ == "__main__":
    main()
