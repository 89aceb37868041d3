"""litellm's callables, wrapped: the same calls and answers, driven through the flow. litellm is never imported here."""

from costopt.edge.litellm.callables import wrap_callable

__all__ = ["wrap_callable"]
