"""Settings of the C library for freed memory, which decide a third of a small step's time on a CPU."""

from __future__ import annotations

import ctypes
import sys

# glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
NEVER = -1


def compute_in_calling_thread() -> None:
    """Lets XLA's CPU backend run programs in the thread that calls them; to be called before JAX's backends start.

    JAX hands them to a thread of its own otherwise, and what such a thread allocates lies in a glibc arena of at most 64 MiB:
    larger temporaries are mapped afresh at every call, whatever `keep_freed_memory` says. The main thread's heap has no such
    limit. Programs over several devices have threads of their own in any case. Nothing but speed changes.
    """
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)


def keep_freed_memory() -> bool:
    """Keeps freed memory in the process instead of giving it back to the system; false where the C library cannot.

    XLA's CPU backend allocates the temporaries of a program anew at every call. glibc maps such large blocks afresh each
    time, and the system fills every page with zeros.
    One arena, because ever different threads ask for several devices' blocks. Nothing but speed changes.

    Call it after compiling. The memory that the compiler freed goes back to the system first: kept, it would fragment the
    heap and slow every step.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    mallopt = getattr(libc, "mallopt", None)
    if mallopt is None:  # musl
        return False
    libc.malloc_trim(0)
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER), (M_ARENA_MAX, 1))
    return all(mallopt(name, value) == 1 for name, value in settings)
