"""A health check: ``python -m demo.up URL`` ends with 0 if the address answers, 1 if not."""

from __future__ import annotations

import sys
import urllib.request


def main() -> None:
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=3):  # noqa: S310  (an address of our own)
            return
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: {error}")


if __name__ == "__main__":
    main()
