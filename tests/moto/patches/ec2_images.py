"""An image says what it is: of EBS and its instance's root device, and what ModifyImageAttribute says of it.

moto calls each image that CreateImage makes one of an instance store, with a root device of its own, and drops a new description.
"""

from __future__ import annotations

from typing import Any


def install() -> None:
    """Puts the mend in place."""
    from moto.ec2.models.amis import AmiBackend
    from moto.ec2.responses.amis import AmisResponse

    create, modify = AmiBackend.create_image, AmisResponse.modify_image_attribute

    def create_image(self: Any, instance_id: str, *args: Any, **kwargs: Any) -> Any:
        image = create(self, instance_id, *args, **kwargs)
        image.root_device_type, image.root_device_name = "ebs", self.get_instance(instance_id).root_device_name
        return image

    def modify_image_attribute(self: Any) -> Any:
        result = modify(self)
        description = (self._get_param("Description") or {}).get("Value")
        if description is not None:
            self.ec2_backend.describe_images(ami_ids=[self._get_param("ImageId")])[0].description = description
        return result

    AmiBackend.create_image = create_image
    AmisResponse.modify_image_attribute = modify_image_attribute
