"""Click's result codes, and what each does to the customer's money.

https://docs.click.uz/click-api-error. After the customer was debited only two errors are allowed: −4 (this payment is
already confirmed) and −9 (this payment is cancelled; Click gives the money back).
"""

from enum import Enum


class Code(Enum):
    """One result: its number and the constant text that goes with it."""

    SUCCESS = 0, "Success"
    SIGN_CHECK_FAILED = -1, "SIGN CHECK FAILED!"
    INCORRECT_AMOUNT = -2, "Incorrect parameter amount"
    ACTION_NOT_FOUND = -3, "Action not found"
    ALREADY_PAID = -4, "Already paid"
    ACCOUNT_NOT_FOUND = -5, "User does not exist"
    TRANSACTION_NOT_FOUND = -6, "Transaction does not exist"
    FAILED_TO_UPDATE = -7, "Failed to update user"
    BAD_REQUEST = -8, "Error in request from click"
    CANCELLED = -9, "Transaction cancelled"

    @property
    def number(self) -> int:
        """The value of `error`."""
        return self.value[0]

    @property
    def note(self) -> str:
        """The value of `error_note`."""
        return self.value[1]
