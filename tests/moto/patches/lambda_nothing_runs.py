"""moto keeps Lambda functions as resources and runs none: the Lambda host does that.

With Docker at hand moto would run them in containers of its own: on Invoke, and for each message of a queue that has
an event source mapping (`patches/sqs_receive.py` leaves that part out). Invoke is refused by name instead.
"""

from __future__ import annotations

from typing import Any


def install() -> None:
    """Puts the mend in place."""
    from moto.awslambda.exceptions import LambdaClientError
    from moto.awslambda.models import LambdaBackend

    def invoke(self: Any, function_name: str, *_args: Any, **_kwargs: Any) -> Any:
        raise LambdaClientError(
            "ServiceException", f"{function_name} was not run: on the laptop the Lambda host runs functions, not moto"
        )

    def send_sqs_batch(self: Any, *_args: Any, **_kwargs: Any) -> bool:
        raise AssertionError("moto must not hand messages to functions")

    LambdaBackend.invoke = invoke
    LambdaBackend.send_sqs_batch = send_sqs_batch
