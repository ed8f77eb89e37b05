"""Where the real sample conversations are: read in place, never copied into the project."""

import os
from pathlib import Path

_BESIDE = Path(__file__).parents[1] / "../shared/data"
_GIVEN = os.environ.get("BRANCHLOG_SAMPLES")

SAMPLES: Path | None = Path(_GIVEN) if _GIVEN else _BESIDE.resolve() if _BESIDE.is_dir() else None
"""The folder of samples, or None where they are not at hand; tests then use what they write themselves."""
