"""The demo: an application, a provider that retunes its router, and what the mix of each surface then shows."""
