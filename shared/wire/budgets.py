"""Budgets on the wire: the hard one in the original's shape, the soft one as our extension of it.

The original's `spend_alerts` send mail, which nobody here does.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from shared.database import Row
from shared.wire import limits
from shared.wire.fields import Body
from shared.wire.shapes.budgets import SpendLimitObject
from shared.wire.usage import amount

Cents = Annotated[int, Field(ge=1, le=limits.SPEND_LIMIT)]


class BudgetExtension(Body):
    """Beyond the original."""

    alert_amount: Cents | None = None


class PutSpendLimit(Body):
    """A budget in place of any other."""

    threshold_amount: Cents | None = None
    currency: Literal["USD"] = "USD"
    interval: Literal["month"] = "month"
    assistantd: BudgetExtension | None = None

    @model_validator(mode="after")
    def _something(self) -> "PutSpendLimit":
        if self.threshold_amount is None and (self.assistantd is None or self.assistantd.alert_amount is None):
            raise PydanticCustomError("invalid_value", "Missing required parameter: 'threshold_amount'.")
        return self


def spend_limit_object(row: Row) -> SpendLimitObject:
    """A project's budget."""
    return {
        "object": "project.spend_limit",
        "threshold_amount": row["limit_cents"],
        "currency": "USD",
        "interval": "month",
        "enforcement": {"status": "enforcing" if row["exhausted"] else "inactive"},
        "assistantd": {
            "alert_amount": row["alert_cents"],
            "alerted": bool(row["alerted"]),
            "spent": amount(row["spent"]),
        },
    }
