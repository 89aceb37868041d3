"""LLM cost-optimization middleware."""
