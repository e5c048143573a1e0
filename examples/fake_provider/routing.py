"""The router behind ``auto``: a cheap model for short prompts, a strong one for long prompts, a threshold between."""

from __future__ import annotations

import random
import threading

CHEAP, STRONG = "claude-haiku-4-5-20251001", "claude-sonnet-4-5-20250929"


class AutoRouter:
    """Picks a model by the prompt's length in characters, with some noise, the same for the same seed.

    ``threshold`` is the length below which the cheap model serves; ``pool`` are the cheap and the strong model;
    ``newcomer`` serves the share ``newcomer_share`` of everything.
    """

    def __init__(self, threshold: float = 40.0, pool: tuple[str, str] = (CHEAP, STRONG), seed: int = 7) -> None:
        self.threshold = threshold
        self.pool = pool
        self.newcomer: str | None = None
        self.newcomer_share = 0.0
        self.log: list[tuple[int, str]] = []
        """What was served, as (characters, model)."""
        self._random = random.Random(seed)  # noqa: S311  (noise, not a secret)
        self._lock = threading.Lock()

    def __call__(self, characters: int) -> str:
        """Return the model that serves a prompt of so many characters."""
        with self._lock:
            if self.newcomer is not None and self._random.random() < self.newcomer_share:
                model = self.newcomer
            else:
                noisy = characters * self._random.lognormvariate(0.0, 0.25)
                model = self.pool[0] if noisy < self.threshold else self.pool[1]
            self.log.append((characters, model))
            return model

    def change(self, settings: dict[str, object]) -> None:
        """Take new settings, as the control endpoint receives them."""
        with self._lock:
            for name in ("threshold", "newcomer", "newcomer_share"):
                if name in settings:
                    setattr(self, name, settings[name])
            if "pool" in settings:
                cheap, strong = settings["pool"]  # type: ignore[misc]
                self.pool = (cheap, strong)
