"""When things break: one clear error or a documented degradation, and the user's call still goes through."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Any

import openai
import pytest

import costopt
from costopt.demo.simulator import Simulator
from costopt.policy import Budget, Cache, Ledger, Policy
from costopt.world.ledger import Reader

ASK: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Where is my parcel?"}],
}
CACHING = Policy(name="test", cache=Cache(disk=64 * 1024**2))
STRICT = Policy(name="test", cache=Cache(disk=64 * 1024**2), strict=True)


def sdk(provider: Simulator, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(api_key="sk-test", base_url=provider.base_url, **{"max_retries": 0, **options})


def outcomes(folder: Path) -> list[str]:
    reader = Reader(folder)
    try:
        return [fact.outcome for fact in reader.facts()]
    finally:
        reader.close()


def test_a_broken_stream_is_an_error_never_an_answer(provider: Simulator, tmp_path: Path) -> None:
    provider.cut(after=2)
    with costopt.Optimizer(CACHING, ledger=tmp_path) as optimizer:
        client = optimizer.wrap(sdk(provider))
        with pytest.raises(Exception, match=r"(?i)peer|closed|incomplete|connection"):
            list(client.chat.completions.create(**ASK, stream=True))
        list(client.chat.completions.create(**ASK, stream=True))
    assert provider.calls == 2
    assert outcomes(tmp_path) == ["error", "ok"]


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_provider_errors_are_the_sdks_own_and_recorded(
    provider: Simulator, tmp_path: Path, status: int
) -> None:
    provider.fail(status)
    with costopt.Optimizer(CACHING, ledger=tmp_path) as optimizer:
        client = optimizer.wrap(sdk(provider))
        with pytest.raises(openai.APIStatusError) as caught:
            client.chat.completions.create(**ASK)
        assert caught.value.status_code == status
        client.chat.completions.create(**ASK)
    assert outcomes(tmp_path) == ["error", "ok"]


def test_the_sdks_own_retries_still_work(provider: Simulator, tmp_path: Path) -> None:
    provider.fail(500, retry_after=0)
    with costopt.Optimizer(CACHING, ledger=tmp_path) as optimizer:
        optimizer.wrap(sdk(provider, max_retries=2)).chat.completions.create(**ASK)
    assert outcomes(tmp_path) == ["error", "ok"]


def test_answers_that_are_not_json_come_through_and_are_not_kept(provider: Simulator, tmp_path: Path) -> None:
    provider.garble()
    provider.gateway_page(status=200)
    with costopt.Optimizer(CACHING, ledger=tmp_path) as optimizer:
        raw = optimizer.wrap(sdk(provider)).chat.completions.with_raw_response
        assert raw.create(**ASK).text.startswith('{"id": "chatcmpl-1"')
        assert "Bad gateway" in raw.create(**ASK).text
        assert raw.create(**ASK).headers["x-costopt-cache"] == "miss"
    assert provider.calls == 3


@pytest.mark.parametrize(
    "content", [b"", b"not json", b"[1, 2]", b'{"messages": []}', b'{"model": 7}', b'"\xff"']
)
def test_requests_we_cannot_read_pass_through_untouched(
    provider: Simulator, tmp_path: Path, content: bytes
) -> None:
    with costopt.Optimizer(CACHING, ledger=tmp_path) as optimizer:
        http = optimizer.http_client()
        answer = http.post(f"{provider.base_url}/chat/completions", content=content)
    assert answer.status_code == 400
    assert provider.calls == 1


def test_a_huge_body_passes_through(provider: Simulator, tmp_path: Path) -> None:
    big = {"role": "user", "content": "x" * (65 * 1024**2)}
    with costopt.Optimizer(CACHING, ledger=tmp_path) as optimizer:
        optimizer.wrap(sdk(provider, timeout=60)).chat.completions.create(model="gpt-4o-mini", messages=[big])  # type: ignore[list-item]
    assert provider.calls == 1


def test_a_corrupt_cache_file_is_replaced_and_the_call_goes_through(
    provider: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").mkdir(parents=True)
    (tmp_path / "cache" / "cache.db").write_bytes(b"this is not a database" * 1000)
    with (
        caplog.at_level(logging.WARNING, "costopt"),
        costopt.Optimizer(CACHING, ledger=tmp_path) as optimizer,
    ):
        client = optimizer.wrap(sdk(provider))
        client.chat.completions.create(**ASK)
        client.chat.completions.create(**ASK)
    assert provider.calls == 1
    assert len([entry for entry in caplog.records if entry.name == "costopt"]) == 1


@pytest.mark.parametrize("broken", ["newer", "garbage", "file"])
def test_a_ledger_we_cannot_use_is_warned_about_once(
    provider: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    folder = _broken(tmp_path / "l", broken)
    with (
        caplog.at_level(logging.WARNING, "costopt"),
        costopt.Optimizer("observe", ledger=folder) as optimizer,
    ):
        client = optimizer.wrap(sdk(provider))
        for _ in range(3):
            client.chat.completions.create(**ASK)
    assert provider.calls == 3
    warnings = [entry.getMessage() for entry in caplog.records if entry.name == "costopt"]
    assert len(warnings) == 1
    assert "parcel" not in warnings[0]


@pytest.mark.parametrize("broken", ["newer", "garbage", "file"])
def test_a_strict_policy_says_so_before_any_money_is_spent(
    provider: Simulator, tmp_path: Path, broken: str
) -> None:
    folder = _broken(tmp_path / "l", broken)
    with pytest.raises(costopt.CostoptError), costopt.Optimizer(STRICT, ledger=folder) as optimizer:
        optimizer.wrap(sdk(provider)).chat.completions.create(**ASK)
    assert provider.calls == 0


def test_without_a_home_folder_calls_go_through_with_one_warning(
    provider: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = Policy(name="test", cache=Cache(disk=1 << 20), ledger=Ledger(path="~no-such-user/costopt"))
    with caplog.at_level(logging.WARNING, "costopt"), costopt.Optimizer(nowhere) as optimizer:
        client = optimizer.wrap(sdk(provider))
        for _ in range(2):
            client.chat.completions.create(**ASK)
    assert provider.calls == 1
    assert [record.getMessage() for record in caplog.records if "no-such-user" in record.getMessage()] == [
        "costopt: no ledger and no disk cache, budgets are of this process alone: ~no-such-user/costopt: there is no "
        "such home folder (is HOME set?); write a whole path"
    ]
    assert not Path("~no-such-user").exists()


def test_strict_fails_at_once_without_a_home_folder() -> None:
    with pytest.raises(costopt.LedgerError, match="no such home folder"):
        costopt.Optimizer(STRICT, ledger="~no-such-user/costopt")


def _broken(folder: Path, how: str) -> Path:
    if how == "file":
        folder.write_text("a file where the folder should be")
        return folder
    folder.mkdir()
    path = folder / "ledger.sqlite3"
    if how == "garbage":
        path.write_bytes(b"\x00garbage" * 1000)
        return folder
    costopt.Optimizer("observe", ledger=folder).close()
    with costopt.Optimizer("observe", ledger=folder) as optimizer:
        ledger = optimizer.world.ledger
        assert ledger is not None
        ledger.open()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 9999")
    return folder


def test_a_full_disk_loses_records_with_one_warning_and_no_call(
    provider: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path("/dev/full")
    if not folder.exists():
        pytest.skip("platform: needs /dev/full")
    with caplog.at_level(logging.WARNING, "costopt"):
        with costopt.Optimizer(CACHING, ledger=folder / "sub") as optimizer:
            client = optimizer.wrap(sdk(provider))
            client.chat.completions.create(**ASK)
            client.chat.completions.create(**ASK)
    assert provider.calls == 1


def test_a_client_that_goes_away_mid_call_is_recorded(provider: Simulator, tmp_path: Path) -> None:
    provider.hang()
    with costopt.Optimizer(CACHING, ledger=tmp_path) as optimizer, pytest.raises(openai.APITimeoutError):
        optimizer.wrap(sdk(provider, timeout=0.2)).chat.completions.create(**ASK)
    assert outcomes(tmp_path) == ["error"]


def test_a_policy_with_a_typo_names_line_key_and_mend(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("version: 1\ncache:\n  tll: 7d\n")
    with pytest.raises(costopt.PolicyError, match=r"policy\.yaml:3.*tll.*ttl"):
        costopt.Optimizer(path)


@pytest.mark.parametrize("how", ["garbage", "folder"])
def test_a_budget_that_cannot_be_read_refuses_with_one_typed_error(
    provider: Simulator, tmp_path: Path, how: str
) -> None:
    path = tmp_path / "budgets.sqlite3"
    path.mkdir() if how == "folder" else path.write_bytes(b"garbage" * 1000)
    with costopt.Optimizer(Policy(budgets=(Budget(10**9, "day"),)), ledger=tmp_path) as optimizer:
        with pytest.raises(costopt.BudgetUnavailable, match=r"budgets\.sqlite3"):
            optimizer.wrap(sdk(provider, max_retries=2)).chat.completions.create(**ASK)
    assert provider.calls == 0


def test_a_header_that_means_nothing_is_refused(provider: Simulator, tmp_path: Path) -> None:
    with costopt.Optimizer(CACHING, ledger=tmp_path) as optimizer:
        with pytest.raises(costopt.InvalidControl, match="on, off or refresh"):
            optimizer.wrap(sdk(provider)).chat.completions.create(
                **ASK, extra_headers={"x-costopt-cache": "bypass"}
            )
    assert provider.calls == 0


@pytest.mark.parametrize(
    "content", [b'\xef\xbb\xbf{"model": "gpt-4o-mini"}', b'{"model": "gpt-4o-mini", "x": NaN}']
)
def test_what_strict_json_forbids_is_counted_all_the_same(
    provider: Simulator, tmp_path: Path, content: bytes
) -> None:
    with costopt.Optimizer(Policy(budgets=(Budget(1, "day"),)), ledger=tmp_path) as optimizer:
        with pytest.raises(costopt.BudgetExceeded):
            optimizer.http_client().post(f"{provider.base_url}/chat/completions", content=content)
    assert provider.calls == 0


def test_a_tag_that_is_no_text_is_written_as_text(provider: Simulator, tmp_path: Path) -> None:
    with costopt.Optimizer("observe", ledger=tmp_path) as optimizer, costopt.tags(user="half \ud83d"):
        optimizer.wrap(sdk(provider)).chat.completions.create(**ASK)
    assert outcomes(tmp_path) == ["ok"]


def test_a_stream_open_at_close_is_recorded_as_left_and_can_be_read_on(
    provider: Simulator, tmp_path: Path
) -> None:
    with costopt.Optimizer("observe", ledger=tmp_path) as optimizer:
        chunks = iter(optimizer.wrap(sdk(provider)).chat.completions.create(**ASK, stream=True))
        next(chunks)
    assert len(list(chunks)) > 0
    assert outcomes(tmp_path) == ["left"]


def test_a_stream_that_is_left_takes_the_worst_case_from_the_budget(
    provider: Simulator, tmp_path: Path
) -> None:
    """The provider may have said all of it before it noticed."""
    with costopt.Optimizer(Policy(budgets=(Budget(10_000_000, "total"),)), ledger=tmp_path) as optimizer:
        client = optimizer.wrap(sdk(provider))
        with pytest.raises(costopt.BudgetExceeded):
            for _ in range(2):
                client.chat.completions.create(**ASK, stream=True).close()
    assert provider.calls == 1
