"""branchlog beside what people would use instead: ``python -m benchmarks --only peers``.

Each library runs in a process of its own, in a virtual environment of its own that is made once from pinned versions,
and is asked for the same work in turns with the others. What a library cannot do is told, not imitated.
"""
