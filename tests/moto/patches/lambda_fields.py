"""Fields of a function that Terraform sets and reads back, which moto drops: logging, KMS key, dead letter, and on an
update tracing, architectures and storage.
"""

from __future__ import annotations

from typing import Any


def install() -> None:
    """Puts the mend in place."""
    from moto.awslambda.models import LambdaFunction

    create, configuration, update = (
        LambdaFunction.__init__,
        LambdaFunction.get_configuration,
        LambdaFunction.update_configuration,
    )

    def __init__(self: Any, account_id: str, spec: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        create(self, account_id, spec, *args, **kwargs)
        self.laptop_kms_key = spec.get("KMSKeyArn")
        self.laptop_dead_letter = spec.get("DeadLetterConfig")
        self.laptop_logging = spec.get("LoggingConfig")

    def get_configuration(self: Any, on_create: bool = False) -> dict[str, Any]:
        config = configuration(self, on_create)
        if self.laptop_kms_key:
            config["KMSKeyArn"] = self.laptop_kms_key
        if (self.laptop_dead_letter or {}).get("TargetArn"):
            config["DeadLetterConfig"] = self.laptop_dead_letter
        config["LoggingConfig"] = {"LogFormat": "Text", "LogGroup": self.logs_group_name} | (self.laptop_logging or {})
        return config

    def update_configuration(self: Any, updates: dict[str, Any]) -> dict[str, Any]:
        if "KMSKeyArn" in updates:
            self.laptop_kms_key = updates["KMSKeyArn"] or None
        if "DeadLetterConfig" in updates:
            self.laptop_dead_letter = updates["DeadLetterConfig"]
        if "LoggingConfig" in updates:
            self.laptop_logging = updates["LoggingConfig"]
        if "TracingConfig" in updates:
            self.tracing_config = updates["TracingConfig"]
        if "EphemeralStorage" in updates:
            self.ephemeral_storage = updates["EphemeralStorage"]["Size"]
        return update(self, updates)

    LambdaFunction.__init__ = __init__
    LambdaFunction.get_configuration = get_configuration
    LambdaFunction.update_configuration = update_configuration
