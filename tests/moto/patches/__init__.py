"""What moto 5.2.1 gets wrong or lacks for this project, mended in its classes. One file per mend, each with a test
of the same name in `tests/`, or of the file that needs it. A mend that a newer moto makes needless fails no test when it is taken out.
"""

from __future__ import annotations

import importlib

# In this order: a later one may wrap what an earlier one has put in place.
MENDS = (
    "ec2_states",
    "ec2_events",
    "ec2_launch_fields",
    "ec2_capacity",
    "ec2_fleet",
    "ec2_client_token",
    "ec2_images",
    "ec2_filters",
    "ec2_launch_template_tags",
    "ec2_launch_template_pages",
    "ssm_tiers",
    "sqs_sender",
    "sqs_receive",
    "sqs_attributes",
    "lambda_nothing_runs",
    "lambda_fields",
    "logs_class",
    "s3_policy_conditions",
    "s3_complete_answer",
    "s3_upload_ids",
    "dynamodb_transactions",
    "dynamodb_answers",
    "events_schedules",
)

_installed = False


def install() -> None:
    """Puts every mend in place, once."""
    global _installed
    if _installed:
        return
    for name in MENDS:
        importlib.import_module(f"patches.{name}").install()
    _installed = True
