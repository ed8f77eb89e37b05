"""What branchlog costs, measured, alone and beside others: ``python -m benchmarks`` prints tables.

``benchmarks/peers`` has what is beside others. Of branchlog alone each workload is one file with
``run(folder, quick)``, which returns figures. Where a goal is a ratio, both sides are measured in one run, in turns,
and their medians are compared. ``docs/explanation/performance.md`` says what was found.
"""
