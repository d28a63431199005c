"""As much of D-Bus as it takes to have systemd start a unit (the D-Bus specification)."""

import os
import socket
import struct

PATIENCE = 60  # seconds
METHOD_CALL, METHOD_RETURN, ERROR = 1, 2, 3
PATH, INTERFACE, MEMBER, DESTINATION, SIGNATURE = 1, 2, 3, 6, 8


def start_unit(path: str, bus: bool, unit: str) -> None:
    """Asks the systemd behind the socket, directly or over the bus."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(PATIENCE)
        stream.connect(path)
        _authenticate(stream)
        if bus:
            name = "org.freedesktop.DBus"
            _ask(stream, _call(1, name, "/org/freedesktop/DBus", name, "Hello", []))
        manager = "org.freedesktop.systemd1"
        arguments = [unit, "replace"]
        path = "/org/freedesktop/systemd1"
        _ask(stream, _call(2, manager, path, f"{manager}.Manager", "StartUnit", arguments))


def _authenticate(stream: socket.socket) -> None:
    uid = str(os.getuid()).encode().hex()
    stream.sendall(f"\0AUTH EXTERNAL {uid}\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n"):
        answer += _read(stream, 1)
    if not answer.startswith(b"OK"):
        raise RuntimeError(f"the bus says {answer!r}")
    stream.sendall(b"BEGIN\r\n")


def _ask(stream: socket.socket, message: bytes) -> None:
    """Sends a call and waits for its answer; signals between are not for us."""
    stream.sendall(message)
    while True:
        head = _read(stream, 16)
        body, _, fields = struct.unpack_from("<III", head, 4)
        rest = _read(stream, fields + -fields % 8 + body)
        if head[1] == METHOD_RETURN:
            return
        if head[1] == ERROR:
            raise RuntimeError(f"the bus says {rest[-body:]!r}")


def _call(
    serial: int, destination: str, path: str, interface: str, member: str, arguments: list[str]
) -> bytes:
    fields = b""
    head_fields = (
        (PATH, "o", path),
        (INTERFACE, "s", interface),
        (MEMBER, "s", member),
        (DESTINATION, "s", destination),
    )
    for code, kind, value in head_fields:
        fields = _padded(fields, 8) + bytes([code]) + _signature(kind) + _string(value)
    if arguments:
        fields = _padded(fields, 8) + bytes([SIGNATURE]) + _signature("g") + _signature("s" * len(arguments))
    body = b""
    for argument in arguments:
        body = _padded(body, 4) + _string(argument)
    head = struct.pack("<cBBBIII", b"l", METHOD_CALL, 0, 1, len(body), serial, len(fields))
    return _padded(head + fields, 8) + body


def _string(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode() + b"\0"


def _signature(text: str) -> bytes:
    return bytes([len(text)]) + text.encode() + b"\0"


def _padded(data: bytes, to: int) -> bytes:
    return data + bytes(-len(data) % to)


def _read(stream: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = stream.recv(length - len(data))
        if not more:
            raise RuntimeError("the other side hung up")
        data += more
    return data
