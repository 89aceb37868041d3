"""A test that skips itself is a test nobody runs: where `CI` is set, a skip is a failure.

Except where the platform cannot do what is tested: those say `platform:` in their reason.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any, Literal

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    return refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    return refuse_skip((yield))


def refuse_skip(report: Any) -> Any:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
    if (
        report.skipped
        and os.environ.get("CI")
        and not hasattr(report, "wasxfail")
        and "platform:" not in reason
    ):
        failed: Literal["failed"] = "failed"
        report.outcome = failed
        report.longrepr = f"skipped, but CI runs everything: {reason}"
    return report
