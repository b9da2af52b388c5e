"""What a project may spend."""

from typing import Literal

from typing_extensions import TypedDict

from shared.wire.shapes.usage import Amount


class Enforcement(TypedDict):
    """Is the limit reached, so that no new runs are taken?"""

    status: Literal["inactive", "enforcing"]


class BudgetFacts(TypedDict):
    """From how many cents on owners are told, whether they have been this month, and what is spent."""

    alert_amount: int | None
    alerted: bool
    spent: Amount


class SpendLimitObject(TypedDict):
    """What a project may spend in a month, in cents; null where its owners are only to be told, which is ours."""

    object: Literal["project.spend_limit"]
    threshold_amount: int | None
    currency: Literal["USD"]
    interval: Literal["month"]
    enforcement: Enforcement
    assistantd: BudgetFacts


class SpendLimitDeleted(TypedDict):
    """It is gone."""

    object: Literal["project.spend_limit.deleted"]
    deleted: Literal[True]
