"""Imported for what it does: the benchmarks and their drivers can be imported by tests.

The project's folder comes behind all others, so that an installed branchlog stays the one that is tested.
"""

import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent

sys.path += [str(PROJECT), str(PROJECT / "benchmarks" / "peers" / "drivers")]
