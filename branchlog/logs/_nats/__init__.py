"""The parts of the log in NATS JetStream."""
