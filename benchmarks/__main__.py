"""Benchmarks, each against its baselines in one run: `make bench` (minutes), `python -m benchmarks --full` (an hour).

Several names run one after the other, each in a process of its own: what one has compiled lies in no other's memory.
"""

import argparse
import importlib
import os
import subprocess
import sys

from sg3x.allocator import compute_in_calling_thread

NETWORKS = ("generator", "discriminator", "step")
NAMES = ("filtered_lrelu", "modulated_conv", *NETWORKS, "augmentation", "scaling", "reading", "tpu_static")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(NAMES)}; none: all but tpu_static")
    parser.add_argument("--full", action="store_true", help="larger shapes, more rounds")
    given = parser.parse_args()
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"{', '.join(sorted(unknown))}: no benchmark; there are {', '.join(NAMES)}")
    # Before torch starts its threads: on a busy machine a thread that waits by spinning would count as work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    compute_in_calling_thread()  # as the stages do
    names = given.names or NAMES[:-1]
    if len(names) > 1:
        for name in names:
            subprocess.run([sys.executable, "-m", "benchmarks", name, *["--full"] * given.full], check=True)
    elif names[0] in NETWORKS:
        importlib.import_module("benchmarks.networks").measure(names[0], given.full)
    else:
        importlib.import_module(f"benchmarks.{names[0]}").main(given.full)


if __name__ == "__main__":
    main()
