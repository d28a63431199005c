"""The servers: a real git server, the model's API, the ones nobody may reach, unix listeners."""

import contextlib
import json
import os
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import netns
import plan

EVIL_PORTS = (443, 4444, 8081, 8082, 8083, 8084)


class Ledger:
    """What arrived, by name, and in the order in which it did."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.lines: list[str] = []
        self._lock = threading.Lock()

    def note(self, server: str, kind: str, name: str) -> None:
        with self._lock:
            self.count[f"{kind} {name}"] += 1
            self.lines.append(f"{server}: {kind} {name}")


class Web(ThreadingHTTPServer):
    """An HTTP server in a namespace."""

    daemon_threads = True

    def __init__(self, name: str, host: str, port: int, handler: type["Answer"], ledger: Ledger) -> None:
        self.name = name
        self.ledger = ledger
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with netns.entered(name):
            super().__init__((host, port), handler)

    def server_bind(self) -> None:
        # The inherited one looks the host's name up.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.server_address[:2]


class Answer(BaseHTTPRequestHandler):
    """Notes every request and answers it."""

    server: Web

    def do_GET(self) -> None:
        self.server.ledger.note(self.server.name, "request", self.path.partition("?")[0])
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.reply(body)

    do_POST = do_GET

    def reply(self, _body: bytes) -> None:
        self.send(b"welcome\n")

    def send(self, body: bytes, status: str = "200 OK", kind: str = "text/plain") -> None:
        code, _, phrase = status.partition(" ")
        self.send_response(int(code), phrase)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the ledger has it."""


def model(plans: Callable[[str], bytes], helper: Path) -> type[Answer]:
    """The API: tells the agent what to do, takes its notes, hands a program out."""

    class Model(Answer):
        def reply(self, body: bytes) -> None:
            if self.path.startswith("/v1/plan/"):
                self.send(plans(self.path.removeprefix("/v1/plan/")), kind="application/json")
            elif self.path.startswith("/files/"):
                self.send(helper.read_bytes(), kind="application/octet-stream")
            else:
                self.send(json.dumps({"taken": len(body)}).encode(), kind="application/json")

    return Model


def git(repositories: Path) -> type[Answer]:
    """The git server: git's own `http-backend` behind HTTP, at /PHASE/NAME.git."""

    class Git(Answer):
        def reply(self, body: bytes) -> None:
            path, _, query = self.path.partition("?")
            _, _, below = path.removeprefix("/").partition("/")
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(repositories),
                "GIT_HTTP_EXPORT_ALL": "1",
                "HOME": str(repositories),
                "PATH_INFO": f"/{below}",
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_ADDR": self.client_address[0],
            }
            done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True)
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
            self.send(content, fields.get("Status", "200 OK"), fields.get("Content-Type", "text/plain"))

    return Git


def start(ledger: Ledger, plans: Callable[[str], bytes], helper: Path, repositories: Path,
          stack: contextlib.ExitStack) -> None:
    """Starts every internet server."""
    api = model(plans, helper)
    webs = [
        Web("git", plan.GIT, plan.GIT_PORT, git(repositories), ledger),
        Web("api", plan.API, plan.API_PORT, api, ledger),
        Web("api", plan.API6, plan.API_PORT, api, ledger),
        *(Web("metadata", plan.METADATA, port, Answer, ledger) for port in plan.METADATA_PORTS),
        Web("evil", plan.EVIL6, 443, Answer, ledger),
        *(Web("evil", plan.EVIL, port, Answer, ledger) for port in EVIL_PORTS),
    ]
    for web in webs:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        stack.callback(web.server_close)
        stack.callback(web.shutdown)
    _echo(ledger, "evil", plan.EVIL, 53, stack)
    _echo(ledger, netns.AGENT, plan.RESOLVER, 53, stack)


def listen(ledger: Ledger, name: str, stack: contextlib.ExitStack) -> None:
    """A unix listener at a path that everybody may connect to, or at an @abstract name."""
    with netns.entered(netns.AGENT):  # abstract names belong to a network namespace
        listener = socket.socket(socket.AF_UNIX)
    listener.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
    if not name.startswith("@"):
        os.chmod(name, 0o666)
    listener.listen()
    stack.callback(listener.close)
    threading.Thread(target=_greet, args=(ledger, listener, name), daemon=True).start()


def _greet(ledger: Ledger, listener: socket.socket, name: str) -> None:
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return  # closed
        ledger.note("listener", "greeting", name)
        with contextlib.suppress(OSError), peer:
            peer.sendall(b"welcome\n")


def _echo(ledger: Ledger, name: str, host: str, port: int, stack: contextlib.ExitStack) -> None:
    """A UDP server that sends back what it gets."""
    with netns.entered(name):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((host, port))
    stack.callback(server.close)

    def serve() -> None:
        while True:
            try:
                data, peer = server.recvfrom(2048)
                ledger.note(name, "datagram", data.decode(errors="replace"))
                server.sendto(data, peer)
            except OSError:
                return  # closed

    threading.Thread(target=serve, daemon=True).start()
