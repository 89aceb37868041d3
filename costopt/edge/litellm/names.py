"""What the names of litellm's arguments tell: how a call travels, who pays for it, where it goes."""

from __future__ import annotations

import re
from typing import Any

# fmt: off
_NOISE = frozenset((
    "timeout", "request_timeout", "stream_timeout", "force_timeout", "client_side_timeout",
    "timeout_by_service_tier", "stream_timeout_by_service_tier", "num_retries", "max_retries",
    "retry_policy", "retry_strategy", "cooldown_time", "metadata", "litellm_metadata",
    "litellm_call_id", "litellm_trace_id", "litellm_session_id", "litellm_logging_obj",
    "litellm_request_debug", "litellm_disabled_callbacks", "logger_fn", "verbose", "no-log",
    "log_client_error_tracebacks", "turn_off_message_logging", "completion_call_id",
    "proxy_server_request", "caching", "cache", "cache_key", "preset_cache_key", "ttl",
    "caching_groups", "client", "shared_session", "callbacks", "success_callback", "failure_callback",
    "input_callback", "service_callback", "rpm", "tpm", "itpm", "otpm", "weight", "order",
    "max_parallel_requests", "budget_duration", "max_budget", "tags", "tag_regex",
    "enable_tag_filtering", "model_info", "base_model", "ssl_verify", "keepalive_seconds",
))
#: Settings of logging integrations.
_NOISE_PREFIXES = (
    "langfuse_", "langsmith_", "arize_", "posthog_", "dd_", "newrelic_", "wandb_", "weave_",
    "humanloop_", "gcs_", "s3_", "signoz_",
)
#: litellm's own arguments beyond those it lists itself.
_OWN = frozenset((
    "api_base", "base_url", "api_version", "api_type", "custom_llm_provider", "deployment_id",
    "organization", "model_list", "fallbacks", "context_window_fallback_dict", "litellm_credential_name",
    "region_name",
))
# fmt: on
#: Prices a caller tells litellm.
_PRICE = re.compile(r"cost_per_|_token_cost|_cost_multiplier")
_SECRET = re.compile(
    r"secret|password|credentials|access_key|^token$|(session|ad|auth|identity|bearer|access)_token"
    r"|(?<!cache)_key$|api_key"
)
#: With these another model than the one asked for may answer, and no second call need get the same.
OTHERS_ANSWER = frozenset({"fallbacks", "context_window_fallback_dict", "model_list"})
_PROVIDERS_OWN = ("aws_", "vertex_", "azure_", "watsonx_", "extra_body")
HEADERS = ("extra_headers", "headers")


def is_noise(name: str) -> bool:
    """How the call travels, is retried, logged or priced: never what the answer is."""
    return name in _NOISE or name.startswith(_NOISE_PREFIXES) or bool(_PRICE.search(name))


def is_secret(name: str) -> bool:
    return bool(_SECRET.search(name))


def is_of_one_provider(name: str) -> bool:
    """Means nothing, or gives something away, at another provider."""
    return name in _OWN or name in HEADERS or name.startswith(_PROVIDERS_OWN) or is_secret(name)


def owned(litellm: Any) -> frozenset[str]:
    """All arguments that litellm keeps to itself; the rest reaches the provider."""
    listed: Any = getattr(getattr(litellm.types, "utils", None), "all_litellm_params", ())
    return _OWN | frozenset(listed)
