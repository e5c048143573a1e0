"""The fixtures of this folder."""

from stored import folder, run, traffic

__all__ = ["folder", "run", "traffic"]
