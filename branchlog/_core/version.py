"""Versions of a shape: MAJOR.MINOR.PATCH, as in semantic versioning (semver.org)."""

from __future__ import annotations

import re
from typing import TypeAlias

Version: TypeAlias = tuple[int, int, int]

_PART = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)


def parse_version(text: str) -> Version | None:
    """MAJOR.MINOR.PATCH as numbers, or None if it is not that."""
    parts = text.split(".")
    if len(parts) != 3 or not all(map(_PART.fullmatch, parts)):
        return None
    major, minor, patch = map(int, parts)
    return major, minor, patch
