"""Files that other systems load: Prometheus rules and their tests, Alertmanager configuration, Grafana dashboards."""
