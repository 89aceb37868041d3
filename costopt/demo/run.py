"""The demo: one workload through the same client twice, plain and wrapped, and what each cost.

The plain run's money is counted from the usage that came back with each answer. The wrapped run's comes from
the ledger, and `billed` is the same sum made by the simulated provider itself, so that nobody has to believe
the ledger.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec.structs import replace

from costopt.demo import workload
from costopt.demo.ahead import Ahead
from costopt.demo.localmodel import MODEL, LocalModel
from costopt.demo.outcome import DemoResult, Side, bill, by_lever, counted, side_in, side_of
from costopt.demo.simulator import Simulator
from costopt.demo.speaker import Encode, lexemes
from costopt.demo.workload import Answered
from costopt.engine import PolicyLike
from costopt.optimizer import Optimizer
from costopt.policy import Ledger as Recording
from costopt.policy import Policy, Price
from costopt.policyfile import load
from costopt.types import Usage
from costopt.world import pricemap, tokenizers
from costopt.world.ledger import Ledger, Reader

if TYPE_CHECKING:
    from openai import OpenAI

#: What somebody who knows the workload would write; `balanced` is what you get when you name no policy.
POLICY = Path(__file__).with_name("desk.yaml")
#: Seconds before a simulated answer begins; real providers take ten to fifty times as long.
LATENCY = 0.02
#: A local model has no price; these are gpt-4o-mini's list prices, nano-USD per million tokens.
AS_IF = Price(input=150_000_000, output=600_000_000, cache_read=75_000_000)

Run: TypeAlias = Literal["plain", "wrapped"]
OnProgress: TypeAlias = Callable[[Run, int, int], None]


def compare(
    policy: PolicyLike = None,
    *,
    real_model: bool = False,
    ledger: Path | None = None,
    latency: float = LATENCY,
    on_progress: OnProgress | None = None,
) -> DemoResult:
    """Run the workload plain, then wrapped under `policy` (default: `POLICY`, written for it), and compare.

    `ledger` is the folder for the wrapped run's ledger, which must be new; default a temporary one that is
    kept. Calls that the policy refuses are part of the result; what its limits make calls wait is counted and not sat
    out (`Ahead`). `latency` is the simulator's, in seconds. `on_progress` hears run, calls done, calls in all. Takes
    about fifteen seconds. Raises PolicyError, MissingModel, and LedgerError at once where `ledger` cannot be one.
    """
    chosen = load(POLICY if policy is None else policy)
    chosen = replace(chosen, ledger=chosen.ledger or Recording())
    if real_model:
        chosen = replace(chosen, prices={**chosen.prices, MODEL: AS_IF})
    provider = LocalModel if real_model else partial(Simulator, latency=latency, encode=tokenizer())
    with _place(ledger) as folder:
        return _Demo(chosen, folder, provider, on_progress or (lambda run, done, total: None)).compare()


@contextmanager
def _place(ledger: Path | None) -> Generator[Path]:
    """The folder with a ledger in it; a temporary one goes with a demo that does not come to its end."""
    folder = ledger or Path(tempfile.mkdtemp(prefix="costopt-demo-"))
    try:
        made = Ledger(folder)
        made.open()
        made.close()
        yield folder
    except BaseException:
        if ledger is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise


class _Demo:
    def __init__(
        self,
        policy: Policy,
        folder: Path,
        provider: Callable[[], Simulator | LocalModel],
        on_progress: OnProgress,
    ) -> None:
        self._policy = policy
        self._folder = folder
        self._provider = provider
        self._on_progress = on_progress
        self._book = pricemap.load(policy.prices)

    def compare(self) -> DemoResult:
        plain, provider = self._plain()
        repeated = None
        if isinstance(provider, Simulator):
            repeated = workload.share_repeated(body for _, body in provider.requests)
        seconds, provider = self._wrapped()
        with Reader(self._folder) as reader:
            facts = list(reader.facts())
        billed = _billed(provider)
        return DemoResult(
            plain=plain,
            wrapped=side_in(self._book, facts, seconds),
            saved_by_lever=by_lever(facts),
            ledger=self._folder,
            policy=self._policy.name,
            models=tuple(sorted({fact.served for fact in facts})),
            repeated=repeated,
            billed=None if billed is None else bill(self._book, billed),
            real_model=isinstance(provider, LocalModel),
            refusal=next((fact.error for fact in facts if fact.outcome == "refused"), ""),
            waited=sum(fact.waited for fact in facts),
        )

    def _plain(self) -> tuple[Side, Simulator | LocalModel]:
        seen: list[tuple[str, Usage]] = []
        with self._provider() as provider, _client(provider.base_url) as client:
            seconds = self._run(
                "plain", provider, client, lambda call: seen.append((call.model, counted(call.usage)))
            )
        return side_of(self._book, seen, len(seen), seconds), provider

    def _wrapped(self) -> tuple[float, Simulator | LocalModel]:
        with (
            self._provider() as provider,
            Optimizer(self._policy, ledger=self._folder, clock=Ahead()) as optimizer,
            _client(provider.base_url) as client,
        ):
            seconds = self._run("wrapped", provider, optimizer.wrap(client), lambda call: None)
        return seconds, provider

    def _run(
        self, run: Run, provider: Simulator | LocalModel, client: OpenAI, on_call: workload.OnCall
    ) -> float:
        small = isinstance(provider, LocalModel)
        total = workload.CALLS_SMALL if small else workload.CALLS
        done = 0

        def progress(call: Answered) -> None:
            nonlocal done
            done += 1
            on_call(call)
            self._on_progress(run, done, total)

        work = partial(workload.run_small, model=MODEL) if small else workload.run
        started = time.perf_counter()
        work(client, progress)
        return time.perf_counter() - started


def _client(base_url: str) -> OpenAI:
    from openai import OpenAI

    return OpenAI(base_url=base_url, api_key="none", max_retries=0)


def tokenizer() -> Encode:
    folder = pricemap.package_folder()
    bundled = folder / "litellm_core_utils" / "tokenizers" if folder else None
    return tokenizers.loader(bundled)("o200k_base") or lexemes


def _billed(provider: Simulator | LocalModel) -> list[tuple[str, Usage]] | None:
    return [(item.model, item.usage) for item in provider.billed] if isinstance(provider, Simulator) else None
