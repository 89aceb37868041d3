from __future__ import annotations

from costopt.decide.admit import lasting


def test_a_stored_answer_gives_no_cookie_limit_or_time_of_another_call_back():
    kept = (("content-type", "application/json"), ("x-request-id", "req_1"))
    fleeting = (
        ("Set-Cookie", "a=b"),
        ("x-ratelimit-remaining-tokens", "7"),
        ("Date", "today"),
        ("retry-after", "1"),
    )
    assert lasting((*kept, *fleeting)) == kept
