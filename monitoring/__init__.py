"""The Grafana dashboard as code, and the run that tries it and the alerts against a real Prometheus."""
