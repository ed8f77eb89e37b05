"""The benchmarks beside other libraries: what the drivers answer, and how figures become tables and charts.

Only subjects that need no other library are started, at sizes that take no time. Nothing is timed.
"""

import json
import math
from contextlib import contextmanager
from pathlib import Path

import paths_of_benchmarks  # noqa: F401  # for its effect: what is imported below is found
import pytest
from driving import MEMORY_LIMIT_BYTES, line_of, parents_of, text_of

from benchmarks import charts
from benchmarks.peers import __main__ as command
from benchmarks.peers import running as running_module
from benchmarks.peers import workloads
from benchmarks.peers.running import Lab, Stopped
from benchmarks.peers.subjects import SUBJECTS, Contender
from benchmarks.peers.tables import Known, figure, subjects_table, tables
from benchmarks.peers.workloads import Finding

OWN = tuple(subject for subject in SUBJECTS if not subject.requirements)
STORED = tuple(subject for subject in OWN if subject.stored)


def named(subject):
    return subject.name


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path, tmp_path / "venvs", OWN, quick=True, budget_seconds=20)


@contextmanager
def opened(lab, subject):
    with lab.start(subject, lab.fresh()) as driver:
        driver.step("open")
        yield driver


def test_those_that_need_no_other_library_are_branchlog_and_the_bare_sides():
    assert {subject.driver for subject in OWN} == {"with_branchlog", "with_sqlite", "with_lines"}


def test_every_other_library_is_pinned():
    for subject in SUBJECTS:
        assert all("==" in requirement for requirement in subject.requirements)


def test_an_environment_is_another_one_when_a_version_changes(tmp_path):
    one, other = (Contender("x", "with_x", requirements=(f"x=={number}",)) for number in (1, 2))

    assert one.venv(tmp_path) != other.venv(tmp_path)


@pytest.mark.parametrize("subject", OWN, ids=named)
class TestDrivers:
    def test_a_driver_says_its_version(self, lab, subject):
        with lab.start(subject, lab.fresh()) as driver:
            answer = driver.step("hello")

        assert answer["version"]
        assert answer["together"] in ("async", "threads")

    def test_each_append_has_a_time_and_what_is_stored_is_written(self, lab, subject):
        with opened(lab, subject) as driver:
            driver.step("create")
            first, second = driver.step("say", count=3), driver.step("say", count=2)

        assert (len(first["times"]), len(second["times"])) == (3, 2)
        assert second["said"] == 5
        assert (second["written"] > 2 * len(text_of(0))) == subject.stored

    def test_an_append_stops_at_its_budget(self, lab, subject):
        with opened(lab, subject) as driver:
            driver.step("create")

            assert driver.step("say", count=10, budget=0)["said"] == 1

    def test_alternatives_and_switches_lead_to_the_paths_that_they_name(self, lab, subject):
        with opened(lab, subject) as driver:
            driver.step("create")
            driver.step("say", count=12)

            assert len(driver.step("alternatives", places=[3, 0, 7])["times"]) == 3
            assert len(driver.step("switches", places=[5, 11, 0])["times"]) == 3

    def test_a_past_moment_is_the_path_of_then_or_it_cannot(self, lab, subject):
        with opened(lab, subject) as driver:
            driver.step("create")
            driver.step("say", count=8)
            if subject.driver == "with_sqlite":
                with pytest.raises(Stopped, match="cannot: moves of the cursor"):
                    driver.step("pasts", moments=[3])
            else:
                assert len(driver.step("pasts", moments=[3, 8, 1])["times"]) == 3

    def test_a_list_is_checked_for_what_it_finds(self, lab, subject):
        with opened(lab, subject) as driver:
            assert driver.step("shelf", first=0, count=20, messages=2) == {"made": 20}
            driver.step("newest", limit=5, expected=5)
            if subject.driver == "with_lines":
                with pytest.raises(Stopped, match="cannot: every file"):
                    driver.step("count", team="team-3", expected=2)
            else:
                driver.step("filtered", team="team-3", limit=50, expected=2)
                driver.step("count", team="team-3", expected=2)
            with pytest.raises(Stopped, match="found 20 conversations, expected 21"):
                driver.step("newest", limit=50, expected=21)

    def test_many_writers_lose_nothing(self, lab, subject):
        with opened(lab, subject) as driver:
            answer = driver.step("crowd", writers=5, each=3)
            found = driver.step("lengths", chats=[f"writer-{number}" for number in range(5)])

        assert (len(answer["times"]), answer["errors"]) == (15, [])
        assert found["lengths"] == [3] * 5

    def test_both_of_two_writers_are_kept_as_alternatives(self, lab, subject):
        with opened(lab, subject) as driver:
            answer = driver.step("race")

        assert answer == {"kept": ["first", "second"], "shown": ["second"], "told": ""}


@pytest.mark.parametrize("subject", STORED, ids=named)
@pytest.mark.parametrize("shape", ["linear", "bushy"])
def test_what_was_built_is_read_by_another_process(lab, subject, shape):
    folder = lab.fresh()
    with lab.start(subject, folder) as driver:
        driver.step("open")
        assert driver.step("build", shape=shape, count=250)["said"] == 250
        driver.step("close")
    with lab.start(subject, folder) as driver:
        assert driver.step("cold", shape=shape, count=250)["seconds"] > 0
    with lab.start(subject, folder) as driver:
        if subject.path_only:
            assert driver.step("cold", shape=shape, count=250, whole=False)["seconds"] > 0
        else:
            with pytest.raises(Stopped, match="no other way than loading"):
                driver.step("cold", shape=shape, count=250, whole=False)


class TestProcesses:
    SUBJECT = STORED[0]

    def test_a_process_that_is_too_slow_is_ended_and_told(self, lab):
        lab.budget_seconds = 0.1
        with lab.start(self.SUBJECT, lab.fresh()) as driver:
            with pytest.raises(Stopped, match=r"stopped after 0\.3 s"):
                driver.step("alone", chat="x", count=0, at=1e12)
            assert driver._process.poll() is not None

    def test_a_process_that_ends_is_told(self, lab):
        with lab.start(self.SUBJECT, lab.fresh()) as driver:
            driver._process.kill()
            driver._process.wait()
            with pytest.raises(Stopped, match="its process ended"):
                driver.step("hello")

    def test_an_error_of_a_subject_is_told(self, lab):
        with opened(lab, self.SUBJECT) as driver, pytest.raises(Stopped, match="error: ConversationNotFound"):
            driver.step("cold", shape="linear", count=1)

    def test_filling_stops_when_all_turns_together_use_up_the_budget(self, lab):
        with opened(lab, self.SUBJECT) as driver, pytest.raises(Stopped, match="stopped at 1 conversations after 0 s"):
            driver.step("shelf", first=0, count=5, messages=1, budget=0)

    def test_a_process_has_a_limit_of_memory(self, lab):
        with opened(lab, self.SUBJECT) as driver:
            limits = Path(f"/proc/{driver._process.pid}/limits").read_text()

        assert str(MEMORY_LIMIT_BYTES) in limits

    def test_without_strace_waits_are_not_counted(self, lab, monkeypatch):
        monkeypatch.setattr(running_module.shutil, "which", lambda _: None)

        assert running_module.waits_a_message(lab, self.SUBJECT) is None


class TestShapes:
    @pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 1_000, 2_345])
    def test_a_bushy_tree_has_a_path_of_100_to_its_last(self, count):
        parents = parents_of("bushy", count)

        assert len(parents) == count
        assert all(parent < place for place, parent in enumerate(parents))
        assert len(line_of(parents, count - 1)) == min(count, 100)

    def test_a_line_is_as_long_as_it_has_messages(self):
        assert line_of(parents_of("linear", 7), 6) == list(range(7))

    def test_texts_differ_and_are_of_one_length(self):
        texts = [text_of(number) for number in (0, 7, 12_345)]

        assert len(set(texts)) == 3
        assert {len(text) for text in texts} == {300}


def known(name, waits, stored=True):
    return Known(name, "1.0", waits, stored)


KNOWN = [
    known("sqlite3, FULL", 1.0),
    known("sqlite3, NORMAL", 0.0),
    known("slow", 3.0),
    known("light", 0.01),
    known("gone", 0.0, stored=False),
]


class TestTables:
    def test_durability_is_what_was_counted(self):
        assert [each.durability for each in KNOWN] == ["durable", "relaxed", "durable", "relaxed", "in memory"]
        assert "| slow | 1.0 | 3.00 | durable |" in subjects_table(KNOWN)
        assert "| x | 1.0 | not counted | relaxed |" in subjects_table([known("x", None)])

    def test_like_stands_beside_like_with_ratios_to_the_bare_side(self):
        values = {"sqlite3, FULL": 100, "slow": 250, "sqlite3, NORMAL": 10, "light": 5, "gone": 1}
        text = tables([Finding("append", name, "time", 100, value, "µs") for name, value in values.items()], KNOWN)

        assert "| slow | 250 µs (2.5) |  |" in text
        assert "| light | 5 µs (0.5) |  |" in text
        assert "| gone | 1 µs |  |" in text
        assert text.index("Durable:") < text.index("| slow") < text.index("Relaxed:") < text.index("| light")

    def test_what_cannot_be_done_is_told_with_its_reason(self):
        findings = [
            Finding("list", "sqlite3, FULL", "count", 100, 3.0, "µs"),
            Finding("list", "slow", "count", 100, None, "", "cannot: no | count"),
        ]

        assert r"| slow | cannot | count: cannot: no \| count |" in tables(findings, KNOWN)

    def test_a_path_alone_stands_beside_the_path_of_the_bare_side(self):
        findings = [
            Finding("open", "sqlite3, FULL", "bushy", 100, 2.0, "ms"),
            Finding("open", "slow", "bushy, path only", 100, 3.0, "ms"),
        ]

        assert "| slow |  | 3 ms (1.5) |  |" in tables(findings, KNOWN)

    def test_sums_are_shown_at_the_greatest_size_only(self):
        findings = [Finding("append", "slow", "time in all", size, 1.0, "s") for size in (100, 1_000)]
        text = tables(findings, KNOWN)

        assert "time in all, 1,000" in text
        assert "time in all, 100 " not in text

    @pytest.mark.parametrize(
        ("value", "shown"), [(0, "0"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1,234"), (0.00123, "0.00123")]
    )
    def test_a_number_has_three_digits_that_count(self, value, shown):
        assert figure(value) == shown


def grown(subject, exponent, sizes=(100, 1_000, 10_000)):
    return [
        {"workload": "open", "subject": subject, "what": "linear", "size": size, "value": size**exponent, "unit": "ms"}
        for size in sizes
    ]


class TestCharts:
    @pytest.mark.parametrize("exponent", [0, 0.5, 1, 2])
    def test_the_slope_is_the_exponent(self, exponent):
        lines = charts.charted(grown("x", exponent))

        assert math.isclose(charts.slope(lines["open", "linear", "ms"]["x"]), exponent, abs_tol=1e-9)

    def test_what_has_one_size_or_no_value_is_left_out(self):
        nothing = [{**finding, "value": None} for finding in grown("y", 1)]

        assert charts.charted([*grown("x", 1, sizes=(100,)), *nothing]) == {}

    def test_slopes_are_a_table(self):
        table = charts.slopes_table(charts.charted([*grown("one", 1), *grown("two", 2)]))

        assert "| open | linear | one | 100 to 10,000 | 1.00 |" in table
        assert "| open | linear | two | 100 to 10,000 | 2.00 |" in table

    def test_each_figure_is_drawn(self, tmp_path, capsys):
        pytest.importorskip("matplotlib", reason="charts need matplotlib, which is an extra of its own")
        found = tmp_path / "findings.json"
        found.write_text(json.dumps({"findings": [*grown("one", 1), *grown("two", 2)]}))

        charts.main([str(found), str(tmp_path / "pictures")])

        (picture,) = (tmp_path / "pictures").iterdir()
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert "slope" in capsys.readouterr().out


def test_the_command_writes_what_it_found(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "waits_a_message", lambda *_: 1.0)
    arguments = ["--quick", "--only", "race", "--subjects", "branchlog, async", "JSON Lines"]
    places = ["--json", str(tmp_path / "x.json"), "--markdown", str(tmp_path / "x.md"), "--folder", str(tmp_path)]

    command.main([*arguments, *places, "--venvs", str(tmp_path / "venvs")])

    found = json.loads((tmp_path / "x.json").read_text())
    kept = [finding for finding in found["findings"] if finding["what"] == "messages kept of two"]
    assert {finding["subject"]: finding["value"] for finding in kept} == {
        "branchlog, async": 2,
        "branchlog, async, relaxed": 2,
        "JSON Lines": 2,
        "JSON Lines, relaxed": 2,
    }
    assert (tmp_path / "x.md").read_text() in capsys.readouterr().out


def test_workloads_answer_findings_for_all_or_say_why_not(lab):
    lab.subjects = tuple(subject for subject in OWN if subject.name in ("branchlog, relaxed", "sqlite3, NORMAL"))

    for workload in (workloads.appending, workloads.opening, workloads.branching, workloads.listing):
        findings = workload(lab)
        assert {finding.subject for finding in findings} == {subject.name for subject in lab.subjects}
        assert all(finding.value is not None or finding.note.startswith("cannot: ") for finding in findings)
