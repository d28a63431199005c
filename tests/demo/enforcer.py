"""The product, by its command line."""

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

from plan import Expect

AGENT = "coding-agent"
LOSSES = ("audit-denied", "denials-dropped", "events-dropped", "forks-denied")
Record = dict[str, Any]


def call(*arguments: str) -> str:
    command = ["enforcer", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def apply(policy: Path) -> str:
    """Tests the policy and puts it in force."""
    if _in_force() and json.loads(call("--output", "json", "policy", "plan", str(policy)))["changes"]:
        raise RuntimeError(f"an agent {AGENT} with another policy is in force here, and is not replaced")
    call("policy", "test", "--on-host", str(policy))
    call("policy", "apply", str(policy))
    facts = _in_force()
    counts = ", ".join(f"{facts[what]} {what}" for what in ("rules", "executables", "destinations"))
    return (
        f"Policy {policy}: its examples hold, and it is in force:\n"
        f"  agent {AGENT}, generation {facts['generation']}, {counts}"
    )


def _in_force() -> dict[str, Any]:
    policies = json.loads(call("--output", "json", "policy", "list"))
    return next((each for each in policies if each["agent"] == AGENT), {})


def session_of(pid: int) -> str | None:
    """The session whose first process is `pid`."""
    sessions = json.loads(call("--output", "json", "session", "list"))
    return next((each["id"] for each in sessions if each["pid"] == pid), None)


def save_records(path: Path) -> int:
    """Leaves every record of the log in `path`; says how many."""
    text = call("--output", "json", "log", "show")
    path.write_text(text)
    return len(text.splitlines())


def losses() -> list[str]:
    """What the kernel or the log says it lost."""
    status = json.loads(call("--output", "json", "status"))
    lost = {name: count for name, count in status["counters"].items() if name in LOSSES and count}
    if status["log"]["gaps"]:
        lost["gaps"] = status["log"]["gaps"]
    return [f"the enforcer counts {count} {name}" for name, count in lost.items()]


def target(record: Record) -> str:
    """What was acted on, as policies write it."""
    kind = record["metadata"]["event_code"]
    if kind == "exec":
        return str(record["process"]["file"].get("path"))
    if kind == "socket":
        return str(record["connection_info"]["protocol_name"])
    endpoint = record.get("dst_endpoint", {})
    if "ip" not in endpoint:
        return str(endpoint.get("name"))
    host = f"[{endpoint['ip']}]" if ":" in endpoint["ip"] else endpoint["ip"]
    info = record["connection_info"]
    return f"{info.get('protocol_name', info.get('protocol_num'))}:{host}:{endpoint['port']}"


def actor(record: Record) -> Record:
    return record.get("actor", {}).get("process", {})


def rule(record: Record) -> str | None:
    return record.get("firewall_rule", {}).get("uid")


class Evidence:
    """The records of one session as they are written."""

    def __init__(self, session: str) -> None:
        self.session = session
        self.records: list[Record] = []
        self.claimed: set[int] = set()
        self._changed = threading.Condition()
        command = ["enforcer", "--output", "json", "log", "follow", "--tail", "10000", "--session", session]
        self._follower = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()

    def claim(self, expect: Expect, patience: float = 60, doubt: float = 5) -> Record | None:
        """The decision that a step led to: the expected one, else another about its target."""

        def there(whole: bool) -> bool:
            return self._first(expect, whole) is not None

        with self._changed:
            self._changed.wait_for(lambda: there(whole=False), patience)
            if there(whole=False):
                self._changed.wait_for(lambda: there(whole=True), doubt)
            found = self._first(expect, whole=True)
            if found is None:
                found = self._first(expect, whole=False)
                if found is None:
                    return None
            self.claimed.add(found)
            return self.records[found]

    def await_end(self, patience: float = 60) -> bool:
        """Waits for the record of the session's end, which is its last one."""

        def ended() -> bool:
            return any(record["metadata"]["event_code"] == "session-end" for record in self.records)

        with self._changed:
            return self._changed.wait_for(ended, patience)

    def close(self) -> None:
        self._follower.terminate()
        self._follower.wait()

    def _first(self, expect: Expect, whole: bool) -> int | None:
        for index, record in enumerate(self.records):
            if index not in self.claimed and _is_about(record, expect):
                if not whole or _is_verdict(record, expect):
                    return index
        return None

    def _read(self) -> None:
        assert self._follower.stdout
        for line in self._follower.stdout:
            with self._changed:
                self.records.append(json.loads(line))
                self._changed.notify_all()


def _is_about(record: Record, expect: Expect) -> bool:
    if record["metadata"]["event_code"] not in expect.kinds or target(record) != expect.target:
        return False
    return expect.by is None or actor(record).get("file", {}).get("path") == expect.by


def _is_verdict(record: Record, expect: Expect) -> bool:
    given = record["unmapped"]
    same = given["verdict"] == expect.verdict and given["reason"] == expect.reason
    return same and rule(record) == expect.rule
