"""Session logs of Claude Code."""

from costopt.importing.formats.claude_code.sessions import read

__all__ = ["read"]
