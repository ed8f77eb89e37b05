"""The parts of the log in object storage."""
