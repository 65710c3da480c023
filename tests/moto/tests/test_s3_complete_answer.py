import urllib.request


def test_a_complete_upload_is_answered_as_s3_does(laptop, name):
    s3 = laptop.aws("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    upload = s3.create_multipart_upload(Bucket=name, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=name, Key="k", UploadId=upload, PartNumber=1, Body=b"v")
    # By hand, since AWS's client for Python takes either.
    url = s3.generate_presigned_url("complete_multipart_upload", {"Bucket": name, "Key": "k", "UploadId": upload})
    body = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part['ETag']}</ETag></Part></CompleteMultipartUpload>"
    asked = urllib.request.Request(url, data=body.encode(), headers={"Content-Type": "application/xml"}, method="POST")
    with urllib.request.urlopen(asked) as answer:
        text = answer.read().decode()
    assert "<CompleteMultipartUploadResult " in text and text.endswith("</CompleteMultipartUploadResult>"), text
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"v"
