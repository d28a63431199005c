"""One run of the agent: outside any session, or inside one."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

import enforcer
import netns
import plan
from report import Paper
from scene import Scene, User

TIME_LIMIT = 300  # seconds; far beyond what a slow machine needs
SESSION_TIME = 60


@dataclass(frozen=True)
class Act:
    """A part of the plan, who plays it and what for."""

    name: str
    user: User
    task_id: str
    task: str


@dataclass(frozen=True)
class Report:
    """What the agent says of an attempt."""

    ok: bool
    said: str


@dataclass
class Played:
    """What came of a phase."""

    phase: str
    steps: list[plan.Step] = field(default_factory=list)
    reports: dict[str, Report] = field(default_factory=dict)
    records: dict[str, enforcer.Record] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)
    evidence: list[enforcer.Evidence] = field(default_factory=list)


def outside(scene: Scene, act: Act, played: Played, paper: Paper) -> None:
    """The agent without the enforcer."""
    played.steps += scene.steps(played.phase, act.name)
    with _started(scene, act, played.phase, []) as agent:
        for name, report in _reports(agent, scene):
            played.reports[name] = report
            paper.progress(name)
    scene.settle()


def inside(scene: Scene, act: Act, played: Played, paper: Paper) -> None:
    """The agent in a session; each attempt is shown as soon as its record is there."""
    steps = scene.steps(played.phase, act.name)
    played.steps += steps
    by_name = {step.name: step for step in steps}
    launcher = ["/usr/bin/enforcer", "run", "--agent", enforcer.AGENT]
    launcher += ["--task", act.task, "--task-id", act.task_id, "--"]
    with _started(scene, act, played.phase, launcher) as agent:
        evidence = _follow(agent, scene)
        played.evidence.append(evidence)
        for name, report in _reports(agent, scene):
            played.reports[name] = report
            played.tasks[name] = act.task_id
            record = evidence.claim(by_name[name].expect)
            if record:
                played.records[name] = record
            paper.attempt(by_name[name], report, record)
    if not evidence.await_end():
        raise RuntimeError(f"no record says that session {evidence.session} ended{_words(scene)}")
    evidence.close()
    scene.settle()


@contextlib.contextmanager
def _started(scene: Scene, act: Act, phase: str, launcher: list[str]) -> Iterator[subprocess.Popen[str]]:
    """The agent, waiting for a line on its stdin; ended, if need be, when this is left."""
    place = scene.place(phase, act.name)
    url = f"http://{plan.API}:{plan.API_PORT}/v1/plan/{phase}/{act.name}"
    command = [*launcher, plan.PYTHON, "-B", str(scene.base / "workload/agent.py"), url]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(place.home), "LANG": "C.UTF-8"}
    with open(scene.base / f"{phase}-{act.name}.err", "w") as errors, netns.entered(netns.AGENT):
        agent = subprocess.Popen(
            command, cwd=place.home, env=environment, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            user=act.user.uid, group=act.user.gid, extra_groups=act.user.groups,
        )
    limit = threading.Timer(TIME_LIMIT, _end, [agent])
    limit.daemon = True
    limit.start()
    try:
        yield agent
    finally:
        limit.cancel()
        _end(agent)
        agent.wait()


def _end(agent: subprocess.Popen[str]) -> None:
    """Ends the agent with its children, where it has not ended yet."""
    if agent.poll() is None:
        os.killpg(agent.pid, signal.SIGKILL)


def _reports(agent: subprocess.Popen[str], scene: Scene) -> Iterator[tuple[str, Report]]:
    """Lets the agent begin, and gives its reports until it ends."""
    go, reports = _pipes(agent)
    go.write("go\n")
    go.close()
    for line in reports:
        told = json.loads(line)
        yield told["name"], Report(told["ok"], told["said"])
    status = agent.wait()
    if status != 0:
        raise RuntimeError(f"the agent itself failed, status {status}{_words(scene)}")


def _words(scene: Scene) -> str:
    return "; the servers and the agent say:\n" + "\n".join(scene.logs())


def _pipes(agent: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert agent.stdin and agent.stdout
    return agent.stdin, agent.stdout


def _follow(agent: subprocess.Popen[str], scene: Scene) -> enforcer.Evidence:
    """The records of the agent's session. The launcher becomes the agent, so the pid is its own."""
    deadline = time.monotonic() + SESSION_TIME
    while time.monotonic() < deadline:
        if agent.poll() is not None:
            raise RuntimeError(f"`enforcer run` did not start the agent{_words(scene)}")
        session = enforcer.session_of(agent.pid)
        if session:
            return enforcer.Evidence(session)
        time.sleep(0.1)
    raise RuntimeError(f"no session of process {agent.pid} came up in {SESSION_TIME} s")


