"""What instrumenting an application's model calls costs it, beside the other instrumentations: ``make bench``."""
