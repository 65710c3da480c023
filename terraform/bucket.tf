# The bucket of the fleets document, the functions' zip and housekeeping's reports.

locals {
  own_bucket    = var.existing_bucket == null
  bucket        = local.own_bucket ? one(aws_s3_bucket.dayfly[*].bucket) : var.existing_bucket.name
  bucket_arn    = local.own_bucket ? one(aws_s3_bucket.dayfly[*].arn) : "arn:${local.partition}:s3:::${var.existing_bucket.name}"
  bucket_prefix = local.own_bucket ? "" : "${local.prefix}/"

  # Of every bucket that is made here. Whoever has credentials for it has them for TLS.
  tls_only_bucket = { for name, arn in merge(
    { for arn in aws_s3_bucket.dayfly[*].arn : "dayfly" => arn },
    { for arn in aws_s3_bucket.registrations[*].arn : "registrations" => arn },
    { for arn in aws_s3_bucket.runners[*].arn : "runners" => arn },
    ) : name => jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [arn, "${arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }]
  }) }
}

resource "aws_s3_bucket" "dayfly" {
  # checkov:skip=CKV_AWS_18: An access log would need a bucket more; CloudTrail's data events tell the same where they are wanted.
  # checkov:skip=CKV2_AWS_62: Nothing waits for a change in it.
  # checkov:skip=CKV_AWS_144: What is in it is made anew by Terraform or the functions, and is of this region.
  count  = local.own_bucket ? 1 : 0
  bucket = "${local.prefix}-${local.account}"
  # All that is in it is made from this module.
  force_destroy = true
  tags          = local.tags
}

resource "aws_s3_bucket_public_access_block" "dayfly" {
  count                   = length(aws_s3_bucket.dayfly)
  bucket                  = aws_s3_bucket.dayfly[count.index].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "dayfly" {
  count  = length(aws_s3_bucket.dayfly)
  bucket = aws_s3_bucket.dayfly[count.index].id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm     = local.has_key ? "aws:kms" : "AES256"
      kms_master_key_id = local.key_arn
    }
    # One call of KMS for many objects.
    bucket_key_enabled = local.has_key
  }
}

resource "aws_s3_bucket_versioning" "dayfly" {
  count  = length(aws_s3_bucket.dayfly)
  bucket = aws_s3_bucket.dayfly[count.index].id

  versioning_configuration {
    status = "Enabled"
  }
}

# Each deployment and each report leaves a version behind.
resource "aws_s3_bucket_lifecycle_configuration" "dayfly" {
  count  = length(aws_s3_bucket.dayfly)
  bucket = aws_s3_bucket.dayfly[count.index].id

  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.old_versions_days
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  # It speaks of versions.
  depends_on = [aws_s3_bucket_versioning.dayfly]
}

resource "aws_s3_bucket_policy" "dayfly" {
  count  = length(aws_s3_bucket.dayfly)
  bucket = aws_s3_bucket.dayfly[count.index].id
  policy = local.tls_only_bucket["dayfly"]

  # S3 takes one of these two at a time.
  depends_on = [aws_s3_bucket_public_access_block.dayfly]
}
