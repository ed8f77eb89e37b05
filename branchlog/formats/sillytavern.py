"""SillyTavern: a chat as JSON Lines, a header and then a message in each line.

The swipes of a message are alternatives; the one that is shown carries what follows. A message is told by the number of
its line, that of the swipe, and what is said there and above: so a later export of the chat adds what is new, a message
that was changed there is an alternative here, and the files of branches and checkpoints, which begin alike, come into
the tree of the chat that they were made from. The links between files are by name, and are kept as they stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import attrs

from branchlog._core.message import Json
from branchlog.formats.blocks import name_of
from branchlog.formats.carry import (
    JsonObject,
    Repair,
    Repairs,
    Skipped,
    carried_text,
    free,
    json_text,
    kind_of,
    message,
    shaped,
)
from branchlog.formats.outline import Outline, Turn, described, moment, seconds, title_of, under_a_root

FORMAT = "sillytavern"

HEADER = ("user_name", "character_name", "chat_metadata")
"""Fields of a header."""

UNUSED = "unused"
"""What newer headers have as names."""

HUMANIZED = re.compile(r"(\d{4})-(\d\d?)-(\d\d?) ?@ ?(\d\d?)h ?(\d\d?)m ?(\d\d?)s(?: ?(\d{1,3})ms)?", re.ASCII)
WRITTEN_OUT = re.compile(r"([A-Z][a-z]+) (\d\d?), (\d{4}) (\d\d?):(\d\d) ?([ap])m", re.ASCII)
MILLISECONDS = re.compile(r"\d{11,16}", re.ASCII)
NUMBER = re.compile(r"\w+ (\d+)", re.ASCII)
"""A place that ends in a number: that of a line, or of an element of an array."""

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

Record: TypeAlias = tuple[str, Json]
Found: TypeAlias = tuple[str, Outline, Repairs]


@attrs.frozen
class _Fields:
    """The fields of a message that mean something here."""

    name: str | None = None
    mes: str | None = None
    is_user: bool | None = None
    is_system: bool | None = None
    extra: dict[str, Any] | None = None
    swipe_id: float | None = None
    swipes: list[Any] | None = None
    swipe_info: list[Any] | None = None


@attrs.define
class _Chat:
    """A chat that is being read. ``shown`` is the node that the next message hangs under."""

    where: str
    header: JsonObject
    first: int | None = None
    shown: str | None = None
    named: str | None = None
    speaker: str | None = None
    turns: list[Turn] = attrs.field(factory=list)
    taken: set[str] = attrs.field(factory=set)
    repairs: Repairs = attrs.field(factory=list)


def recognises_records(values: Sequence[Json]) -> bool:
    """Whether there is a header among these, or a message."""
    return any(isinstance(value, dict) and (_is_header(value) or _is_message(value)) for value in values)


def _is_header(value: JsonObject) -> bool:
    return "mes" not in value and "user_name" in value and ("character_name" in value or "chat_metadata" in value)


def _is_message(value: JsonObject) -> bool:
    return "mes" in value and not value.keys().isdisjoint(("is_user", "swipes", "send_date"))


def read_records(records: Iterable[Record], name: str) -> Iterator[Found | Skipped]:
    """The chat of a file; where several are behind one another, one for each header."""
    chat = _Chat(carried_text(f"chat {name!r}", "", []), {})
    for number, (where, value) in enumerate(records):
        if not isinstance(value, dict) or not (_is_header(value) or "mes" in value or "swipes" in value):
            yield Skipped(where, f"not a message of SillyTavern: {described(value)}")
        elif _is_header(value):
            if chat.turns or chat.header:
                yield _found(chat)
            chat = _Chat(carried_text(f"chat {name!r}", "", []), value)
        else:
            _add(chat, value, _number(where, number), where)
    if chat.turns or chat.header:
        yield _found(chat)


def _number(where: str, otherwise: int) -> int:
    """The number of a line, which stays the same where a line before it is damaged."""
    found = NUMBER.fullmatch(where)
    return int(found[1]) if found else otherwise


def _found(chat: _Chat) -> Found:
    outline = Outline(
        format=FORMAT,
        id=None if chat.named is None else f"{FORMAT}-{chat.named}",
        title=_title(chat),
        metadata=chat.header,
        turns=under_a_root(chat.turns),
        current=chat.shown,
    )
    return chat.where, outline, chat.repairs


def _title(chat: _Chat) -> str | None:
    """Whom one is talking to."""
    name = chat.header.get("character_name")
    title = name if isinstance(name, str) and name not in ("", UNUSED) else chat.speaker
    return title_of(title, chat.where, chat.repairs)


# A message.


def _add(chat: _Chat, raw: JsonObject, number: int, where: str) -> None:
    """Add the swipes of a message as alternatives."""
    place = f"{chat.where}, {where}"
    present = {key: field for key, field in raw.items() if field is not None}
    fields, wrong = shaped(_Fields, present, place, chat.repairs)
    chat.first = number if chat.first is None else chat.first
    texts, shown = _swipes(raw, fields, place, chat.repairs)
    if chat.named is None:
        chat.named = name_of([fields.name, raw.get("send_date"), texts[0]])
    if chat.speaker is None and fields.is_user is not True:
        chat.speaker = fields.name
    above = chat.shown
    linked = isinstance((fields.extra or {}).get("bookmark_link"), str)
    for swipe, text in enumerate(texts):
        told = name_of([above, fields.name, text])[:12]
        id = free(f"{number - chat.first}.{swipe}.{told}", chat.taken)
        chat.taken.add(id)
        kept = _of_line(raw, fields, wrong, len(texts), shown) if swipe == shown else _of_swipe(fields, swipe)
        if "id" in kept:
            kept[free("original_id", kept)] = kept.pop("id")
        turn = Turn(
            id=id,
            parent=above,
            message=message(_role(fields), text, place, chat.repairs, name=fields.name),
            time=moment(_stamp(kept.get("send_date")), "send_date", place, chat.repairs),
            bookmark=linked and swipe == shown,
            metadata=kept,
        )
        chat.turns.append(turn)
        if swipe == shown:
            chat.shown = id


def _swipes(raw: JsonObject, fields: _Fields, place: str, repairs: Repairs) -> tuple[list[str], int]:
    """What was said, in all its versions, and which is shown. What the message itself says counts."""
    said = fields.mes
    if said is None:
        repairs.append(Repair(place, "no text; the message is empty" if not fields.swipes else "no text of its own"))
    texts = [_text(swipe, place, repairs) for swipe in fields.swipes or ()]
    if not texts:
        return [said or ""], 0
    wanted = fields.swipe_id
    shown = int(wanted) if wanted is not None and wanted in range(len(texts)) else None
    if shown is None:
        shown = texts.index(said) if said in texts else len(texts) if said is not None else 0
        repairs.append(Repair(place, f"swipe_id is {_shown(raw.get('swipe_id'))}; its text says which swipe is shown"))
    if said is not None and shown == len(texts):
        texts.append(said)
    elif said is not None and texts[shown] != said:
        repairs.append(Repair(place, "its text is another than that of the swipe that is shown; the text counts"))
        texts[shown] = said
    return texts, shown


def _shown(value: Json) -> str:
    return str(value) if isinstance(value, int | float) and abs(value) < 1_000 else kind_of(value)


def _text(swipe: Json, place: str, repairs: Repairs) -> str:
    if isinstance(swipe, str):
        return swipe
    repairs.append(Repair(place, f"a swipe is {kind_of(swipe)}, not text; its JSON is the text"))
    return json_text(swipe)


def _role(fields: _Fields) -> str:
    """The program's own messages have a type; others that are marked as the system's are hidden from the model."""
    if fields.is_user is True:
        return "user"
    typed = isinstance((fields.extra or {}).get("type"), str)
    return "system" if fields.is_system is True and typed else "assistant"


def _of_line(raw: JsonObject, fields: _Fields, wrong: set[str], count: int, shown: int) -> JsonObject:
    """What the shown swipe has beside its text: the fields of the line, and what is said of it as a swipe."""
    carried = {"name", "mes", "swipes", "swipe_info"} - wrong
    kept = {key: field for key, field in raw.items() if key not in carried}
    swipes, infos = fields.swipes or [], fields.swipe_info or []
    if shown < len(swipes) and fields.mes is not None and swipes[shown] != fields.mes:
        kept[free("swipe", kept)] = swipes[shown]
    if shown < len(infos):
        kept[free("swipe_info", kept)] = infos[shown]
    if len(infos) > count:
        kept[free("more_swipe_info", kept)] = infos[count:]
    return kept


def _of_swipe(fields: _Fields, swipe: int) -> JsonObject:
    """What is said of another one than the shown."""
    infos = fields.swipe_info or []
    info = infos[swipe] if swipe < len(infos) else None
    if isinstance(info, dict):
        return dict(info)
    return {} if info is None else {"swipe_info": info}


def _stamp(value: Json) -> float | str | None:
    """A time as SillyTavern has written it over the years; those without a zone are taken as UTC."""
    if isinstance(value, str):
        if MILLISECONDS.fullmatch(value):
            return seconds(int(value))
        return _of_humanized(value) or _of_written_out(value) or value
    return seconds(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _of_humanized(text: str) -> str | None:
    found = HUMANIZED.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(number) for number in found.groups()[:6])
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{int(found[7] or 0):03}"


def _of_written_out(text: str) -> str | None:
    found = WRITTEN_OUT.fullmatch(text)
    if found is None or found[1] not in MONTHS:
        return None
    hour = int(found[4]) % 12 + (12 if found[6] == "p" else 0)
    return f"{found[3]}-{MONTHS.index(found[1]) + 1:02}-{int(found[2]):02}T{hour:02}:{found[5]}"
