"""What `import costopt` does in a program that may never call a model: next to nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

#: Runs in a fresh interpreter: which modules and files `import costopt` brings, and what else it does.
PROBE = """
import json, sys
before = set(sys.modules)
seen = []
sys.addaudithook(lambda event, args: seen.append((event, str(args[0]) if args else "")))
import costopt
events, modules = list(seen), sorted(set(sys.modules) - before)
print(json.dumps({"modules": modules, "events": events, "names": dir(costopt)}))
"""
CODE = (".py", ".pyc", ".so", ".pyd")


@pytest.fixture(scope="module")
def found() -> Any:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_importing_costopt_loads_nothing_of_others(found: Any) -> None:
    tops = {name.partition(".")[0] for name in found["modules"]}
    heavy = {
        "litellm",
        "openai",
        "anthropic",
        "httpx",
        "httpx2",
        "sqlite3",
        "tiktoken",
        "yaml",
        "rich",
        "asyncio",
    }
    assert not tops & heavy
    assert "Optimizer" in found["names"]


def test_importing_costopt_opens_no_file_but_code_and_no_socket(found: Any) -> None:
    events = found["events"]
    opened = [path for event, path in events if event == "open" and not path.endswith(CODE)]
    assert opened == []
    assert not [event for event, _ in events if event.startswith(("socket.", "sqlite3.", "subprocess."))]
