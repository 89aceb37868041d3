"""Exports of Langfuse observations."""

from costopt.importing.formats.langfuse.export import read

__all__ = ["read"]
