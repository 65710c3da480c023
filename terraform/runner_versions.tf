# Releases of the runner, for agents to install: sync-runner writes them, fleets name them by platform.

locals {
  # The deployment's name may have 40 characters, and a bucket's 63. Without versions: each holds a whole runner.
  runners_bucket = "${local.prefix}-v-${local.account}"
  runners_prefix = "runners"

  # Versions that fleets name, beside the one that is the latest.
  runner_versions_named = sort(distinct([
    for fleet in values(var.fleets) : fleet.agent.runner_source.version
    if try(fleet.agent.runner_source.platform, null) != null && try(fleet.agent.runner_source.version, "latest") != "latest"
  ]))

  # Of one element or none, since the parts are of different types.
  sync_runner = {
    function = { for versions in [var.runner_versions] : "sync-runner" => { timeout = 900 } if versions != null }
    schedule = { for versions in [var.runner_versions] : "sync-runner" => versions.schedule if versions != null }
    environment = { for versions in [var.runner_versions] : "sync-runner" => { for name, value in {
      DAYFLY_DEPLOYMENT               = var.environment
      DAYFLY_LOG                      = var.log_level
      DAYFLY_RUNNERS                  = "s3://${one(aws_s3_bucket.runners[*].bucket)}/${local.runners_prefix}"
      DAYFLY_RUNNER_PLATFORMS         = join(",", versions.platforms)
      DAYFLY_RUNNER_VERSION           = versions.version
      DAYFLY_RUNNER_DELAY_HOURS       = versions.delay_hours
      DAYFLY_RUNNER_KEEP              = versions.keep
      DAYFLY_RUNNER_ALSO              = length(local.runner_versions_named) == 0 ? null : join(",", local.runner_versions_named)
      DAYFLY_RELEASES_URL             = versions.releases_url
      DAYFLY_RELEASES_TOKEN_PARAMETER = versions.token_parameter
    } : name => value if value != null } if versions != null }
    policy = { for versions in [var.runner_versions] : "sync-runner" => concat([
      {
        Sid      = "Runners"
        Effect   = "Allow"
        Action   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
        Resource = "arn:${local.partition}:s3:::${local.runners_bucket}/${local.runners_prefix}/*"
      },
      {
        # Without it S3 says 403, and not 404, for what is not there.
        Sid      = "ListRunners"
        Effect   = "Allow"
        Action   = "s3:ListBucket"
        Resource = "arn:${local.partition}:s3:::${local.runners_bucket}"
      },
      ], [for name in compact([versions.token_parameter]) : {
        Sid      = "Token"
        Effect   = "Allow"
        Action   = "ssm:GetParameter"
        Resource = "${local.parameter_arn}${name}"
    }], local.may_tell_of_failures) if versions != null }
  }
}

resource "aws_s3_bucket" "runners" {
  # checkov:skip=CKV_AWS_18: An access log would need a bucket more; CloudTrail's data events tell the same where they are wanted.
  # checkov:skip=CKV2_AWS_62: Nothing waits for a change in it.
  # checkov:skip=CKV_AWS_144: GitHub has it all.
  # checkov:skip=CKV_AWS_21: Each version of a runner has a key of its own, with its hash; sync-runner deletes the old ones, which are large.
  count  = var.runner_versions == null ? 0 : 1
  bucket = local.runners_bucket
  # All that is in it is GitHub's, and can be had again.
  force_destroy = true
  tags          = local.tags
}

resource "aws_s3_bucket_public_access_block" "runners" {
  count                   = length(aws_s3_bucket.runners)
  bucket                  = aws_s3_bucket.runners[count.index].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "runners" {
  count  = length(aws_s3_bucket.runners)
  bucket = aws_s3_bucket.runners[count.index].id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm     = local.has_key ? "aws:kms" : "AES256"
      kms_master_key_id = local.key_arn
    }
    bucket_key_enabled = local.has_key
  }
}

# A function that was killed leaves parts behind, which are billed and in no list of objects.
resource "aws_s3_bucket_lifecycle_configuration" "runners" {
  count  = length(aws_s3_bucket.runners)
  bucket = aws_s3_bucket.runners[count.index].id

  rule {
    id     = "unfinished"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_policy" "runners" {
  count  = length(aws_s3_bucket.runners)
  bucket = aws_s3_bucket.runners[count.index].id
  policy = local.tls_only_bucket["runners"]

  # S3 takes one of these two at a time.
  depends_on = [aws_s3_bucket_public_access_block.runners]
}
