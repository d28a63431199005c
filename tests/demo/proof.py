"""Puts together what the agent, the audit log and the servers say of each attempt."""

from dataclasses import dataclass

import enforcer
import plan
from performance import Played, Report
from scene import Scene


@dataclass(frozen=True)
class Result:
    """One attempt, from every side."""

    step: plan.Step
    task_id: str | None
    outside: Report | None
    inside: Report | None
    record: enforcer.Record | None
    arrived_outside: int | None
    arrived_inside: int | None

    def surprises(self) -> list[str]:
        """Everything about it that is not as expected."""
        found = [*self._of_the_agent(), *self._of_the_record(), *self._of_the_servers()]
        return [f"{self.step.name} ({self.step.what}): {what}" for what in found]

    def _of_the_agent(self) -> list[str]:
        found = []
        if self.outside is None or not self.outside.ok:
            said = self.outside.said if self.outside else "nothing"
            found.append(f"does not even work outside a session; the agent says: {said}")
        if self.inside is None:
            found.append("the agent did not come to it")
        elif self.inside.ok != self.step.expect.allowed:
            worked = "worked" if self.inside.ok else "failed"
            found.append(f"{worked} for the agent, who says: {self.inside.said or 'nothing'}")
        return found

    def _of_the_record(self) -> list[str]:
        expect, record = self.step.expect, self.record
        if record is None:
            return [f"no record of {'/'.join(expect.kinds)} {expect.target}"]
        given = record["unmapped"]
        facts = [
            ("verdict", given["verdict"], expect.verdict),
            ("reason", given["reason"], expect.reason),
            ("rule", enforcer.rule(record), expect.rule),
            ("agent", record["ai_agent"]["name"], enforcer.AGENT),
            ("task", given.get("task_id"), self.task_id),
        ]
        return [f"the record's {what} is {is_!r}, not {be!r}" for what, is_, be in facts if is_ != be]

    def _of_the_servers(self) -> list[str]:
        found = []
        if self.arrived_outside == 0:
            found.append("did not arrive outside a session, so its absence inside proves nothing")
        if self.arrived_inside is not None and (self.arrived_inside > 0) != self.step.expect.allowed:
            found.append(f"arrived {self.arrived_inside} times")
        return found


def results(scene: Scene, outside: Played, inside: Played) -> list[Result]:
    return [
        Result(
            step,
            inside.tasks.get(step.name),
            outside.reports.get(step.name),
            inside.reports.get(step.name),
            inside.records.get(step.name),
            scene.arrivals(plan.OUTSIDE, twin.trace),
            scene.arrivals(plan.INSIDE, step.trace),
        )
        for step, twin in zip(inside.steps, outside.steps, strict=True)
    ]


def stray_packets(scene: Scene) -> dict[str, int]:
    return scene.network.stray(plan.INSIDE)


def told(stray: dict[str, int]) -> str:
    counts = ", ".join(f"{count} at {name}" for name, count in stray.items())
    return f"IP packets of any kind from the sessions, captured on the wire: {counts}."


def unexplained(inside: Played, stray: dict[str, int]) -> list[str]:
    """Denials that no step accounts for, and packets to where nothing is allowed."""
    lines = [f"{count} packets from the sessions reached {name}" for name, count in stray.items() if count]
    known = {(kind, step.expect.target) for step in inside.steps for kind in step.expect.kinds}
    for evidence in inside.evidence:
        for record in evidence.records:
            about = (record["metadata"]["event_code"], enforcer.target(record))
            if record["unmapped"]["verdict"] != "allow" and about not in known:
                lines.append(f"nobody tried this: {record['message']}")
    return lines


def summary(results: list[Result], surprises: list[str], records: int) -> str:
    fine = [result for result in results if not result.surprises()]
    allowed = sum(result.step.expect.allowed for result in fine)
    return (
        f"demo: {allowed} allowed as expected, {len(fine) - allowed} denied as expected,"
        f" {len(surprises)} surprises; {records} records"
    )
