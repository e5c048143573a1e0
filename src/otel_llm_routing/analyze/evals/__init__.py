"""Evals that look like the traffic: planned from production, compared with it, and scored as it would score."""
