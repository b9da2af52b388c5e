"""Grafana's dashboard as code, and what provisions it."""
