"""Executing runs: claim, drive, settle. Begin reading at `executor.py`."""
