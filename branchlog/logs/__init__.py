"""Where commits live: the port in ``base``, and one file for each backend."""
