"""A provider of models that serves none: it speaks the real wire formats over a real socket, for tests and the demo."""

from fake_provider.answers import Answers, Received
from fake_provider.routing import AutoRouter
from fake_provider.server import FakeProvider

__all__ = ["Answers", "AutoRouter", "FakeProvider", "Received"]
