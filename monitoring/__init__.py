"""The Grafana dashboard as code, and a run that tests it and the alerts with a real Prometheus."""
