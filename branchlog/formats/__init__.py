"""Outside shapes of conversations."""
