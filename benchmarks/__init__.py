"""Figures anyone can rerun: `python -m benchmarks` lists them, `python -m benchmarks NAME` runs one."""
