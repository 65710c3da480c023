# What instances may do: take the own registration, report, end oneself.

locals {
  runner_role = var.roles.runner != null ? var.roles.runner : {
    name             = one(aws_iam_role.runner[*].name)
    arn              = one(aws_iam_role.runner[*].arn)
    id               = one(aws_iam_role.runner[*].unique_id)
    instance_profile = one(aws_iam_instance_profile.runner[*].name)
  }

  runner_policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.may_claim_from_s3, local.may_decrypt_registrations, local.may_encrypt_reports, [
      {
        # A registration is tagged with the one instance it is for, and credentials of an instance's role tell which instance
        # they were given to. Delete: what was taken is nobody's any more.
        Sid       = "OwnRegistration"
        Effect    = "Allow"
        Action    = ["ssm:DeleteParameter", "ssm:GetParameter"]
        Resource  = "${local.parameter_arn}${local.registration_prefix}/*"
        Condition = { StringLike = { "ec2:SourceInstanceARN" = "*/$${aws:ResourceTag/InstanceId}" } }
      },
      {
        # EC2 tells the instance that is to end as aws:ARN, and the one whose credentials ask as ec2:SourceInstanceARN.
        Sid       = "EndItself"
        Effect    = "Allow"
        Action    = "ec2:TerminateInstances"
        Resource  = "${local.ec2}:instance/*"
        Condition = { StringEquals = { "aws:ARN" = "$${ec2:SourceInstanceARN}" } }
      },
      {
        # Whose message it is SQS tells by itself: control believes nothing else.
        Sid      = "Report"
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = local.queue_arns["lifecycle"]
      },
    ])
  })

  # A platform stands for where sync-runner keeps it.
  runner_source = { for name, source in { for name, fleet in var.fleets : name => fleet.agent.runner_source } : name => source == null ? null : {
    bucket  = source.platform == null ? source.bucket : local.runners_bucket
    prefix  = source.platform == null ? source.prefix : "${local.runners_prefix}/${source.platform}"
    version = source.version
  } }
  runner_sources = distinct([for source in values(local.runner_source) : "${source.bucket}/${source.prefix}" if source != null])
  may_fetch_runner = [for sources in [local.runner_sources] : {
    Sid      = "RunnerSource"
    Effect   = "Allow"
    Action   = "s3:GetObject"
    Resource = [for source in sources : "arn:${local.partition}:s3:::${source}/*"]
  } if length(sources) > 0]
  # What stock images install, and agents that find the image's runner too old.
  may_fetch        = concat(local.may_fetch_agent, local.may_fetch_runner)
  installs_runners = length(local.may_fetch) > 0
  runner_source_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local.may_decrypt_runners, local.may_fetch)
  })
}

resource "aws_iam_role" "runner" {
  count                = var.roles.runner == null ? 1 : 0
  name                 = "${local.prefix}-runner"
  path                 = var.roles.path
  permissions_boundary = var.roles.permissions_boundary
  description          = "Dayfly's instances: take the own registration, report, end oneself"
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_instance_profile" "runner" {
  count = length(aws_iam_role.runner)
  name  = "${local.prefix}-runner"
  path  = var.roles.path
  role  = aws_iam_role.runner[count.index].name
  tags  = local.tags
}

resource "aws_iam_role_policy" "runner" {
  count  = length(aws_iam_role.runner)
  name   = "dayfly"
  role   = aws_iam_role.runner[count.index].id
  policy = local.runner_policy
}

# Where a fleet says that agent or runner are installed from S3.
resource "aws_iam_role_policy" "runner_source" {
  count  = local.installs_runners && var.roles.runner == null ? 1 : 0
  name   = "dayfly-runner-source"
  role   = aws_iam_role.runner[0].id
  policy = local.runner_source_policy
}
