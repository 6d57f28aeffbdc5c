"""Memory of this process and its children, as the kernel counts it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import psutil


def host_bytes() -> int:
    """Bytes of this process and its loader workers; a page shared by several counts once in all (PSS).

    Where the kernel does not tell shares, resident memory of each is added up, shared pages again and again.
    """
    own = psutil.Process()
    found = 0
    for process in (own, *own.children(recursive=True)):
        try:
            found += _proportional(process.pid) or process.memory_info().rss
        except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError):
            continue
    return found


def gpu_bytes() -> int:
    """Largest memory torch has held on this rank's GPU; 0 without one."""
    cuda = sys.modules.get("torch.cuda")
    initialized = getattr(cuda, "is_initialized", None)  # torch may just be being imported by another thread
    if cuda is None or initialized is None or not initialized():
        return 0
    return int(cuda.max_memory_reserved())


def _proportional(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0
