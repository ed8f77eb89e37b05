"""What branchlog costs, measured: ``python -m benchmarks`` prints a table.

Each workload is one file with ``run(folder, quick)``, which returns figures. Where a goal is a ratio, both sides are
measured in one run, in turns, and their medians are compared. ``docs/explanation/performance.md`` says what was found.
"""
