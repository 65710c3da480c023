# Registrations that go by S3, for the fleets that say so: a bucket of their own, without versions, since what an
# instance has claimed and deleted is to be gone.

locals {
  fleets_by_s3 = [for name, fleet in var.fleets : name if fleet.handover == "s3"]

  registration_bucket = one(aws_s3_bucket.registrations[*].bucket)
  # The deployment's name may have 40 characters, and a bucket's 63.
  registration_bucket_name = "${local.prefix}-r-${local.account}"
  # With the instance's id behind it this ends in aws:userid of the instance's role.
  registration_bucket_prefix = "registrations/${local.runner_role.id}:"

  environment_registrations = merge(
    { DAYFLY_REGISTRATION_PREFIX = local.registration_prefix },
    length(local.fleets_by_s3) == 0 ? {} : {
      DAYFLY_REGISTRATION_BUCKET        = local.registration_bucket
      DAYFLY_REGISTRATION_BUCKET_PREFIX = local.registration_bucket_prefix
    },
    local.has_registration_key ? { DAYFLY_REGISTRATION_KMS_KEY = local.registration_key } : {},
  )

  # What the policies of roles.tf and runners.tf have beside SSM: of no bucket, nothing.
  may_hand_over_by_s3 = concat(
    [for arn in aws_s3_bucket.registrations[*].arn : {
      Sid      = "HandOverByS3"
      Effect   = "Allow"
      Action   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
      Resource = "${arn}/registrations/*"
    }],
    [for arn in aws_s3_bucket.registrations[*].arn : {
      # Without it S3 says 403, and not 404, for a registration that is not there.
      Sid      = "LookForRegistrations"
      Effect   = "Allow"
      Action   = "s3:ListBucket"
      Resource = arn
    }],
  )
  may_take_back_from_s3 = [for arn in aws_s3_bucket.registrations[*].arn : {
    Sid      = "TakeBackFromS3"
    Effect   = "Allow"
    Action   = "s3:DeleteObject"
    Resource = "${arn}/registrations/*"
  }]
  may_claim_from_s3 = [for arn in aws_s3_bucket.registrations[*].arn : {
    # aws:userid is <role id>:<instance id>: each instance has one object, and no other's.
    Sid      = "OwnRegistrationInS3"
    Effect   = "Allow"
    Action   = ["s3:DeleteObject", "s3:GetObject"]
    Resource = "${arn}/registrations/$${aws:userid}"
  }]
  may_encrypt_registrations = [for statement in [{
    Sid      = "EncryptRegistrations"
    Effect   = "Allow"
    Action   = ["kms:Encrypt", "kms:GenerateDataKey"]
    Resource = local.registration_key
  }] : statement if local.has_registration_key]
  may_decrypt_registrations = [for statement in [{
    Sid      = "DecryptRegistration"
    Effect   = "Allow"
    Action   = "kms:Decrypt"
    Resource = local.registration_key
    # What may be read is for the store's own policies to say.
    Condition = { StringEquals = { "kms:ViaService" = [for service in ["s3", "ssm"] : "${service}.${local.region}.${data.aws_partition.current.dns_suffix}"] } }
  }] : statement if local.has_registration_key]
}

resource "aws_s3_bucket" "registrations" {
  # checkov:skip=CKV_AWS_18: An access log would need a bucket more; CloudTrail's data events tell the same where they are wanted.
  # checkov:skip=CKV2_AWS_62: Nothing waits for a change in it.
  # checkov:skip=CKV_AWS_144: A registration is for one instance of this region, for minutes.
  # checkov:skip=CKV_AWS_21: Without versions: what an instance has claimed and deleted is to be gone.
  count         = length(local.fleets_by_s3) == 0 ? 0 : 1
  bucket        = local.registration_bucket_name
  force_destroy = true
  tags          = local.tags
}

resource "aws_s3_bucket_public_access_block" "registrations" {
  count                   = length(aws_s3_bucket.registrations)
  bucket                  = aws_s3_bucket.registrations[count.index].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "registrations" {
  count  = length(aws_s3_bucket.registrations)
  bucket = aws_s3_bucket.registrations[count.index].id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm     = local.has_registration_key ? "aws:kms" : "AES256"
      kms_master_key_id = local.registration_key
    }
    # One call of KMS for many objects.
    bucket_key_enabled = local.has_registration_key
  }
}

# Control deletes what an instance leaves; this is for what nobody knows of any more.
resource "aws_s3_bucket_lifecycle_configuration" "registrations" {
  count  = length(aws_s3_bucket.registrations)
  bucket = aws_s3_bucket.registrations[count.index].id

  rule {
    id     = "leftovers"
    status = "Enabled"

    filter {}

    expiration {
      days = 1
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_policy" "registrations" {
  count  = length(aws_s3_bucket.registrations)
  bucket = aws_s3_bucket.registrations[count.index].id
  policy = local.tls_only_bucket["registrations"]

  # S3 takes one of these two at a time.
  depends_on = [aws_s3_bucket_public_access_block.registrations]
}
