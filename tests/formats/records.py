"""What the tests of formats share whose conversations are several values: bringing them in, and damaging them."""

from formats.exports import anything
from hypothesis import strategies as st

from branchlog.formats.carry import Skipped
from branchlog.formats.outline import add_missing, mended, start


def placed(values):
    """Values as lines of a file."""
    return [(f"line {number}", value) for number, value in enumerate(values, 1)]


def found(format, values):
    """The conversations of a file, each with its outline and what was repaired, and what was skipped."""
    conversations, skipped = [], []
    for each in format.read_records(placed(values), "file"):
        if isinstance(each, Skipped):
            skipped.append(each)
            continue
        where, outline, repairs = each
        outline, more = mended(outline, where)
        chat = start(outline, id=outline.id or "chat")
        conversations.append((chat, outline, [f"{repair.where}: {repair.what}" for repair in repairs + more]))
    return conversations, skipped


def only(format, values):
    """The one conversation of a file in which nothing is skipped."""
    conversations, skipped = found(format, values)
    assert skipped == []
    (conversation,) = conversations
    return conversation


def path(chat):
    """The nodes on the way to where the conversation stands, but for a root without message."""
    return [node for node in chat.path() if node.message is not None]


def texts(chat):
    """What is said on the way to where the conversation stands."""
    return [node.message.text for node in path(chat)]


def damaged(draw, values):
    """These values with some fields, at any depth, replaced, taken away or doubled."""
    for _ in range(draw(st.integers(1, 4))):
        place = values
        while True:
            inner = [each for each in (place.values() if isinstance(place, dict) else place) if _can_be_entered(each)]
            if not inner or draw(st.integers(0, 2)) == 0:
                break
            place = draw(st.sampled_from(inner))
        if place:
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            if isinstance(place, list) and draw(st.booleans()):
                place.append(place[key])
            else:
                place[key] = draw(anything)
    return values


def _can_be_entered(value):
    return isinstance(value, dict | list) and len(value) > 0


def check_that_damage_costs_nothing(format, values):
    """Every value comes in or is skipped, and all that came in is found again."""
    conversations, _ = found(format, values)
    for chat, outline, _ in conversations:
        assert add_missing(chat, outline) == 0
        assert len(chat.tree) == len(outline.turns)
    return conversations
