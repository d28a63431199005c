"""An agent: asks a model what to do, does it step by step, and says how each step went.

    agent.py URL            the loop; begins after a line on stdin
    agent.py TOOL JSON      one tool, for a grandchild
"""

import json
import sys

import tools


def main() -> int:
    first, *rest = sys.argv[1:]
    if rest:
        getattr(tools, first)(**json.loads(rest[0]))
        return 0
    sys.stdin.readline()
    name = "ask" if first.endswith("/agent") else "ask-root"
    steps: list[dict[str, object]] = []
    attempt(name, lambda: steps.extend(json.loads(tools.post(first))))
    for step in steps:
        tool = getattr(tools, str(step["tool"]))
        attempt(str(step["name"]), lambda: tool(**step["arguments"]))
    return 0


def attempt(name: str, action) -> None:
    """Does it; whatever it meets, the agent goes on with the next one."""
    try:
        action()
        told = {"name": name, "ok": True, "said": ""}
    except Exception as error:
        told = {"name": name, "ok": False, "said": f"{type(error).__name__}: {error}"}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    sys.exit(main())
