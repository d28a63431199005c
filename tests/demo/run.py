#!/usr/bin/env python3
"""The demonstration: one program, twice on the same network; the second time inside a session.

    scene (network, servers, project) -> outside any session: everything gets through
                                      -> inside a session: what the policy lists gets through
                                      -> proof: agent, audit record and servers must tell the same

Needs root and a daemon that enforces. Exit status: 0 every line came out as expected, 1 one did
not, 2 the demonstration could not be run.
"""

import argparse
import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import enforcer
import performance
import plan
import proof
from report import Paper
from scene import Scene

TASK = "Bring report.c up to date and build it"
FIRST_TASK_ID = "DEMO-1"
SECOND_TASK_ID = "DEMO-2"


def main() -> int:
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    paper = Paper(arguments.colour)
    try:
        with contextlib.ExitStack() as stack:
            return demonstrate(arguments, paper, stack)
    except KeyboardInterrupt:
        paper.say("\ndemo: interrupted; network, files and servers of the demonstration are removed")
        return 130
    except subprocess.CalledProcessError as error:
        paper.fail(f"{error}\n{error.stdout or ''}{error.stderr or ''}")
    except (OSError, RuntimeError) as error:
        paper.fail(str(error))
    return 2


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A real agent held to its allowlists.")
    parser.add_argument("--policy", type=Path, required=True, help="the policy to apply")
    parser.add_argument("--records", type=Path, required=True, help="where to leave the records")
    parser.add_argument("--summary", type=Path, help="where to leave the last line")
    parser.add_argument("--colour", action="store_true", help="write for a terminal")
    return parser.parse_args()


def demonstrate(arguments: argparse.Namespace, paper: Paper, stack: contextlib.ExitStack) -> int:
    paper.head("The scene")
    scene = Scene(stack)
    paper.say(scene.told())
    paper.say(enforcer.apply(arguments.policy))
    acts = [
        performance.Act("agent", scene.user, FIRST_TASK_ID, TASK),
        performance.Act("root", scene.root, SECOND_TASK_ID, "The same, run by root"),
    ]
    outside = rehearse(scene, acts, paper)
    inside = perform(scene, acts, paper)
    results = proof.results(scene, outside, inside)
    return conclude(arguments, scene, results, inside, paper)


def rehearse(scene: Scene, acts: list[performance.Act], paper: Paper) -> performance.Played:
    """The control experiment: what is denied later is not denied for any other cause."""
    paper.head("Outside any session: the same program, nobody holds it")
    scene.enter(plan.OUTSIDE)
    played = performance.Played(plan.OUTSIDE)
    for act in acts:
        performance.outside(scene, act, played, paper)
    through = sum(report.ok for report in played.reports.values())
    paper.end_progress()
    what = "attempts got through, those of the hijacked agent too."
    paper.say(f"{through} of {len(played.steps)} {what}")
    return played


def perform(scene: Scene, acts: list[performance.Act], paper: Paper) -> performance.Played:
    scene.enter(plan.INSIDE)
    played = performance.Played(plan.INSIDE)
    for act in acts:
        paper.head(f"Inside a session: agent coding-agent, task {act.task_id}, as {act.user.name}")
        paper.columns()
        performance.inside(scene, act, played, paper)
    return played


def conclude(
    arguments: argparse.Namespace,
    scene: Scene,
    results: list[proof.Result],
    inside: performance.Played,
    paper: Paper,
) -> int:
    paper.head("What the servers saw")
    paper.arrivals(results)
    stray = proof.stray_packets(scene)
    paper.say(proof.told(stray))
    paper.head("Audit records")
    paper.samples(results)
    count = enforcer.save_records(arguments.records)
    surprises = [line for result in results for line in result.surprises()]
    surprises += proof.unexplained(inside, stray) + enforcer.losses()
    if surprises:
        paper.surprises(surprises, scene.logs())
    line = proof.summary(results, surprises, count)
    if arguments.summary:
        arguments.summary.write_text(line)
    else:
        paper.say("\n" + line)
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
