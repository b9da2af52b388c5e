"""Traces: from a request through the queue to every turn, call of a tool and statement. Begin reading at `spans.py`.

Nothing of OpenTelemetry is loaded unless its variables ask for traces.
"""
