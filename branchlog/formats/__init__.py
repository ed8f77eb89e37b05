"""Outside shapes of conversations, as pure functions from values to values.

``outline`` is the shape that all of them meet in. Each format is one module with the same three names: ``FORMAT``, the
name under which its fields are kept in metadata; ``recognises(value)``, which tells its shape by content; and
``read(value, where)``, which gives an ``Outline`` and what had to be repaired, or raises ``InvalidInput`` with the
reason why this is no conversation. One that can be written has ``write(chat)``, too. ``detect`` lists the modules.
``document`` takes a file's bytes apart.
"""
