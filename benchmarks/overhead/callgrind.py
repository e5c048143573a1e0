"""Counting the instructions of calls under valgrind: the figure that comes out the same on a busy machine.

Run inside valgrind, by ``instructions.py``. Only what is between ``start`` and ``stop`` is counted, and only then is
valgrind slow; it is told so by a client request, which is a sequence of instructions that does nothing elsewhere.

Source: valgrind 3.19 ``include/valgrind.h``, ``VALGRIND_DO_CLIENT_REQUEST`` for amd64-linux and arm64-linux, and
``callgrind/callgrind.h`` for the requests.
"""

from __future__ import annotations

import ctypes
import mmap
import platform

_CODE = {
    # mov rax, rdi; xor edx, edx; rol rdi, 3; rol rdi, 13; rol rdi, 61; rol rdi, 51; xchg rbx, rbx; mov rax, rdx; ret
    "x86_64": "4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3",
    # mov x4, x0; mov x3, #0; ror x12, x12, #3; #13; #51; #61; orr x10, x10, x10; mov x0, x3; ret
    "aarch64": "e40300aa 030080d2 8c0dcc93 8c35cc93 8ccdcc93 8cf5cc93 4a010aaa e00303aa c0035fd6",
}
MACHINES = tuple(_CODE)
_CALLGRIND = ord("C") << 24 | ord("T") << 16
_ZERO, _DUMP, _START, _STOP = (_CALLGRIND + n for n in (1, 3, 4, 5))


class Callgrind:
    """Tells the valgrind that this process runs in what to count."""

    def __init__(self) -> None:
        code = bytes.fromhex(_CODE[platform.machine()])
        self._code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._code.write(code)
        function = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p)
        self._request = function(ctypes.addressof(ctypes.c_char.from_buffer(self._code)))

    def start(self) -> None:
        """Count from here on, from zero."""
        self._ask(_START)
        self._ask(_ZERO)

    def stop(self, name: str) -> None:
        """Stop counting, and write down what was counted under ``name``."""
        named = ctypes.create_string_buffer(name.encode())
        self._ask(_DUMP, ctypes.addressof(named))
        self._ask(_STOP)

    def _ask(self, request: int, argument: int = 0) -> None:
        words = (ctypes.c_uint64 * 6)(request, argument, 0, 0, 0, 0)
        self._request(ctypes.addressof(words))
