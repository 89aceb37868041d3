"""Brings the logs of other tools into a ledger, so that what they recorded can be reported and replayed.

    costopt.importing.load("jsonl", ["calls.jsonl.gz"], ledger="~/.costopt")

READ FIRST: `words` (what a format yields), then `run` (one import), `recording` (a call as a ledger record), `store`
(each call once). `formats` has one module or folder a format; what several of them need stands beside it.
"""

from costopt.importing.run import Summary, load
from costopt.importing.words import Imported, Line, Options, Unusable

__all__ = ["Imported", "Line", "Options", "Summary", "Unusable", "load"]
