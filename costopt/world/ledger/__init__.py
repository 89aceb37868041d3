"""The ledger of all calls: `Ledger` writes, `Reader` reads."""

from costopt.world.ledger.ledger import Ledger
from costopt.world.ledger.read import Reader
from costopt.world.ledger.words import Fact

__all__ = ["Fact", "Ledger", "Reader"]
