"""A completed multipart upload is answered by a `CompleteMultipartUploadResult`; moto names the element
`CompleteMultipartUploadResponse`, which the AWS SDK for Rust refuses to read.
<https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>
"""

from __future__ import annotations

from typing import Any


def install() -> None:
    """Puts the mend in place."""
    from moto.s3.responses import S3Response

    serialize = S3Response.serialized

    def serialized(self: Any, *args: Any, **kwargs: Any) -> Any:
        status, headers, body = serialize(self, *args, **kwargs)
        if self.data.get("Action") == "CompleteMultipartUpload":
            body = body.replace("CompleteMultipartUploadResponse", "CompleteMultipartUploadResult")
        return status, headers, body

    S3Response.serialized = serialized
