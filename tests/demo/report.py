"""What is shown, 100 columns wide at most."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import enforcer

if TYPE_CHECKING:
    from performance import Report
    from plan import Step
    from proof import Result

WIDTH = 100
BOLD, GREEN, RED, YELLOW = "1", "32", "31", "33"
SAMPLES = ("curl-away", "grandchild-away", "downloaded", "clone")


class Paper:
    """Standard output."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour
        self._number = 0
        self._column = 0

    def say(self, text: str) -> None:
        print(text, flush=True)

    def fail(self, text: str) -> None:
        self.say(self._in(RED, "demo: cannot go on: ") + text)

    def head(self, text: str) -> None:
        self.say("\n" + self._in(BOLD, text))

    def columns(self) -> None:
        self.say(self._in(BOLD, f" {'#':>2}  {'attempt':50} {'verdict':8} {'rule or reason':26} outcome"))

    def progress(self, name: str) -> None:
        """A word of a line that grows."""
        if self._column + len(name) + 1 > WIDTH:
            self.end_progress()
        print(f" {name}", end="", flush=True)
        self._column += len(name) + 1

    def end_progress(self) -> None:
        self.say("")
        self._column = 0

    def attempt(self, step: Step, report: Report, record: enforcer.Record | None) -> None:
        """One line of the live table: the verdict as recorded, and how it went for the agent."""
        self._number += 1
        verdict, why = "no record", ""
        if record:
            verdict = {"allow": "allowed", "deny": "denied"}.get(record["unmapped"]["verdict"], "open")
            why = reason(record)
        colour = GREEN if verdict == "allowed" else YELLOW
        refused = "EPERM" if "Operation not permitted" in report.said else "failed"
        seen = "done" if report.ok else refused
        mark = "" if report.ok == step.expect.allowed else "  !"
        shown = self._in(colour, f"{verdict:8}")
        self.say(f" {self._number:>2}  {step.what:50} {shown} {why:26} {seen}{self._in(RED, mark)}")

    def arrivals(self, results: list[Result]) -> None:
        self.say(self._in(BOLD, f" {'#':>2}  {'attempt':50} {'counted':27} {'outside':>7} {'inside':>7}"))
        for number, result in enumerate(results, 1):
            trace = result.step.trace
            if result.arrived_inside is None:
                continue
            inside = self._in(GREEN if result.step.expect.allowed else YELLOW, f"{result.arrived_inside:>7}")
            self.say(f" {number:>2}  {result.step.what:50} {trace.shown:27} {result.arrived_outside:>7} {inside}")

    def samples(self, results: list[Result]) -> None:
        """Some records, each as the few fields that answer who, what, why."""
        by_name = {result.step.name: result.record for result in results}
        for name in SAMPLES:
            record = by_name.get(name)
            if record:
                self.say(sample(record))

    def surprises(self, lines: list[str], logs: list[str]) -> None:
        self.head("What came out otherwise")
        for line in lines:
            self.say(textwrap.fill(line, WIDTH, initial_indent="  ! ", subsequent_indent="    "))
        self.head("What the servers and the agent say")
        self.say("\n".join(logs))

    def _in(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour and text else text


def reason(record: enforcer.Record) -> str:
    rule = enforcer.rule(record)
    return f"rule {rule}" if rule else str(record["unmapped"]["reason"])


def sample(record: enforcer.Record) -> str:
    process, given = enforcer.actor(record), record["unmapped"]
    ancestry = [one.get("name") or one.get("cmd_line") or "?" for one in process.get("ancestry", [])]
    fields = [
        ("what", f"{record['metadata']['event_code']} {enforcer.target(record)}"),
        ("verdict", f"{record['action'].lower()}, {given['reason']}, rule {enforcer.rule(record) or '-'},"
                    f" policy {record['policy']['uid']}"),
        ("who", f"agent {record['ai_agent']['name']}, session {record['actor']['session']['uid']},"
                f" task {given.get('task_id')}, user {record['actor']['user'].get('name')}"),
        ("process", f"{process['pid']} {process.get('file', {}).get('path')} < {' < '.join(ancestry)}"),
        ("command", process.get("cmd_line", "-")),
        ("record", f"OCSF {record['metadata']['version']}, class {record['class_uid']},"
                   f" {record['metadata']['uid']}"),
    ]
    return "\n".join(f"  {name:8} {textwrap.shorten(str(text), WIDTH - 11)}" for name, text in fields) + "\n"
