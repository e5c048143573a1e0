"""The Grafana dashboards as code: one module a board, made with grafana-foundation-sdk when the project is built."""
