"""Runs what ``deploy/compose.yaml`` describes without a container engine: the same commands, files and settings."""
