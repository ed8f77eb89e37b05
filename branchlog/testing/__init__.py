"""The published kit: what a backend is checked with. Needs the extra ``testing`` (pytest and hypothesis)."""

import pytest

pytest.register_assert_rewrite("branchlog.testing.contract")

from branchlog.testing.contract import LogContract  # noqa: E402 - after its asserts are told to explain themselves

__all__ = ["LogContract"]
