"""The benchmarks beside other libraries: what the drivers answer, and how figures become tables and charts.

Only subjects that need no other library are started, at sizes that take no time. Nothing is timed.
"""

import json
import math
import subprocess
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import paths_of_benchmarks  # noqa: F401  # for its effect: what is imported below is found
import pytest
from driving import MEMORY_LIMIT_BYTES, line_of, parents_of, text_of

import branchlog
from benchmarks import __main__ as command
from benchmarks import charts, growth
from benchmarks.goals import goals
from benchmarks.measure import Figure
from benchmarks.peers import __main__ as peers_command
from benchmarks.peers import comparison, workloads
from benchmarks.peers import running as running_module
from benchmarks.peers import subjects as subjects_module
from benchmarks.peers.running import Lab, Stopped
from benchmarks.peers.standing import behind, behind_text
from benchmarks.peers.subjects import SUBJECTS, Contender
from benchmarks.peers.tables import Known, figure, subjects_table, tables
from benchmarks.peers.turns import Finding

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
            assert len(driver.step("moves", places=[7, 2])["times"]) == 2

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
@pytest.mark.parametrize("shape", ["linear", "bushy", "imported"])
def test_what_was_built_is_read_by_another_process(lab, subject, shape):
    folder = lab.fresh()
    with lab.start(subject, folder) as driver:
        driver.step("open", to_build=True)
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


def test_a_tree_that_came_to_be_has_a_commit_a_message_and_an_imported_one_has_one(lab):
    (subject,) = (each for each in OWN if each.name == "branchlog")
    commits = {}
    for shape in ("bushy", "imported"):
        folder = lab.fresh()
        with lab.start(subject, folder) as driver:
            driver.step("open", to_build=True)
            driver.step("build", shape=shape, count=120)
            driver.step("close")
        with branchlog.open(folder / "chats.db") as store:
            commits[shape] = len(store.log.read("measured"))

    assert commits == {"bushy": 1 + 120, "imported": 1 + 1}


@pytest.mark.parametrize("subject", STORED, ids=named)
def test_memory_is_counted_beside_the_bytes_on_disk(lab, subject):
    folder = lab.fresh()
    with lab.start(subject, folder) as driver:
        driver.step("texts", length=750)
        driver.step("open", to_build=True)
        driver.step("build", shape="linear", count=2_000)
        on_disk = driver.step("close")["on_disk"]
    with lab.start(subject, folder) as driver:
        driver.step("texts", length=750)
        answer = driver.step("weigh", shape="linear", count=2_000)

    assert answer["stored"] == on_disk > 750 * 2_000
    assert answer["memory"] > 750 * 1_000


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


def known(name, waits, stored=True, own=False):
    return Known(name, "1.0", waits, stored, own)


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
        assert "| x | 1.0 | not counted | not counted |" in subjects_table([known("x", None)])

    def test_what_is_missing_says_why(self):
        missing = Known("x", "", None, stored=True, missing="not installed: no network")

        assert "| x | not installed: no network | not counted | not measured |" in subjects_table([missing])

    def test_many_writers_are_set_beside_one_who_waits_for_each_message(self):
        findings = [
            Finding("together", "sqlite3, FULL", "1 writer: messages a second", 1, 50.0, "messages/s"),
            Finding("together", "slow", "64 writers: messages a second", 64, 200.0, "messages/s"),
        ]

        assert "| slow |  | 200 messages/s | 4 times |  |" in tables(findings, KNOWN)

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
        lines = growth.charted(grown("x", exponent))

        assert math.isclose(growth.slope(lines["open", "linear", "ms"]["x"]), exponent, abs_tol=1e-9)

    def test_what_has_one_size_or_no_value_is_left_out(self):
        nothing = [{**finding, "value": None} for finding in grown("y", 1)]

        assert growth.charted([*grown("x", 1, sizes=(100,)), *nothing]) == {}

    def test_growth_is_that_of_the_figure_less_that_of_its_output(self):
        linear, square = growth.growths([*grown("branchlog", 1), *grown("branchlog, async", 2)])

        assert (round(linear.excess, 9), linear.worse_than_linear) == (0, False)
        assert (round(square.excess, 9), square.worse_than_linear) == (1, True)
        assert linear.verdict == "linear in the messages of the path"
        assert square.verdict.endswith("worse than linear in the nodes of the tree")

    def test_growth_that_small_sizes_hide_is_found_between_the_greatest(self):
        points = ((100, 1.0), (1_000, 1.0), (10_000, 1.0), (100_000, 2.0))
        hidden = growth.Growth("append", "time at length", "x", points, 0, "one message")

        assert hidden.exponent < growth.ALLOWANCE < hidden.last_exponent
        assert hidden.worse_than_linear

    def test_what_is_worse_than_linear_is_told_first(self):
        text = growth.growth_text([*grown("branchlog", 2), *grown("peer", 3)])

        assert text.startswith("Worse than linear in its own output:\n\n- open, linear, branchlog: grows with n^2.00")
        assert "| open | linear | branchlog | 100 to 10,000 | 2.00 | 2.00 |" in text
        assert "peer" not in text
        assert growth.growth_text(grown("branchlog", 1)).startswith("Nothing is worse than linear")
        assert growth.growth_text(grown("peer", 3)) == "Nothing was measured at two sizes."

    def test_the_picture_and_the_table_are_written(self, tmp_path, capsys):
        pytest.importorskip("matplotlib", reason="charts need matplotlib, which is an extra of its own")
        found = tmp_path / "findings.json"
        subjects = [{"name": "branchlog", "durability": "durable"}, {"name": "peer", "durability": "relaxed"}]
        findings = [*grown("branchlog", 1), *grown("peer", 2)]
        found.write_text(json.dumps({"surroundings": {"python": "x"}, "subjects": subjects, "findings": findings}))

        charts.main([str(found), str(tmp_path / "pictures"), "--check"])

        assert (tmp_path / "pictures" / "growth.png").read_bytes().startswith(b"\x89PNG")
        assert capsys.readouterr().out in (tmp_path / "pictures" / "growth.md").read_text()

    def test_the_check_fails_where_branchlog_grows_worse_than_linear(self, tmp_path):
        found = tmp_path / "findings.json"
        found.write_text(json.dumps({"findings": grown("branchlog", 2)}))

        with pytest.raises(SystemExit, match="1"):
            charts.main([str(found), "--check"])


BESIDE = [known("branchlog", 1.0, own=True), known("sqlite3, FULL", 1.0, own=True), known("a", 1.0), known("b", 0.0)]


def found(subject, value, what="time", workload="append", unit="µs", size=100, note=""):
    return Finding(workload, subject, what, size, value, unit, note)


class TestStanding:
    def test_who_is_ahead_is_told_like_for_like_and_bare_sides_are_not_libraries(self):
        findings = [found("branchlog", 30), found("sqlite3, FULL", 1), found("a", 10), found("b", 1)]

        (only,) = behind(findings, BESIDE)

        assert (only.other.subject, only.by) == ("a", 3)
        assert "| append | time, 100 | branchlog | 30 µs | a (10 µs, 3 times) |" in behind_text(findings, BESIDE)

    def test_more_messages_a_second_are_ahead(self):
        rates = [found(name, value, "64 writers: messages a second") for name, value in (("branchlog", 5), ("a", 4))]

        assert behind(rates, BESIDE) == []
        assert [each.by for each in behind([rates[0], found("a", 10, rates[0].what)], BESIDE)] == [2]

    def test_a_path_alone_and_an_import_are_compared_with_what_others_do_for_it(self):
        own = [found("branchlog", 2, what) for what in ("bushy, path only", "imported", "path only: peak memory")]

        assert len(behind([*own, found("a", 1, "bushy"), found("a", 1, "peak memory")], BESIDE)) == 3

    def test_no_figure_where_another_has_one_is_behind(self):
        findings = [found("branchlog", None, note="stopped at 7"), found("a", 10)]

        assert "| branchlog | stopped at 7 | a (10 µs) |" in behind_text(findings, BESIDE)

    def test_nobody_ahead_and_nobody_there_are_two_things(self):
        assert behind_text([found("branchlog", 1), found("a", 2)], BESIDE).startswith("No other library is ahead")
        assert behind_text([found("branchlog", 1)], BESIDE[:2]) == "No other library was measured."


class TestGoals:
    def verdicts(self, findings):
        return {each.what: each.verdict for each in goals(findings, BESIDE[:2])}

    def test_an_append_is_set_beside_the_bare_one_at_each_length(self):
        own = [found("branchlog", value, "time at length", size=size) for value, size in ((11, 100), (12, 1_000))]
        bare = [found("sqlite3, FULL", 10, "time at length", size=size) for size in (100, 1_000)]

        assert self.verdicts([*own, *bare]) == {
            "time at length, 100: branchlog to sqlite3, FULL": "at most 1.15: reached",
            "time at length, 1,000: branchlog to sqlite3, FULL": "at most 1.15: missed",
            "worse than linear in its own output, of 1 figures": "at most 0: reached",
        }

    def test_many_writers_are_set_beside_one_bare_writer(self):
        findings = [
            found("branchlog, async", 1_000, "64 writers: messages a second", "together", size=64),
            found("sqlite3, FULL", 50, "1 writer: messages a second", "together", size=1),
        ]

        assert self.verdicts(findings) == {
            "64 writers, branchlog, async, to one writer of sqlite3, FULL": "at least 10: reached"
        }

    def test_a_bushy_tree_is_judged_at_its_greatest_size_in_time_and_memory(self):
        findings = [
            found(name, value * size, "bushy", "open", size=size)
            for name, value in (("branchlog", 6), ("sqlite3, FULL", 1))
            for size in (1_000, 100_000)
        ]
        memory = found("branchlog", 31, "bushy: peak memory a message", "open", size=100_000)

        verdicts = self.verdicts([*findings, memory])

        assert verdicts["bushy, 100,000: branchlog to sqlite3, FULL"] == "at most 5: missed"
        assert verdicts["bushy: peak memory a message, 100,000: branchlog"] == "at most 32: reached"
        assert not any("bushy, 1,000" in what for what in verdicts)

    def test_an_alternative_is_set_beside_a_message_at_the_end(self):
        findings = [
            found("branchlog", value, what, "alternative")
            for what, value in (("alternative", 3), ("message at the end", 2))
        ]

        assert self.verdicts(findings) == {
            "alternative, 100: branchlog to message at the end of branchlog": "at most 1.15: missed"
        }


def test_the_command_writes_what_it_found(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(comparison, "waits_a_message", lambda *_: 1.0)
    monkeypatch.setattr(command, "_module", lambda name: AloneWorkload)
    arguments = ["--quick", "--only", "saving", "--only", "peers:race", "--subjects", "branchlog, async", "JSON Lines"]
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
    assert [figure["what"] for figure in found["figures"]] == ["one thing"]
    assert found["goals"][0]["goal"] == 2.0
    written = (tmp_path / "x.md").read_text()
    assert "| saving | one thing | 1 times | at most 2: reached |" in written
    assert written.partition("## Beside others")[2].strip() in capsys.readouterr().out


class AloneWorkload:
    """A workload of branchlog alone, as a module of that name is one."""

    @staticmethod
    def run(folder, quick):
        return [Figure("saving", "one thing", 1.0, "times", 2.0)]


def test_what_is_named_is_run_once_and_in_order():
    assert command._names(["peers:open", "saving", "peers:open"]) == ["peers:open", "saving"]
    assert command._names(["peers", "alone"]) == [*command.PEERS, *command.CORE]
    assert command._names(None) == [*command.CORE, *command.PEERS]


def test_the_command_of_the_peers_names_their_workloads_for_the_one_command():
    assert peers_command.named(["--quick"]) == ["--quick", "--only", "peers"]
    assert peers_command.named(["--only", "race", "--quick"]) == ["--only", "peers:race", "--quick"]
    assert peers_command.named(["--only=append", "--only", "peers:open"]) == [
        *("--only", "peers:append"),
        *("--only", "peers:open"),
    ]


def test_a_subject_that_does_not_exist_is_told(tmp_path):
    with pytest.raises(SystemExit, match="no subject has a name that begins with nobody"):
        command.main(["--subjects", "nobody", "--folder", str(tmp_path)])


def test_what_cannot_be_installed_is_told_once_and_the_others_go_on(tmp_path, capsys, monkeypatch):
    tried = []

    def fails(command, **_):
        tried.append(command)
        raise subprocess.CalledProcessError(1, command, stderr="WARNING: again\nERROR: No matching distribution\n")

    monkeypatch.setattr(subjects_module.venv, "create", lambda *_, **__: None)
    monkeypatch.setattr(subjects_module.subprocess, "run", fails)
    monkeypatch.setattr(comparison, "waits_a_message", lambda *_: 1.0)
    wanted = comparison.chosen(["dataknobs-llm", "JSON Lines, relaxed"])

    prepared = comparison.prepared(tmp_path, tmp_path / "venvs", wanted, quick=True, budget_seconds=5)

    assert [each.name for each in prepared.lab.subjects] == ["JSON Lines, relaxed"]
    assert len(tried) == 1
    assert {each.durability for each in prepared.known if each.missing} == {"not measured"}
    told = capsys.readouterr().err
    assert "dataknobs-llm, file is left out: not installed: pip could not install dataknobs-llm==" in told
    assert "(ERROR: No matching distribution); run this once with a network" in told


def test_a_subject_that_does_not_run_is_left_out(tmp_path, monkeypatch):
    def stops(*_):
        raise Stopped("error: its process ended")

    monkeypatch.setattr(comparison, "waits_a_message", stops)

    prepared = comparison.prepared(
        tmp_path, tmp_path, comparison.chosen(["JSON Lines, relaxed"]), quick=True, budget_seconds=5
    )

    assert prepared.lab.subjects == ()
    assert prepared.known[0].missing == "cannot append: error: its process ended"


def test_workloads_answer_findings_for_all_or_say_why_not(lab):
    """And each figure that is new and has several sizes is to be given an output, or growth would pass it over."""
    lab.subjects = tuple(subject for subject in OWN if subject.name in ("branchlog, relaxed", "sqlite3, NORMAL"))
    all_findings = []

    for name in ("append", "open", "branch", "list", "memory"):
        findings = workloads.WORKLOADS[name](lab)
        assert {finding.subject for finding in findings} == {subject.name for subject in lab.subjects}
        assert all(finding.value is not None or finding.note.startswith("cannot: ") for finding in findings)
        all_findings += findings

    without = [key for key in growth.charted(map(asdict, all_findings)) if growth.output_of(key[0], key[1]) is None]
    assert [what for _, what, _ in without] == [
        "peak memory to bytes on disk",
        "path only: peak memory to bytes on disk",
    ]
