"""What a provider's own prompt cache would have read and written, so that a changed prompt is priced honestly.

`rules` names what a provider documents, `pieces_of` and `pieces_from_parts` say what a prompt consists of, and
`PromptCache` is the state: `send` one prompt after the other, in virtual time.
"""

from costopt.decide.promptcache.cache import PromptCache
from costopt.decide.promptcache.pieces import Cut, cut, pieces_from_parts, pieces_of, withheld
from costopt.decide.promptcache.rules import Rules, rules
from costopt.decide.promptcache.words import Piece, Split

__all__ = [
    "Cut",
    "Piece",
    "PromptCache",
    "Rules",
    "Split",
    "cut",
    "pieces_from_parts",
    "pieces_of",
    "rules",
    "withheld",
]
