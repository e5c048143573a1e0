"""What receiving, reporting and replaying cost the embedded backend, beside the Collector: ``make backend``."""
