"""The chat in the terminal: ``branchlog chat``, with the extra ``chat``.

What is typed is read by ``commands`` and carried out by ``talk``, which need no terminal; ``completing`` and
``picking`` are pure. ``terminal`` puts them on a terminal by prompt_toolkit, ``plain`` into a pipe.
"""
