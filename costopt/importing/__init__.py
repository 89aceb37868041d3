"""Brings the logs of other tools into a ledger, so that what they recorded can be reported and replayed.

    costopt.importing.load("jsonl", ["calls.jsonl.gz"], ledger="~/.costopt")

READ FIRST: `words` (what a format yields), then `run` (one import), `recording` (a call as a ledger record), `store`
(each call once). Every other module is a format, or reads what several formats need.
"""

from costopt.importing.run import Summary, load
from costopt.importing.words import Imported, Line, Options, Unusable

__all__ = ["Imported", "Line", "Options", "Summary", "Unusable", "load"]
