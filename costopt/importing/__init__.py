"""Brings the logs of other tools into a ledger."""
