"""The C library keeps what is freed, in a process of its own: settings cannot be taken back."""

import subprocess
import sys

CODE = """
import ctypes, resource
from sg3x.allocator import keep_freed_memory
kept = keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
size = 64 * 2**20
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(ctypes.c_size_t(size))
    ctypes.memset(block, 1, size)
    libc.free(ctypes.c_void_p(block))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
first, again = faults(), faults()
print(int(kept), first, again)
"""


def test_a_block_that_was_freed_is_not_faulted_in_again():
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout
    kept, first, again = map(int, found.split())
    assert again < first / 10 if kept else not sys.platform.startswith("linux") or first > 0
