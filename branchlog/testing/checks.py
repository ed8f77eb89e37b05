"""Named checks, for use in anyone's tests. Each raises an ``AssertionError`` that names what is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from itertools import pairwise

from branchlog import BranchlogError, Conversation, Node, NotFound, Store, Tree
from branchlog._core.same import different
from branchlog.commit import Commit, genesis, verified
from branchlog.logs.base import Log, Query


def check_tree(tree: Tree) -> None:
    """Check that a tree is one: ids, parents, children, order, leaves, forks, cursors and labels fit each other.

    >>> from branchlog.testing import check_tree, started
    >>> chat = started(system="Be brief.")
    >>> _ = chat.say("user", "Hello")
    >>> check_tree(chat.tree)
    """
    _check(_unfit(tree))


def _unfit(tree: Tree) -> Iterator[str]:
    nodes = list(tree.nodes)
    versions = [node.version for node in nodes]
    if versions != sorted(set(versions)):
        yield "nodes are not in the order of their versions"
    yield from _unfit_nodes(tree)
    walked = [node.id for node in tree.walk()]
    if walked != sorted((node.id for node in nodes), key=_numbers):
        yield f"walking does not give every node once in the order of its id: {walked}"
    if tuple(tree.leaves) != tuple(node for node in tree.walk() if not node.children):
        yield "the leaves are not the nodes without children"
    if tuple(tree.forks) != tuple(node for node in tree.walk() if len(node.children) > 1):
        yield "the forks are not the nodes with more than one child"
    if tuple(branch.path[-1] for branch in tree.branches) != tuple(tree.leaves):
        yield "the branches do not end in the leaves"
    for name, node in tree.cursors.items():
        if node not in tree:
            yield f"cursor {name!r} stands on a node that is not in the tree"
    if tree.labels != {node.label: node for node in nodes if node.label is not None}:
        yield "the labels are not those of the nodes"


def _unfit_nodes(tree: Tree) -> Iterator[str]:
    for node in tree.nodes:
        try:
            yield from _unfit_node(tree, node)
        except NotFound as error:
            yield f"node {node.id!r}: {error}"


def _unfit_node(tree: Tree, node: Node) -> Iterator[str]:
    yield from _unfit_below(tree, node)
    where, parent = f"node {node.id!r}", node.parent
    if parent is None:
        if node.id or node.depth:
            yield f"{where} has no parent and is not the root"
        return
    if node not in parent.children:
        yield f"{where}: its parent {parent.id!r} does not have it among its children"
    if parent.version >= node.version:
        yield f"{where} is older than its parent {parent.id!r}"
    if tuple(node.path) != (*parent.path, node) or node.depth != parent.depth + 1:
        yield f"{where}: its path is not its parent's and itself"
    if tuple(node.alternatives) != tuple(parent.children):
        yield f"{where}: its alternatives are not its parent's children"
    if node.message is None:
        yield f"{where} says nothing, which only the root may"


def _unfit_below(tree: Tree, node: Node) -> Iterator[str]:
    where = f"node {node.id!r}"
    if tree[node.id] != node:
        yield f"{where} is not what its id leads to"
    if [child.id for child in node.children] != [
        f"{node.id}.{ordinal}".lstrip(".") for ordinal in range(len(node.children))
    ]:
        yield f"{where}: its children are not numbered from 0 without gaps: {[child.id for child in node.children]}"
    if any(child.parent != node for child in node.children):
        yield f"{where}: a child has another parent"


def _numbers(id: str) -> list[int]:
    return [int(step) for step in id.split(".") if step]


def check_log(log: Log) -> None:
    """Check every conversation in a log's namespace: chains, heads, positions, catalog, snapshots and trees.

    The log has to hold conversations, not just any commits.
    """
    _check(_unsound(log))


def _unsound(log: Log) -> Iterator[str]:
    commits = log.read_all()
    if any(one.position >= other.position for one, other in pairwise(commits)):
        yield "positions do not increase"
    streams = list(dict.fromkeys(commit.stream for commit in commits))
    listed = [entry.id for entry in log.entries(Query(order="id", descending=False))]
    if listed != sorted(streams):
        yield f"the catalog lists {listed}, the log has {sorted(streams)}"
    if log.count({}) != len(streams):
        yield f"the catalog counts {log.count({})} conversations, the log has {len(streams)}"
    for stream in streams:
        own = [commit for commit in commits if commit.stream == stream]
        try:
            yield from (f"{stream!r}: {problem}" for problem in _unsound_stream(log, stream, own))
        except BranchlogError as error:
            yield f"{stream!r}: {error}"


def _unsound_stream(log: Log, stream: str, own: list[Commit]) -> Iterator[str]:
    start = genesis(log.namespace, stream)
    if list(verified(own, start)) != log.read(stream):
        yield "its commits are others among all than by themselves"
    if len({commit.id for commit in own}) != len(own):
        yield "two commits have one id"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # snapshots that are not used harm nobody
        store = Store(log)
        yield from store.verify(stream).differences
        yield from _unfit(store.load(stream).tree)


def check_same_history(one: Conversation | Tree | Log, other: Conversation | Tree | Log) -> None:
    """Check that two conversations are the same at every moment, or that two logs hold the same commits.

    >>> from branchlog.testing import check_same_history, started
    >>> one, other = started(), started()
    >>> _ = one.say("user", "Hello"), other.say("user", "Hallo")
    >>> check_same_history(one, one)
    >>> check_same_history(one, other)
    Traceback (most recent call last):
    AssertionError: the messages of node '0' differ
    """
    if isinstance(one, Conversation | Tree) and isinstance(other, Conversation | Tree):
        _check(different(one._state, other._state))
    elif isinstance(one, Log) and isinstance(other, Log):
        _check(_unlike(one, other))
    else:
        raise TypeError(f"two conversations or two logs are compared, not {one!r} and {other!r}")


def _unlike(one: Log, other: Log) -> Iterator[str]:
    here, there = _streams(one), _streams(other)
    if here.keys() != there.keys():
        yield f"one log has the streams {sorted(here)}, the other {sorted(there)}"
    for stream in sorted(here.keys() & there.keys()):
        if [commit.head for commit in here[stream]] != [commit.head for commit in there[stream]]:
            yield f"the commits of {stream!r} differ"
        elif [commit.data for commit in here[stream]] != [commit.data for commit in there[stream]]:
            yield f"the payloads of {stream!r} differ"


def _streams(log: Log) -> dict[str, list[Commit]]:
    return {stream: log.read(stream) for stream in dict.fromkeys(commit.stream for commit in log.read_all())}


def _check(problems: Iterable[str]) -> None:
    found = list(problems)
    if found:
        raise AssertionError("\n".join(found))
