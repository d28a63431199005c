"""Network namespaces: making them, wiring them, and making sockets inside them."""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator

CLONE_NEWNET = 0x40000000
PREFIX = "enforcer-demo-"
AGENT = "agent"

_libc = ctypes.CDLL(None, use_errno=True)


def make(name: str) -> None:
    subprocess.run(["ip", "netns", "add", PREFIX + name], check=True, capture_output=True, text=True)
    configure(name, ["link set lo up"])


def remove(name: str) -> None:
    subprocess.run(["ip", "netns", "delete", PREFIX + name], check=False, capture_output=True)


def configure(name: str, lines: list[str]) -> None:
    """Runs commands of ip(8) inside the namespace."""
    command = ["ip", "-netns", PREFIX + name, "-batch", "-"]
    subprocess.run(command, input="\n".join(lines) + "\n", check=True, capture_output=True, text=True)


@contextlib.contextmanager
def entered(name: str) -> Iterator[None]:
    """This thread's new sockets and processes belong to the namespace meanwhile."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(f"/run/netns/{PREFIX}{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(there)
        yield
    finally:
        _enter(here)
        os.close(here)
        os.close(there)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"cannot enter a network namespace: {os.strerror(error)}")
