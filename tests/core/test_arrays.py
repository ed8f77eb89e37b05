"""Flat arrays against a list of parents, growing and being cut back at any point between questions."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchlog._core.arrays import NONE, WIDE, Arrays


class Plain:
    """The same tree as a list of parents; everything is found by looking through it."""

    def __init__(self, parents, versions):
        self.parents = parents
        self.versions = versions

    def children(self, index, limit):
        return [child for child in range(limit) if self.parents[child] == index]

    def path(self, index):
        way = []
        while index != NONE:
            way.append(index)
            index = self.parents[index]
        return way[::-1]

    def ordinal(self, index):
        parent = self.parents[index]
        return 0 if parent == NONE else self.children(parent, len(self.parents)).index(index)

    def common_ancestor(self, one, other):
        return [index for index in self.path(one) if index in self.path(other)][-1]


def add(arrays, parent):
    arrays.parents.append(parent)
    arrays.versions.append(2 * len(arrays.parents))


def check(arrays, plain):
    count = len(plain.parents)
    assert len(arrays) == count
    for index in range(count):
        path = plain.path(index)
        assert arrays.path(index) == path
        assert arrays.depth(index) == len(path) - 1
        assert arrays.ordinal(index) == plain.ordinal(index)
        assert arrays.ordinals(index) == [plain.ordinal(step) for step in path[1:]]
        assert [arrays.ancestor(index, depth) for depth in range(len(path))] == path
        for limit in (index + 1, count):
            children = plain.children(index, limit)
            assert list(arrays.children(index, limit)) == children
            assert arrays.child_count(index, limit) == len(children)
        assert [arrays.child(index, ordinal) for ordinal in range(len(children))] == children
        assert arrays.child(index, len(children)) == arrays.child(index, -1) == NONE
    assert arrays.leaf_count() == sum(not plain.children(index, count) for index in range(count))


# The parent of the next node: so many back from the newest, which makes chains, or from the root, which makes forks.
growth = st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=40)


def grow(arrays, steps):
    for from_the_end, number in steps:
        count = len(arrays)
        add(arrays, NONE if not count else max(0, count - 1 - number) if from_the_end else min(number, count - 1))


@given(growth)
def test_everything_is_as_looking_through_a_list_says(steps):
    arrays = Arrays()
    grow(arrays, steps)

    check(arrays, Plain(list(arrays.parents), list(arrays.versions)))


@given(
    st.lists(
        st.tuples(growth, st.integers(0, 60), st.sampled_from(("nothing", "one", "all", "wide"))),
        min_size=1,
        max_size=4,
    )
)
def test_cutting_back_leaves_no_trace_whatever_was_asked_before(rounds):
    """Some nodes are linked when they are cut off, some are not: what is left is as if they had never been."""
    arrays = Arrays()
    for steps, keep, asked in rounds:
        half = len(steps) // 2
        grow(arrays, steps[:half])
        if asked == "one" and len(arrays):
            arrays.depth(0)
        if asked == "wide" and len(arrays):
            for index in range(len(arrays)):
                arrays.child(index, WIDE)
                arrays.child_count(index, len(arrays) - 1)
        grow(arrays, steps[half:])
        plain = Plain(list(arrays.parents), list(arrays.versions))
        if asked == "all":
            check(arrays, plain)
        count = min(keep, len(arrays))
        arrays.truncate(count)
        assert (list(arrays.parents), list(arrays.versions)) == (plain.parents[:count], plain.versions[:count])
        if asked != "nothing":
            check(arrays, Plain(plain.parents[:count], plain.versions[:count]))
    grow(arrays, [(False, 0)] * (WIDE + 4))

    check(arrays, Plain(list(arrays.parents), list(arrays.versions)))


@pytest.mark.parametrize("width", [WIDE - 1, WIDE, WIDE + 1, 3 * WIDE])
@pytest.mark.parametrize("keep", [0, 1, WIDE - 1, WIDE, WIDE + 1])
def test_a_wide_fork_may_be_cut_back_and_grow_again(width, keep):
    arrays = Arrays()
    add(arrays, NONE)
    for _ in range(width):
        add(arrays, 0)
    for ordinal in range(width):
        assert arrays.child(0, ordinal) == ordinal + 1
    arrays.truncate(1 + min(keep, width))
    for _ in range(width):
        add(arrays, 0)

    check(arrays, Plain(list(arrays.parents), list(arrays.versions)))


def test_the_children_of_a_wide_fork_may_be_others_after_it_was_cut_back():
    """The first child comes to have another index: nothing may remember the old one."""
    arrays = Arrays()
    grow(arrays, [(False, 0)] * 2 + [(False, 1)] * 3 * WIDE)
    assert arrays.child(1, 2 * WIDE) == 2 + 2 * WIDE
    arrays.truncate(2)
    grow(arrays, [(False, 0)] + [(False, 1)] * 3 * WIDE)

    assert arrays.child(1, 2 * WIDE) == 3 + 2 * WIDE
    check(arrays, Plain(list(arrays.parents), list(arrays.versions)))


@given(growth.filter(bool), st.data())
def test_ancestors_in_common(steps, data):
    arrays = Arrays()
    grow(arrays, steps)
    plain = Plain(list(arrays.parents), list(arrays.versions))
    one, other = (data.draw(st.integers(0, len(arrays) - 1)) for _ in range(2))

    assert arrays.common_ancestor(one, other) == plain.common_ancestor(one, other)
    assert arrays.is_under(one, other) == (other in plain.path(one))


@given(growth, st.integers(-1, 90))
def test_nodes_are_found_by_version(steps, version):
    arrays = Arrays()
    grow(arrays, steps)
    versions = list(arrays.versions)

    assert arrays.count_at(version) == sum(each <= version for each in versions)
    assert arrays.index_of(version) == (versions.index(version) if version in versions else NONE)


@given(growth, st.integers(0, 40))
def test_a_walk_goes_down_before_it_goes_on(steps, limit):
    arrays = Arrays()
    grow(arrays, steps)
    limit = min(limit, len(arrays))

    assert sorted(range(limit), key=arrays.ordinals) == list(arrays.walk(limit))


COUNT = 100_000


def test_100_000_deep():
    """Far beyond the recursion limit, and any ancestor is a few jumps away."""
    arrays = Arrays()
    add(arrays, NONE)
    for index in range(COUNT):
        add(arrays, index)

    assert sys.getrecursionlimit() < COUNT
    assert arrays.depth(COUNT) == COUNT
    assert arrays.path(COUNT) == list(range(COUNT + 1))
    assert arrays.ordinals(COUNT) == [0] * COUNT
    assert [arrays.ancestor(COUNT, depth) for depth in range(0, COUNT, 97)] == list(range(0, COUNT, 97))
    assert arrays.common_ancestor(COUNT, COUNT // 2) == COUNT // 2
    assert arrays.leaf_count() == 1


def hops(arrays, index, depth):
    """How many links lead to the ancestor at a depth, taking a jump wherever it does not go too far."""
    count = 0
    while arrays.depth(index) > depth:
        jump = arrays._jumps[index]
        index = jump if arrays.depth(jump) >= depth else arrays.parents[index]
        count += 1
    return count


def test_any_ancestor_is_a_few_jumps_away():
    arrays = Arrays()
    grow(arrays, [(True, 0)] * 10_001)

    assert arrays.depth(10_000) == 10_000
    assert max(hops(arrays, 10_000, depth) for depth in range(0, 10_000, 7)) < 3 * (10_000).bit_length()


def test_100_000_wide():
    """Every child by its number, each at once."""
    arrays = Arrays()
    add(arrays, NONE)
    for _ in range(COUNT):
        add(arrays, 0)

    assert [arrays.child(0, ordinal) for ordinal in range(COUNT)] == list(range(1, COUNT + 1))
    assert [arrays.child_count(0, limit) for limit in range(1, COUNT, 997)] == list(range(0, COUNT - 1, 997))
    assert arrays.leaf_count() == COUNT
    arrays.truncate(COUNT // 2)
    assert arrays.child_count(0, COUNT) == COUNT // 2 - 1
    assert arrays.child(0, COUNT // 2) == NONE
