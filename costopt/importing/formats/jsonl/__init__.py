"""The interchange format, flat logs in its manner, and batch files of providers."""

from costopt.importing.formats.jsonl.lines import read

__all__ = ["read"]
