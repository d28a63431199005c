"""What the agent can do. A tool that was not let fails with an exception."""

import http.client
import json
import os
import socket
import struct
import subprocess
from urllib.parse import urlsplit

import dbus

PATIENCE = 60  # seconds
AGENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "agent.py")


def command(argv: list[str], text: str = "") -> None:
    """Runs a program."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode != 0:
        raise RuntimeError(f"status {done.returncode}: {(done.stderr or done.stdout).strip()}")


def _request(method: str, url: str, body: bytes | None) -> bytes:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    connection.request(method, parts.path, body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{url}: {answer.status} {answer.reason}")
    return content


def get(url: str) -> bytes:
    return _request("GET", url, None)


def post(url: str) -> bytes:
    return _request("POST", url, json.dumps({"model": "demo", "text": "what next?"}).encode())


def download(url: str, path: str) -> None:
    with open(path, "wb") as file:
        file.write(get(url))
    os.chmod(path, 0o755)


def grandchild_posts(url: str) -> None:
    _by_grandchild("post", url)


def grandchild_gets(url: str) -> None:
    _by_grandchild("get", url)


def _by_grandchild(tool: str, url: str) -> None:
    """This Python starts a shell, which starts another Python."""
    script = '"$0" -B "$1" "$2" "$3"; exit $?'  # two commands, so that the shell stays
    arguments = ["/usr/bin/python3", AGENT, tool, json.dumps({"url": url})]
    command(["/bin/sh", "-c", script, *arguments])


def daemon_posts(url: str) -> None:
    _by_daemon(lambda: post(url))


def daemon_gets(url: str) -> None:
    _by_daemon(lambda: get(url))


def _by_daemon(action) -> None:
    """A process in a session (setsid) of its own and without its parent acts."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        middle = os.getpid()
        if os.fork() == 0:
            os.close(reader)
            while os.getppid() == middle:
                os.sched_yield()
            os.write(writer, _outcome(action))
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with open(reader) as outcome:
        said = outcome.read()
    if said != "done":
        raise RuntimeError(f"the daemon says: {said}")


def _outcome(action) -> bytes:
    try:
        action()
        return b"done"
    except Exception as error:
        return f"{type(error).__name__}: {error}".encode()


def datagram(host: str, port: int, text: str) -> None:
    """Sends a datagram and waits for its echo."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(PATIENCE)
        sender.sendto(text.encode(), (host, port))
        sender.recv(2048)


def fast_open(host: str, port: int) -> None:
    """Data in the first packet, and no connect(2)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
        # A timeout of Python's own makes a socket that does not block, and this call then fails.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", PATIENCE, 0))
        stream.sendto(b"GET /fast-open HTTP/1.0\r\n\r\n", socket.MSG_FASTOPEN, (host, port))
        _expect(stream)


def greet(name: str) -> None:
    """Connects to a unix socket at a path or an @abstract name."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(PATIENCE)
        stream.connect("\0" + name[1:] if name.startswith("@") else name)
        _expect(stream)


def _expect(stream: socket.socket) -> None:
    if not stream.recv(2048):
        raise RuntimeError("the other side said nothing")


def syslog(path: str, text: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(f"<13>enforcer-demo: {text}".encode(), path)


def netlink() -> None:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()


def echo(host: str) -> None:
    """Data in an ICMP echo request, and its answer."""
    header = bytes([8, 0, 0, 0, 0, 1, 0, 1])
    packet = header + b"secret!!"
    total = sum(int.from_bytes(packet[i : i + 2], "big") for i in range(0, len(packet), 2))
    total = (total & 0xFFFF) + (total >> 16)
    packet = packet[:2] + (0xFFFF - total).to_bytes(2, "big") + packet[4:]
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.settimeout(PATIENCE)
        raw.sendto(packet, (host, 0))
        raw.recv(2048)


def start_unit(path: str, bus: bool, unit: str) -> None:
    dbus.start_unit(path, bus, unit)


