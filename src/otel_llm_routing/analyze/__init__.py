"""Reads counts from a source and judges them."""
