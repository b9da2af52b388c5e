"""Prometheus' alert rules and Grafana's dashboard, as code."""
