"""Erasing in an event and in a payload: what was said goes, and the shape stays."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchlog import Message
from branchlog._core.codec import Codec, encode_events
from branchlog._core.events import SCHEMA, NodeRedacted
from branchlog._core.message import decode
from branchlog._core.projection import Projection, evolve_all
from branchlog._core.redact import blank, blanked
from branchlog._core.tree import Tree
from branchlog.commit import erase, genesis, is_whole, seal, verified
from branchlog.testing import commands, messages, played, portrait, started
from branchlog.testing.playing import picks


def folded(data, count):
    state = Projection()
    commit = seal("trip", genesis("", "trip"), count=count, id=b"i" * 16, at=0, schema=SCHEMA, data=data)
    evolve_all(state, Codec().decode(commit))
    return state


@given(messages())
def test_a_blank_message_has_its_role_and_nothing_else(message):
    chat = started()
    chat.say(message)
    content = chat.pending[1].message

    assert decode(blank(content)) == Message(message.role, "")
    assert blank(blank(content)) == blank(content)


@given(commands(), st.integers(0, 100))
def test_one_event_is_erased_and_the_others_keep_their_bytes(script, pick):
    """Also where they are written with blanks, escapes and numbers that would be written otherwise now."""
    chat = played(script)
    raws = [msgspec.json.format(encode_events(event), indent=1) for event in chat.pending]
    data = b"[" + b" ,\n".join(raws) + b"]"
    offset = pick % len(raws)

    after = [bytes(raw) for raw in msgspec.json.decode(blanked(data, offset), type=list[msgspec.Raw])]

    assert after[:offset] + after[offset + 1 :] == raws[:offset] + raws[offset + 1 :]
    assert blanked(blanked(data, offset), offset) == blanked(data, offset)


@given(commands(), picks)
def test_what_is_folded_after_erasing_is_what_was_redacted(script, pick):
    """Erasing the payloads that hold it and folding gives the tree of the conversation that redacted it."""
    chat = played(script)
    node = chat.tree.nodes[pick % len(chat.tree)]
    events, count = list(chat.pending), len(chat.pending)
    chat.redact(node)
    data = encode_events([*events, NodeRedacted(at=0, node=node.version)])
    for version in range(1, count + 1):
        if version == node.version or getattr(events[version - 1], "node", None) == node.version:
            data = blanked(data, version - 1)

    assert portrait(Tree(folded(data, count + 1))) == portrait(chat.tree)


def test_folding_a_redaction_blanks_what_is_held():
    """Whoever holds the conversation and learns of the redaction shows the blank, at every version."""
    chat = started(system="secret")
    chat.say("user", "secret", metadata={"k": "secret"})
    chat.annotate("0", label="best", rating=3, metadata={"k": "secret", "l": "secret"})
    state = chat._state
    evolve_all(state, [NodeRedacted(at=0, node=1), NodeRedacted(at=0, node=2)])

    for version in (2, 3, 4, 5, 6):
        then = Tree(state, version)
        assert (then["0"].message, then["0"].metadata) == (Message("user", ""), {})
        assert (then.root.message, then.root.redacted) == (Message("system", ""), version >= 5)
        assert then["0"].redacted == (version >= 6)
    assert (Tree(state)["0"].label, Tree(state)["0"].rating) == ("best", 3)


def test_what_is_said_of_a_redacted_node_afterwards_stays():
    chat = started()
    chat.say("user", "secret")
    chat.redact("0")
    chat.annotate("0", metadata={"why": "asked to"})

    assert chat.tree["0"].metadata == {"why": "asked to"}


def test_redacting_twice_is_redacting_once():
    chat = started()
    chat.say("user", "secret")
    chat.redact("0")
    chat.annotate("0", metadata={"why": "asked to"})
    before = chat.pending
    chat.redact("0")

    assert chat.pending == before
    assert chat.tree["0"].metadata == {"why": "asked to"}


def test_a_root_without_a_message_can_be_redacted():
    """It says nothing before and after; what was annotated goes."""
    chat = started()
    chat.annotate("", metadata={"k": "secret"})
    chat.redact("")

    assert (chat.tree.root.message, chat.tree.root.metadata, chat.tree.root.redacted) == (None, {}, True)
    assert b"secret" not in encode_events(chat.pending)


def test_what_is_pending_is_erased_before_it_is_written():
    chat = started(system="secret")
    chat.say(Message("assistant", None, tool_calls=[{"secret": 1}], metadata={"secret": 1}))
    chat.annotate("0", metadata={"secret": 1}, rating=2)
    chat.say("user", "kept")
    chat.redact("")
    chat.redact("0")
    data = encode_events(chat.pending)

    assert b"secret" not in data
    assert portrait(Tree(folded(data, chat.version))) == portrait(chat.tree)
    assert [message.content for message in chat.messages()] == ["", "", "kept"]


def test_an_event_of_a_shape_that_is_not_known_is_erased_as_far_as_it_is_known():
    """A later vocabulary may write more beside; an earlier one may lack the role."""
    data = b'[{"type":"node-added","at":1,"parent":1,"message":{"content":"secret","more":"secret"},"new":[1,2]}]'

    assert msgspec.json.decode(blanked(data, 0)) == [
        {"type": "node-added", "at": 1, "parent": 1, "message": {"role": "user", "content": ""}, "new": [1, 2]}
    ]


@pytest.fixture
def chain():
    head, commits = genesis("", "trip"), []
    for number in range(3):
        data = b'[{"n":%d}]' % number
        commits.append(seal("trip", head, count=1, id=b"%016d" % number, at=0, schema=SCHEMA, data=data))
        head = commits[-1].head
    return commits


def test_a_chain_with_an_erased_commit_verifies(chain):
    """The digest of what was there stays, so the checksums of this commit and of those behind it hold."""
    erased = erase(chain[1], b'[{"n":null}]')

    assert list(verified([chain[0], erased, chain[2]], genesis("", "trip"))) == [chain[0], erased, chain[2]]
    assert (erased.digest, erased.checksum, erased.head) == (chain[1].digest, chain[1].checksum, chain[1].head)
    assert erase(erased, b"[0]").digest == chain[1].digest


@pytest.mark.parametrize("part", range(48))
def test_what_stands_in_place_of_an_erased_payload_is_checked_too(chain, part):
    """A flipped bit in the kept digest, in the checksum of what stands there now, or in that itself."""
    erased = erase(chain[1], b'[{"n":null}]')
    flipped = bytearray(erased.erased)
    flipped[part] ^= 1

    assert is_whole(erased)
    assert not is_whole(msgspec.structs.replace(erased, erased=bytes(flipped)))
    assert not is_whole(msgspec.structs.replace(erased, data=b'[{"n":true}]'))
    assert not is_whole(msgspec.structs.replace(erased, erased=b""))
    assert not is_whole(msgspec.structs.replace(erased, erased=erased.erased[:part]))
