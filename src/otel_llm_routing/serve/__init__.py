"""The embedded backend: OTLP in, SQLite, a page that shows the mix."""
