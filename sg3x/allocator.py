"""How the C library keeps freed memory, which decides a third of a small step's time on a CPU."""

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
    time, and the system fills every page with zeros: 20,000 page faults a call at the demo's size. One arena, since several
    devices' blocks are asked for by ever different threads. Nothing but speed changes.

    To be called when what is large has been compiled: from then on blocks lie close together. What the compiler has freed,
    a gigabyte and more, goes back to the system first; kept, it would lie between them, and steps take a quarter longer.
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
