"""YAML -> `Policy`: strict, and every problem at once, each with file, line, key and what to write instead.

`load("thrifty")`, `load("my/policy.yaml")`, `load({"version": 1, ...})`. See `shape` for what may stand
where, `units` for `30s`, `256MB`, `$5/day` and `200k/min`.
"""

from __future__ import annotations

from costopt.policyfile.explain import explain
from costopt.policyfile.read import load, parse, presets
from costopt.policyfile.shape import schema
from costopt.policyfile.watch import Watcher

__all__ = ["Watcher", "explain", "load", "parse", "presets", "schema"]
