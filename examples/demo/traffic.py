"""Asks the demo's application without end, and has the provider retune its router after a while."""

from __future__ import annotations

import argparse
import random
import signal
import time

from demo.__main__ import SCENARIOS, START, SURFACES, control, post


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--app", required=True, metavar="URL")
    parser.add_argument("--provider", required=True, metavar="URL")
    parser.add_argument("--rate", type=float, default=3.0, metavar="N", help="requests a second")
    parser.add_argument("--change-after", type=float, default=900.0, metavar="SECONDS")
    parser.add_argument("--scenario", choices=SCENARIOS, default="relax", help="what then changes")
    arguments = parser.parse_args()
    if not arguments.rate > 0:
        parser.error("--rate must be positive")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    what, settings = SCENARIOS[arguments.scenario]
    chance = random.Random()  # noqa: S311  (traffic, not a secret)
    persist(arguments.provider, START)
    change = time.monotonic() + arguments.change_after
    changed = False
    while True:
        if not changed and time.monotonic() >= change:
            persist(arguments.provider, settings)
            changed = True
            print(f"traffic   {what.removeprefix('the same; ')}", flush=True)
        ask(arguments.app, chance)
        time.sleep(chance.expovariate(arguments.rate))


def ask(app: str, chance: random.Random) -> None:
    """Send one prompt; which surface it is of is drawn by the surfaces' shares of the traffic."""
    path, shortest, longest, _ = chance.choices(list(SURFACES.values()), [share for *_, share in SURFACES.values()])[0]
    try:
        post(app + path, {"text": "x" * chance.randint(shortest, longest)})
    except OSError as error:
        print(f"traffic   {app}{path}: {error}", flush=True)


def persist(provider: str, settings: dict[str, object]) -> None:
    """Change the router, as soon as the provider can be reached."""
    while not reached(provider, settings):
        time.sleep(1)


def reached(provider: str, settings: dict[str, object]) -> bool:
    """Change the router, and return whether the provider was there."""
    try:
        control(provider, settings)
    except OSError:
        return False
    return True


def end(*_: object) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
