"""A try-out without a key: a provider simulator on loopback, an agent workload, and two runs compared."""
