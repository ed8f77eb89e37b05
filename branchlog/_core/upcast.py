"""One step up at a time: what an earlier version of a shape means in the current one.

A registry holds the steps of one shape: of the event vocabulary, of an outside document, of an application's metadata.
It is checked when it is made, so that a mistake is found at import and not in somebody's old store: from every released
version there is exactly one way to the current one, and each step does to its golden sample what it was released with.

Steps are pure and frozen once released: a dict comes in, and the dicts that it means now come out (one; several where
it is split; none where it is dropped). The dict that came in is never changed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Any, TypeAlias

import attrs

from branchlog._core.version import Version, parse_version
from branchlog.errors import InvalidInput, SchemaVersionError

Shape: TypeAlias = dict[str, Any]


@attrs.frozen
class Upcaster:
    """One step: from the version ``source`` to ``target``. ``sample`` is a dict before, ``golden`` what it becomes."""

    source: str
    target: str
    step: Callable[[Shape], Sequence[Shape]]
    sample: Shape
    golden: Sequence[Shape]


class Registry:
    """The released versions of a shape, and the steps between them."""

    def __init__(
        self, what: str, *, current: str, released: Iterable[str] = (), steps: Iterable[Upcaster] = ()
    ) -> None:
        """Check that the steps lead from each released version to the current one in exactly one way.

        ``what`` names the shape in messages. Raises ``InvalidInput`` for steps that do not.
        """
        self.what = what
        self.current = current
        self._steps = {step.source: step for step in _distinct(what, steps)}
        self._ways = {version: self._way(version) for version in {*released, current}}
        stray = set(self._steps) - (set(self._ways) - {current})
        if stray:
            raise InvalidInput(f"{what}: steps that no released version takes, from {', '.join(sorted(stray))}")
        for upcaster in self._steps.values():
            _check_golden(what, upcaster)

    def _way(self, version: str) -> tuple[Upcaster, ...]:
        way: list[Upcaster] = []
        while version != self.current:
            step = self._steps.get(version)
            if step is None:
                raise InvalidInput(f"{self.what}: no step leads from version {version} towards {self.current}")
            if _number(step.target) <= _number(step.source):
                raise InvalidInput(f"{self.what}: the step from {step.source} to {step.target} does not lead up")
            way.append(step)
            version = step.target
        return tuple(way)

    @property
    def released(self) -> frozenset[str]:
        """Every version that can be read, the current one included."""
        return frozenset(self._ways)

    @property
    def fingerprint(self) -> str:
        """A text that changes when the versions or the golden samples do."""
        told = [self.current, *sorted(f"{s.source}>{s.target}:{s.sample!r}:{s.golden!r}" for s in self._steps.values())]
        return sha256("\n".join(told).encode()).hexdigest()[:16]

    def is_later(self, version: str) -> bool:
        """Whether the version is a later minor or patch one than the current.

        Raises ``SchemaVersionError`` for a later major one, ``InvalidInput`` for one that never was.
        """
        if version in self._ways:
            return False
        found, current = parse_version(version), _number(self.current)
        if found is None or found <= current:
            known = ", ".join(sorted(self._ways))
            raise InvalidInput(f"{self.what}: no version {version!r} was ever released; there are: {known}")
        if found[0] > current[0]:
            raise SchemaVersionError(self.what, version, self.current)
        return True

    def upcast(self, version: str, shape: Shape) -> list[Shape]:
        """What a dict of this version means in the current one."""
        shapes = [copy.deepcopy(shape)] if self._ways[version] else [shape]
        for upcaster in self._ways[version]:
            shapes = [up for each in shapes for up in upcaster.step(each)]
        return shapes


def _distinct(what: str, steps: Iterable[Upcaster]) -> list[Upcaster]:
    found = list(steps)
    sources = [step.source for step in found]
    twice = sorted({source for source in sources if sources.count(source) > 1})
    if twice:
        raise InvalidInput(f"{what}: more than one step from version {', '.join(twice)}")
    return found


def _check_golden(what: str, upcaster: Upcaster) -> None:
    came_out = list(upcaster.step(copy.deepcopy(upcaster.sample)))
    if came_out != list(upcaster.golden):
        raise InvalidInput(
            f"{what}: the step from {upcaster.source} to {upcaster.target} has changed since it was released: "
            f"its sample becomes {came_out!r}, not {list(upcaster.golden)!r}"
        )


def _number(version: str) -> Version:
    number = parse_version(version)
    if number is None:
        raise InvalidInput(f"not a version: {version!r}; expected MAJOR.MINOR.PATCH")
    return number
