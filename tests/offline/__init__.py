"""The embedded stack on a machine without a network: whatever leaves it would be seen."""
