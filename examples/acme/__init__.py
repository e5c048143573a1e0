"""A small SDK of a provider that does not exist, for docs/add-an-sdk.md: a client, its asynchronous twin, streams."""

from acme.client import AsyncClient, Client, Reply

__all__ = ["AsyncClient", "Client", "Reply"]
__version__ = "1.0.0"
