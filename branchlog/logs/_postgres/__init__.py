"""The parts of the log in PostgreSQL."""
