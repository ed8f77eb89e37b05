"""Mistakes in what branchlog makes of a log: each puts one function in place of another."""

from __future__ import annotations

from bisect import bisect_right
from functools import reduce

import attrs
import msgspec
from msgspec import UNSET
from msgspec.structs import replace
from testing.planting import patched

import branchlog.commit as commits
from branchlog import _steps, conversation
from branchlog._core import arrays, codec, decide, message, projection, rebase, snapshot, tree, upcast, version
from branchlog._core.events import MAIN, NodeAdded, NodeAnnotated, UnknownEvent
from branchlog.errors import AlreadyExists, InvalidInput, InvalidMessage, NodeNotFound

EVER = tree.EVER

# Messages.


@patched("writes NaN as null", "NaN is let through, and encoded as null.", 42)
def writes_nan_as_null(patch):
    check = message.check_json

    def lenient(value, where):
        try:
            check(value, where)
        except InvalidMessage as refusal:
            if "has no JSON form; use None" not in refusal.problem:
                raise

    def encode(said):
        said._check()
        return message._encode_stored({name: value for name, value in attrs.asdict(said).items() if value is not None})

    patch.setattr(message, "check_json", lenient)
    patch.setattr(message, "encode", encode)


@patched("replaces lone surrogates", "Text that UTF-8 lacks is written with question marks in its place.", 41)
def replaces_lone_surrogates(patch):
    check, encode = message.check_text, message.encode

    def replacing(said):
        text = said.content
        return encode(
            attrs.evolve(said, content=text.encode(errors="replace").decode()) if isinstance(text, str) else said
        )

    patch.setattr(message, "check_text", lambda text, where: None if where == "content" else check(text, where))
    patch.setattr(message, "encode", replacing)


@patched("makes whole numbers of floats", "A float without a fraction comes back as an integer.", 43)
def makes_whole_numbers_of_floats(patch):
    def plain(value):
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            return int(value)
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, list) else value

    encode = message.encode
    patch.setattr(message, "encode", lambda said: encode(attrs.evolve(said, metadata=plain(said.metadata))))


@patched(
    "checks a message only when it is made", "What was changed in a message since it was made is not looked at.", 42, 44
)
def checks_a_message_only_when_it_is_made(patch):
    stored = message.StoredMessage

    def encode(said):
        return message._encode_stored(stored(**attrs.asdict(said, recurse=False)))

    patch.setattr(message, "encode", encode)


@patched("puts metadata in place of metadata", "A merge patch replaces the metadata instead of being merged into it.")
def puts_metadata_in_place(patch):
    def put(_target, given):
        return {key: value for key, value in given.items() if value is not None}

    for module in (message, projection, tree):
        patch.setattr(module, "merge_patch", put)


# Ids and the shape of the tree.


@patched('puts "0.10" before "0.2"', "Nodes are put in order of their ids as text.")
def sorts_ids_as_text(patch):
    def walk(self, limit):
        return iter(sorted(range(limit), key=lambda index: [str(ordinal) for ordinal in self.ordinals(index)]))

    patch.setattr(arrays.Arrays, "walk", walk)


@patched("gives an id twice", "The eleventh alternative has the id of the first: an id has one digit for each level.")
def gives_an_id_twice(patch):
    ordinals = arrays.Arrays.ordinals
    patch.setattr(arrays.Arrays, "ordinals", lambda self, index: [each % 10 for each in ordinals(self, index)])


@patched("recurses on depth", "The path to a node is found by recursion.")
def recurses_on_depth(patch):
    def path(self, index):
        return [] if index == arrays.NONE else [*path(self, self.parents[index]), index]

    patch.setattr(arrays.Arrays, "path", path)


@patched("counts all nodes as leaves", "A node that has a child by now is still counted as the end of a branch.")
def counts_all_nodes_as_leaves(patch):
    patch.setattr(arrays.Arrays, "leaf_count", arrays.Arrays.__len__)


@patched("takes the parent for the common ancestor", "Two nodes part at the parent of the first, wherever that is.")
def takes_the_parent(patch):
    patch.setattr(arrays.Arrays, "is_under", lambda self, index, above: above in (index, self.parents[index]))


# Cursors.


@patched("loses a cursor", "All cursors but the default one are forgotten.")
def loses_a_cursor(patch):
    cursors_at = projection.Projection.cursors_at
    patch.setattr(
        projection.Projection,
        "cursors_at",
        lambda self, version: {name: node for name, node in cursors_at(self, version).items() if name == MAIN},
    )


def stacks_with(patch, step):
    """Put another way of following undo and redo in place; ``step`` gives back, forth after one more move."""

    def stacks(self):
        back, forth, here = [], [], arrays.NONE
        for node, by in zip(self.nodes, self.by, strict=True):
            if arrays.NONE in (node, here):
                back, forth = [], []
            else:
                back, forth = step(back, forth, here, node, by)
            here = node
        return back, forth

    patch.setattr(projection.CursorHistory, "stacks", stacks)


@patched("undo toggles", "An undo counts as a move, so that the next one undoes it.")
def undo_toggles(patch):
    stacks_with(patch, lambda back, forth, here, node, by: ([*back, here], []) if node != here else (back, forth))


@patched("redo survives a move", "What was undone can be redone after a move.")
def redo_survives_a_move(patch):
    def step(back, forth, here, node, by):
        if by == 1 and back and back[-1] == node:
            return back[:-1], [*forth, here]
        if by == 2 and forth and forth[-1] == node:
            return [*back, here], forth[:-1]
        return ([*back, here], forth) if node != here else (back, forth)

    stacks_with(patch, step)


@patched("believes any undo", "An undo that was merged behind another's move still takes a step back from there.")
def believes_any_undo(patch):
    def step(back, forth, here, node, by):
        if by == 1 and back:
            return back[:-1], [*forth, here]
        if by == 2 and forth:
            return [*back, here], forth[:-1]
        return ([*back, here], []) if node != here else (back, forth)

    stacks_with(patch, step)


@patched("undo looks at all cursors", "An undo goes back to where the default cursor was, whichever cursor is undone.")
def undo_looks_at_all_cursors(patch):
    def undo(state, at, cursor):
        decide.where(state, cursor)
        return [decide._along(state, at, cursor, "undo", state.cursors[MAIN].stacks()[0])]

    patch.setattr(decide, "undo", undo)


@patched("comes back to the newest", "A fork comes back to its newest child, not to the one that was last on show.")
def comes_back_to_the_newest(patch):
    patch.setattr(projection.Projection, "remembered", lambda self, node, version, cursor=MAIN: [])


@patched("says and stays", "Saying something leaves the cursor where it was.")
def says_and_stays(patch):
    patch.setattr(decide, "say", lambda state, at, parent, said, cursor: decide.add(state, at, parent, said))


@patched("moves to where it is", "A move to where the cursor is already is an event, and a step for undo.")
def moves_to_where_it_is(patch):
    def move(state, at, to, cursor):
        decide.where(state, cursor)
        return [decide.CursorMoved(at=at, to=state.arrays.versions[to], cursor=cursor)]

    patch.setattr(decide, "move", move)


@patched("goes round", "After the last alternative comes the first.")
def goes_round(patch):
    def next_door(self, steps=1):
        if self.parent is None:
            raise NodeNotFound(self.id)
        return self.parent.child((self.ordinal + steps) % self.position.of)

    patch.setattr(tree.Node, "next_door", next_door)


@patched("edits beneath", "An edit is put under the message that it edits, not beside it.")
def edits_beneath(patch):
    def edit(self, node, content, *, cursor=MAIN, metadata=None):
        old = self.node(node, cursor=cursor)
        if old.message is None or old.parent is None:
            raise InvalidInput("the root has no alternatives")
        return self.say(attrs.evolve(old.message, content=content), under=old, cursor=cursor)

    patch.setattr(conversation.Conversation, "edit", edit)


@patched("grafts all of it", "A transcript is grafted at the root, though its beginning is there already.")
def grafts_all_of_it(patch):
    patch.setattr(conversation, "_saying", lambda node, said: None)


# Labels and the past.


@patched("gives a label to two nodes", "A label that a node has may be given to another.")
def gives_a_label_to_two_nodes(patch):
    def label(state, node, given):
        if given is not UNSET and given in state.cursors_at(state.version):
            raise AlreadyExists(given)
        return given

    patch.setattr(decide, "_label", label)


@patched("sees later labels", "A label stands at its node at every moment, also before it was given.")
def sees_later_labels(patch):
    label_at = projection.Projection.label_at
    patch.setattr(projection.Projection, "label_at", lambda self, node, version: label_at(self, node, EVER))


@patched("sees a version too little", "What was said at a version is not seen at that version, only after it.", 48)
def sees_a_version_too_little(patch):
    def until(history, version):
        return [each for each in history if each[0] < version]

    for module in (projection, tree, snapshot):
        patch.setattr(module, "until", until)


@patched("sees a cursor's later place", "A cursor is seen where it is now, at every moment.")
def sees_a_cursors_later_place(patch):
    node_at = projection.CursorHistory.node_at
    patch.setattr(projection.CursorHistory, "node_at", lambda self, version: node_at(self, max(version, EVER)))


@patched("trusts the clock", "A moment is looked up among times that are taken to be in order.")
def trusts_the_clock(patch):
    def version_at(self, moment):
        return bisect_right(self.times, projection.to_microseconds(moment))

    patch.setattr(projection.Projection, "version_at", version_at)


@patched("follows any cursor", "What a model was sent is the path to whichever cursor moved last.")
def follows_any_cursor(patch):
    def moved(event):
        to = getattr(event, "to", None)
        return 1 if isinstance(event, codec.EVENTS[0]) else to

    patch.setattr(_steps, "_main_moved", moved)


@patched("counts a node too few", "The catalog has the number of messages, not of nodes.")
def counts_a_node_too_few(patch):
    entry_of = _steps.entry_of

    def counted(chat, version):
        entry = entry_of(chat, version)
        return replace(entry, nodes=entry.nodes - 1)

    patch.setattr(_steps, "entry_of", counted)


@patched("loses ratings when it is saved", "A rating is there until the conversation is opened again.")
def loses_ratings(patch):
    encode = conversation.encode_events

    def without(events):
        return encode([replace(each, rating=UNSET) if isinstance(each, NodeAnnotated) else each for each in events])

    patch.setattr(conversation, "encode_events", without)


# Merging.


@patched("drops the second writer's messages", "Where another was first, what is pending is given up.", 6)
def drops_the_second_writers_messages(patch):
    def given_up(state, base, pending, fold_missed):
        state.rewind(base)
        fold_missed()
        return []

    patch.setattr(conversation, "rebase", given_up)


@patched("does not shift parents", "After a merge what was pending hangs where the other writer's nodes are now.")
def does_not_shift_parents(patch):
    shifted = rebase.shifted
    patch.setattr(
        rebase,
        "shifted",
        lambda event, base, by: event if isinstance(event, NodeAdded) else shifted(event, base, by),
    )


@patched("shifts one too many", "After a merge what hung under the last saved node hangs elsewhere.")
def shifts_one_too_many(patch):
    shifted = rebase.shifted
    patch.setattr(rebase, "shifted", lambda event, base, by: shifted(event, base - 1, by))


@patched("does not shift annotations", "After a merge a label or rating of a pending node is another node's.")
def does_not_shift_annotations(patch):
    shifted = rebase.shifted
    patch.setattr(
        rebase,
        "shifted",
        lambda event, base, by: event if isinstance(event, NodeAnnotated) else shifted(event, base, by),
    )


@patched("forgets handles at a merge", "A handle of a pending node is another writer's node after a merge.")
def forgets_handles_at_a_merge(patch):
    patch.setattr(projection.Projection, "shifted", lambda self, index, epoch: index)


@patched("hashes a handle by its id", "A handle changes its hash when its id does.")
def hashes_a_handle_by_its_id(patch):
    patch.setattr(tree.Node, "__hash__", lambda self: hash(self.id))


@patched("makes a new commit of a retry", "A save that is made again has another commit id.", 22)
def makes_a_new_commit_of_a_retry(patch):
    next_commit = conversation.Conversation._next_commit

    def anew(self):
        self._attempt = None
        return next_commit(self)

    patch.setattr(conversation.Conversation, "_next_commit", anew)


@patched("merges when it should tell", "A caller who wants to be told of a conflict is merged.")
def merges_when_it_should_tell(patch):
    save_once = _steps._save_once
    patch.setattr(_steps, "_save_once", lambda chat, on_conflict: save_once(chat, "merge"))


# Snapshots.


@patched("trusts a stale snapshot", "Nobody compares a snapshot with the commits that it is of.", 47)
def trusts_a_stale_snapshot(patch):
    def usable(id, fingerprint):
        snapshots = yield lambda log: log.snapshots(id)
        return _steps._chain([each for each in snapshots if not _steps._fault(each, fingerprint)]), []

    patch.setattr(_steps, "_usable", usable)


@patched("trusts another version's snapshot", "A snapshot is used whatever version of branchlog took it.", 47)
def trusts_another_versions_snapshot(patch):
    fault = _steps._fault
    patch.setattr(_steps, "_fault", lambda snapshot, _: fault(snapshot, snapshot.fingerprint))


@patched("trusts a damaged snapshot", "The seal of a snapshot is not looked at.", 47)
def trusts_a_damaged_snapshot(patch):
    patch.setattr(commits.Snapshot, "is_whole", lambda self: True)


@patched("leaves cursors out of snapshots", "A snapshot has the moves of the default cursor only.", 45)
def leaves_cursors_out_of_snapshots(patch):
    moves = snapshot._moves
    patch.setattr(
        snapshot,
        "_moves",
        lambda state, after, until: (each for each in moves(state, after, until) if each.cursor == MAIN),
    )


@patched("leaves a snapshot's edge out", "A snapshot lacks what was said about nodes by its last event.", 45)
def leaves_a_snapshots_edge_out(patch):
    take = snapshot.take

    def short(state, after, until):
        index = snapshot._decode(take(state, after, until))
        return snapshot._encode(replace(index, notes=[each for each in index.notes if each[0] < until]))

    patch.setattr(snapshot, "take", short)


@patched("fails a save for its snapshot", "A save whose snapshot cannot be taken is an error.", 50)
def fails_a_save_for_its_snapshot(patch):
    patch.setattr(_steps, "_try_snapshot", _steps._put_snapshot)


# Erasing.


@patched(
    "takes the erased event away", "A redaction takes the event out of its commit, so that later ones shift.", 57, 59
)
def takes_the_erased_event_away(patch):
    def without(data, offset):
        events = msgspec.json.decode(data)
        del events[offset]
        return msgspec.json.encode(events)

    patch.setattr(_steps, "blanked", without)


@patched("erases the message only", "What was annotated stays in the log when a node is redacted.", 59, in_file=True)
def erases_the_message_only(patch):
    redactions = conversation.Conversation._redactions

    def messages_only(self, commit):
        nodes = set(self._state.arrays.versions)
        return {version for version in redactions(self, commit) if version in nodes}

    patch.setattr(conversation.Conversation, "_redactions", messages_only)


@patched("erases in the log only", "A conversation that is open still says what was redacted.", 59)
def erases_in_the_log_only(patch):
    def noted(state, version, node):
        state.redacted.setdefault(node, version)
        state.redactions.append((version, node))

    patch.setattr(projection, "redact", noted)


# Vocabularies.


@patched("a step up changes what it is given", "Shapes are given to upcasters without being copied.", 53)
def a_step_up_changes_what_it_is_given(patch):
    def upcast_in_place(self, version, shape):
        return reduce(
            lambda shapes, step: [up for each in shapes for up in step.step(each)], self._ways[version], [shape]
        )

    patch.setattr(upcast.Registry, "upcast", upcast_in_place)


@patched("reads a later major version", "A commit of a later major version is read as far as it is known.", 54)
def reads_a_later_major_version(patch):
    def is_later(self, found):
        return found not in self._ways and version.parse_version(found) is not None

    patch.setattr(upcast.Registry, "is_later", is_later)


@patched(
    "drops events that it does not know",
    "An event of a later vocabulary is left out, so that later versions shift.",
    38,
)
def drops_events_that_it_does_not_know(patch):
    decode = codec.Codec.decode
    patch.setattr(
        codec.Codec,
        "decode",
        lambda self, commit: [each for each in decode(self, commit) if not isinstance(each, UnknownEvent)],
    )


@patched("stops at events that it does not know", "An event of a later vocabulary makes a log unreadable.", 38)
def stops_at_events_that_it_does_not_know(patch):
    def known_only(raw, *, later):
        return codec._decode_one(raw)

    patch.setattr(codec, "_decode_known", known_only)


@patched("does not take metadata up", "Metadata of an earlier version is read as it is.", 53)
def does_not_take_metadata_up(patch):
    patch.setattr(codec.Codec, "_lift_metadata", lambda self, own: None)


# Damage.


@patched("does not verify the chain", "Each commit is verified by itself, and not against the one before.", 66)
def does_not_verify_the_chain(patch):
    def alone(read, after):
        for commit in read:
            if not commits.is_whole(commit):
                raise commits.CorruptLog(commit.stream, "not whole")
            yield commit

    patch.setattr(commits, "verified", alone)


@patched("does not verify commits", "Versions are compared, checksums are not.", 65)
def does_not_verify_commits(patch):
    patch.setattr(commits, "is_whole", lambda commit: True)


@patched("leaves the time out of the checksum", "A changed time is not found.", 65)
def leaves_the_time_out_of_the_checksum(patch):
    checksum = commits.checksum

    def timeless(previous, first, count, id, at, schema, digest):
        return checksum(previous, first, count, id, 0, schema, digest)

    patch.setattr(commits, "checksum", timeless)
