"""Sampling reports of Open-Assistant's model evaluation: one object with many prompts and the replies sampled to each.

Each prompt is a conversation with its replies as alternatives. A reply is told from another one by the report, the
prompt, the settings and its number among equal ones: two samples of one text are two nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any

from branchlog._core.message import Json, canonical
from branchlog.errors import InvalidInput
from branchlog.formats.carry import JsonObject, Repair, Repairs, Skipped, carried, kind_of, message
from branchlog.formats.lists import ID_LENGTH, Found, first_line
from branchlog.formats.outline import Outline, Turn, described, moment

FORMAT = "oasst-sampling"

PROMPTS_LOOKED_AT = 10
"""Prompts at the beginning of a report by which it is known; some may be damaged."""


def recognises_records(values: Sequence[Json]) -> bool:
    """Whether one of these is a report."""
    return any(map(_is_report, values))


def _is_report(value: Json) -> bool:
    prompts = value.get("prompts") if isinstance(value, dict) else None
    return isinstance(prompts, list) and any(map(_is_sampled, prompts[:PROMPTS_LOOKED_AT]))


def _is_sampled(sampled: Json) -> bool:
    return isinstance(sampled, dict) and "prompt" in sampled and isinstance(sampled.get("results"), list)


def read_records(records: Iterable[tuple[str, Json]], name: str) -> Iterator[Found | Skipped]:  # noqa: ARG001  # a conversation is named by the report and its prompt
    """A conversation for each prompt."""
    for where, value in records:
        if not _is_report(value):
            yield Skipped(where, f"not a sampling report: {described(value)}")
            continue
        about = {key: field for key, field in value.items() if key != "prompts"}
        seen: Counter[str] = Counter()
        for number, sampled in enumerate(value["prompts"], 1):
            place = f"{where}, prompt {number}"
            try:
                yield (place, *_read(sampled, about, place, seen))
            except InvalidInput as error:
                yield Skipped(place, str(error))


def _read(sampled: Json, about: JsonObject, where: str, seen: Counter[str]) -> tuple[Outline, Repairs]:
    if not _is_sampled(sampled) or not isinstance(sampled["prompt"], str):
        raise InvalidInput(f"not a prompt with results: {described(sampled)}")
    repairs: Repairs = []
    about = carried(about, where, repairs)
    rest = carried({key: field for key, field in sampled.items() if key not in ("prompt", "results")}, where, repairs)
    made = message("user", sampled["prompt"], where, repairs)
    seen[made.text] += 1
    prompt = Turn(id=_id(about, made.text, seen[made.text]), message=made, metadata=rest)
    date = about.get("date")
    turns = [prompt, *_replies(prompt.id, sampled["results"], where, repairs)]
    created = moment(date if isinstance(date, str) else None, "date", where, repairs)
    return Outline(
        format=FORMAT,
        id=f"{FORMAT}-{prompt.id}",
        title=first_line(made.text, where),
        metadata=about,
        turns=tuple(turns),
        current=turns[1].id if len(turns) > 1 else prompt.id,
        created=created,
    ), repairs


def _id(*said: Json) -> str:
    return sha256(canonical(said)).hexdigest()[:ID_LENGTH]


def _replies(parent: str, results: list[Any], where: str, repairs: Repairs) -> Iterator[Turn]:
    equal: Counter[str] = Counter()
    for number, result in enumerate(results, 1):
        place = f"{where}, result {number}"
        outputs = result.get("outputs") if isinstance(result, dict) else None
        if not isinstance(outputs, list):
            repairs.append(Repair(place, f"no list of outputs, but {described(result)}; left out"))
            continue
        settings = carried({key: field for key, field in result.items() if key != "outputs"}, place, repairs)
        for output in outputs:
            if not isinstance(output, str):
                repairs.append(Repair(place, f"an output is {kind_of(output)}, not text; left out"))
                continue
            made = message("assistant", output, place, repairs)
            same = _id(parent, settings, made.text)
            equal[same] += 1
            yield Turn(id=_id(same, equal[same]), parent=parent, message=made, metadata={"result": settings})
