"""What all tests share."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import branchlog

pytest_plugins = ["branchlog.testing.report"]

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", deadline=None, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "mutation", deadline=None, max_examples=30, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)  # for many short runs, each of the same examples
settings.load_profile(os.environ.get("BRANCHLOG_HYPOTHESIS", "default"))


def pytest_configure() -> None:
    """Make sure that the tests test what they are meant to: CI runs them on the built wheel, too.

    What a shell runs in the background ignores interruptions, and so would the programs that the tests interrupt.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    wanted = os.environ.get("BRANCHLOG_TESTED_FROM")
    if wanted and not Path(branchlog.__file__).resolve().is_relative_to(Path(wanted).resolve()):
        pytest.exit(f"branchlog was imported from {branchlog.__file__}, not from {wanted}", returncode=3)


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real sample conversations: read in place, never copied into the project.

    Beside the project's folder, or where BRANCHLOG_SAMPLES says. CI always has them.
    """
    given = os.environ.get("BRANCHLOG_SAMPLES")
    folder = Path(given) if given else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the sample conversations are not part of the project; set BRANCHLOG_SAMPLES to their folder")
    return folder
