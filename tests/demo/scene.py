"""Everything around the agent: users, files, project, network, servers. All of it goes at the end."""

import contextlib
import grp
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import plan
import servers
from wire import SERVERS, Network

HERE = Path(__file__).resolve().parent
LAUNCH_GROUP = "agents"
UNIT = Path("/run/systemd/system/enforcer-demo@.service")

PROGRAM = """\
#include <fcntl.h>

/* Leaves a mark, so that everybody can see that it ran. */
int main(int argc, char **argv)
{
    return argc != 2 || open(argv[1], O_CREAT | O_WRONLY, 0644) < 0;
}
"""
MAKEFILE = "report: report.c\n\tgcc -O1 -Wall -o report report.c\n"


@dataclass(frozen=True)
class User:
    """Who the agent runs as."""

    name: str
    uid: int
    gid: int
    groups: list[int]


class Scene:
    """The stage of the demonstration."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        if os.geteuid() != 0:
            raise RuntimeError("only root can make network namespaces")
        self._stack = stack
        self.root = User("root", 0, 0, [])
        self.user = self._user()
        self.base = Path(tempfile.mkdtemp(prefix="enforcer-demo-", dir="/var/tmp"))
        stack.callback(shutil.rmtree, self.base, ignore_errors=True)
        self.base.chmod(0o755)
        self.ledger = servers.Ledger()
        self._files()
        self._unit()
        self.network = Network(stack)
        servers.start(self.ledger, self._plan, self.base / "helper", self.base / "srv", stack)

    def enter(self, phase: str) -> None:
        """Makes the stage ready for a phase: fresh homes, its own listeners and addresses."""
        place = self.place(phase, "agent")
        for name in (place.socket(), place.abstract()):
            servers.listen(self.ledger, name, self._stack)
        for act, user in (("agent", self.user), ("root", self.root)):
            home = self.place(phase, act).home
            home.mkdir(parents=True)
            os.chown(home, user.uid, user.gid)
        self.network.use(phase)
        self.network.fence()

    def place(self, phase: str, act: str) -> plan.Place:
        return plan.Place(phase, self.base / phase / act, self.base / "marks")

    def steps(self, phase: str, act: str) -> list[plan.Step]:
        return plan.of(act, self.place(phase, act))

    def settle(self) -> None:
        """Waits until what the agent had under way would have arrived."""
        self.network.fence()
        # systemd does what it is asked in order: what it was asked before is done by now.
        subprocess.run(["systemctl", "start", "enforcer-demo@fence.service"], check=True)
        subprocess.run(["journalctl", "--sync"], check=True)

    def arrivals(self, phase: str, trace: plan.Trace) -> int | None:
        """How often an attempt's target saw it; None where only the agent can tell."""
        if trace.kind == "none":
            return None
        if trace.kind == "packets":
            return self.network.packets(phase, trace.name)
        if trace.kind == "file":
            return int(os.path.exists(trace.name))
        if trace.kind == "journal":
            return _journal_lines(trace.name)
        return self.ledger.count[f"{trace.kind} {trace.name}"]

    def logs(self) -> list[str]:
        """What the servers and the agent's stderr say, for when something went wrong."""
        lines = [f"  {line}" for line in self.ledger.lines]
        for errors in sorted(self.base.glob("*.err")):
            lines += [f"  {errors.name}: {line}" for line in errors.read_text().splitlines()]
        return lines

    def told(self) -> str:
        lines = ["Servers in network namespaces of their own, and the agent in another:"]
        for name, (address, address6) in SERVERS.items():
            both = f"{address} and {address6}" if address6 else address
            lines.append(f"  {name:9} {both}")
        return "\n".join(lines)

    def _user(self) -> User:
        try:
            group = grp.getgrnam(LAUNCH_GROUP).gr_gid
        except KeyError:
            subprocess.run(["groupadd", "--system", LAUNCH_GROUP], check=True)
            self._stack.callback(subprocess.run, ["groupdel", LAUNCH_GROUP], check=False)
            group = grp.getgrnam(LAUNCH_GROUP).gr_gid
        for name in ("agent", "nobody"):
            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(name)
                return User(name, entry.pw_uid, entry.pw_gid, [group])
        raise RuntimeError("this host has no user `agent` and no user `nobody`")

    def _plan(self, name: str) -> bytes:
        phase, _, act = name.partition("/")
        steps = [step.for_the_agent() for step in self.steps(phase, act) if step.tool]
        return json.dumps(steps).encode()

    def _files(self) -> None:
        cached = shutil.ignore_patterns("__pycache__")
        shutil.copytree(HERE / "workload", self.base / "workload", ignore=cached)
        marks = self.base / "marks"
        marks.mkdir()
        marks.chmod(0o1777)
        project = self.base / "project"
        project.mkdir()
        (project / "report.c").write_text(PROGRAM)
        (project / "Makefile").write_text(MAKEFILE)
        (project / "README").write_text("A report.\n")
        _run("gcc", "-O1", "-o", str(self.base / "helper"), str(project / "report.c"))
        who = ("-c", "user.name=Demo", "-c", "user.email=demo@example.com")
        _run("git", "-C", str(project), "init", "--quiet", "--initial-branch=main")
        _run("git", "-C", str(project), "add", ".")
        _run("git", "-C", str(project), *who, "commit", "--quiet", "--message=A report")
        _run("git", "clone", "--quiet", "--bare", str(project), str(self.base / "srv/project.git"))

    def _unit(self) -> None:
        """A service that leaves a mark, for an agent that asks systemd to do what it may not."""
        UNIT.parent.mkdir(parents=True, exist_ok=True)
        mark = f"/usr/bin/touch {self.base}/marks/%i"
        UNIT.write_text(f"[Service]\nType=oneshot\nExecStart={mark}\n")
        self._stack.callback(_forget_unit)
        _run("systemctl", "daemon-reload")


def _forget_unit() -> None:
    UNIT.unlink(missing_ok=True)
    subprocess.run(["systemctl", "daemon-reload"], check=False)


def _journal_lines(text: str) -> int:
    command = ["journalctl", "--quiet", "--no-pager", "--boot", "--output=cat", "--identifier=enforcer-demo"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.splitlines().count(text)


def _run(*command: str) -> None:
    # Whatever git is set to on this host is not for the repository of the demonstration.
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
