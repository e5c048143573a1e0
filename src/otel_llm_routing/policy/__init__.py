"""The policy file: what each surface may run on, and why."""
