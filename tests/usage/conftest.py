"""The administration, and what it is told of usage."""

from tests.organization.conftest import admin

__all__ = ["admin"]
