"""OpenTelemetry GenAI spans as OTLP JSON."""

from costopt.importing.formats.otlp.calls import read

__all__ = ["read"]
