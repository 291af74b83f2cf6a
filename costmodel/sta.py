from __future__ import annotations
from dataclasses import dataclass
@dataclass
class Timing:
    critical_path_ps: float = 0.0
    path: tuple = ()
def analyze(*a): return Timing()
