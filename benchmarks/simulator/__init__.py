"""Traffic with known causes, judged by the alert rules as shipped: how often they cry wolf, how soon they see a shift.

make simulate
"""
