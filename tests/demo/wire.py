"""The network of the demonstration, and a witness at each server's end of the wire.

    namespace agent --veth--> one namespace a server

The agent's source address differs by phase, so a packet tells by itself which phase it is from,
however late it comes.
"""

import contextlib
import socket
import struct
import threading
from collections import Counter
from ipaddress import IPv6Address

import netns
import plan

FENCE = "fence"
FENCE_PORT = 9
"""Source addresses of the agent's namespace by phase; the fence's are the demonstration's own."""
SOURCES = {
    plan.OUTSIDE: ("10.77.1.1", "fd77:1::1"),
    plan.INSIDE: ("10.77.1.2", "fd77:1::2"),
    FENCE: ("10.77.1.9", "fd77:1::9"),
}
SERVERS = {
    "git": (plan.GIT, None),
    "api": (plan.API, plan.API6),
    "evil": (plan.EVIL, plan.EVIL6),
    "metadata": (plan.METADATA, None),
}

ETH_P_ALL = 3
ETH_P_IP = 0x0800
ETH_P_IPV6 = 0x86DD
SOL_PACKET = 263
PACKET_STATISTICS = 6
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
NEIGHBOUR_DISCOVERY = range(133, 138)

Packet = tuple[str, str, str, int]  # source, protocol, destination, port


class Network:
    """The namespaces and the witnesses."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        for name in (netns.AGENT, *SERVERS):
            netns.remove(name)  # of a run that was killed
            netns.make(name)
            stack.callback(netns.remove, name)
        for name, addresses in SERVERS.items():
            _connect(name, *addresses)
        self.witnesses = {name: Witness(name, stack) for name in SERVERS}

    def use(self, phase: str) -> None:
        """From now on the agent's namespace speaks with the addresses of `phase`."""
        source, source6 = SOURCES[phase]
        lines = []
        for name, (address, address6) in SERVERS.items():
            lines.append(f"route replace {address} dev {name} src {source}")
            if address6:
                lines.append(f"route replace {address6} dev {name} src {source6}")
        netns.configure(netns.AGENT, lines)

    def fence(self) -> None:
        """Waits until every witness has seen a datagram sent now: nothing older is under way."""
        for name, (address, _) in SERVERS.items():
            with netns.entered(netns.AGENT):
                sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with sender:
                sender.bind((SOURCES[FENCE][0], 0))
                self.witnesses[name].fence(sender, address)

    def packets(self, phase: str, trace: str) -> int:
        """Packets of a phase that reached `protocol address port`."""
        protocol, address, port = trace.split()
        sources = SOURCES[phase]
        seen = (witness.seen for witness in self.witnesses.values())
        return sum(each[source, protocol, address, int(port)] for each in seen for source in sources)

    def stray(self, phase: str) -> dict[str, int]:
        """Packets of a phase that reached the servers nobody may reach, whatever they are."""
        return {name: self.witnesses[name].total(SOURCES[phase]) for name in ("evil", "metadata")}


class Witness:
    """Counts every packet that arrives in a namespace, down to a bare SYN."""

    def __init__(self, name: str, stack: contextlib.ExitStack) -> None:
        self.name = name
        self.seen: Counter[Packet] = Counter()
        self._changed = threading.Condition()
        with netns.entered(name):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        stack.callback(self._socket.close)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        threading.Thread(target=self._watch, daemon=True).start()

    def fence(self, sender: socket.socket, address: str) -> None:
        key = (SOURCES[FENCE][0], "udp", address, FENCE_PORT)
        with self._changed:
            before = self.seen[key]
            for _ in range(60):  # the first may be lost while the neighbour is looked up
                sender.sendto(b"fence", (address, FENCE_PORT))
                if self._changed.wait_for(lambda: self.seen[key] > before, timeout=1):
                    break
            else:
                raise RuntimeError(f"no packet comes through to the {self.name} server")
        packets, drops = struct.unpack("II", self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        if drops:
            raise RuntimeError(f"the witness at {self.name} missed {drops} of {packets} packets")

    def total(self, sources: tuple[str, ...]) -> int:
        with self._changed:
            return sum(count for packet, count in self.seen.items() if packet[0] in sources)

    def _watch(self) -> None:
        while True:
            try:
                data, (_, protocol, direction, *_) = self._socket.recvfrom(65536)
            except OSError:
                return  # closed
            packet = _read(protocol, data)
            if packet and direction != socket.PACKET_OUTGOING:
                with self._changed:
                    self.seen[packet] += 1
                    self._changed.notify_all()


def _connect(name: str, address: str, address6: str | None) -> None:
    peer = f"link add {name} type veth peer name eth0 netns {netns.PREFIX}{name}"
    near = [peer, f"link set {name} up"]
    far = [f"address add {address}/32 dev eth0", "link set eth0 up", "route add 10.77.1.0/24 dev eth0"]
    for source, source6 in SOURCES.values():
        near.append(f"address add {source}/32 dev {name}")
        if address6:
            near.append(f"address add {source6}/128 dev {name} nodad")
    near.append(f"route add {address} dev {name}")
    if address6:
        near.append(f"route add {address6} dev {name}")
        far += [f"address add {address6}/128 dev eth0 nodad", "route add fd77:1::/64 dev eth0"]
    netns.configure(netns.AGENT, near)
    netns.configure(name, far)


def _read(protocol: int, data: bytes) -> Packet | None:
    """The packet in short; None for what only finds neighbours."""
    if protocol == ETH_P_IP and len(data) >= 20:
        header, number = (data[0] & 15) * 4, data[9]
        source, target = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
    elif protocol == ETH_P_IPV6 and len(data) >= 40:
        header, number = 40, data[6]
        source, target = str(IPv6Address(data[8:24])), str(IPv6Address(data[24:40]))
    else:
        return None
    if number == 58 and len(data) > header and data[header] in NEIGHBOUR_DISCOVERY:
        return None
    port = 0
    if number in (6, 17) and len(data) >= header + 4:
        port = struct.unpack_from("!H", data, header + 2)[0]
    return source, PROTOCOLS.get(number, str(number)), target, port
