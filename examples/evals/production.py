"""Production: what users ask of the product in a day, in seconds. It knows nothing of telemetry.

As the answers to these tasks are known, it can say how many were right; nobody can say that of real traffic.
"""

from __future__ import annotations

import argparse
import json
import random

from evals import product, tasks

# Of each surface: how it is asked, its tasks, shortest and longest prompt in characters, share of the traffic.
SURFACES = {
    "autocomplete": (product.complete, tasks.autocomplete, 40, 119, 0.6),
    "chart-tooltip": (product.tooltip, tasks.tooltip, 220, 400, 0.3),
    "long-form-draft": (product.draft, tasks.draft, 1500, 4000, 0.1),
}


def main() -> None:
    """Ask, and print how many answers were right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=400, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)  # noqa: S311  (traffic, not a secret)
    shares = [share for *_, share in SURFACES.values()]
    right = 0
    for ask, make, shortest, longest, _ in chance.choices(list(SURFACES.values()), shares, k=arguments.requests):
        task = make(chance, chance.randint(shortest, longest))
        right += ask(task.prompt) == task.answer
    print(json.dumps({"requests": arguments.requests, "right": right}), flush=True)


if __name__ == "__main__":
    main()
