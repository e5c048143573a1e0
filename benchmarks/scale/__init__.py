"""Many short-lived pods through the real Collector into a real store: whether counts are true, and what they cost."""
