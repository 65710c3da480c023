# What instances are launched from, and what they may do.

resource "aws_security_group" "runner" {
  name        = "${local.prefix}-runner"
  description = "Dayfly runners of ${var.deployment}: nothing comes in"
  vpc_id      = var.vpc_id
  tags        = merge(local.tags, { Name = "${local.prefix}-runner" })

  egress {
    description      = "Jobs may reach anything"
    protocol         = "-1"
    from_port        = 0
    to_port          = 0
    cidr_blocks      = ["0.0.0.0/0"]
    ipv6_cidr_blocks = ["::/0"]
  }
}

resource "aws_launch_template" "runner" {
  for_each    = var.fleets
  name        = "${local.prefix}-${each.key}"
  description = "Runners of fleet ${each.key}"
  # Without either here, the launch says them.
  image_id                             = each.value.image_id
  instance_type                        = try(each.value.instance_types[0], null)
  update_default_version               = true
  vpc_security_group_ids               = [aws_security_group.runner.id]
  user_data                            = base64encode(local.user_data[each.key])
  instance_initiated_shutdown_behavior = "terminate"
  tags                                 = local.tags

  iam_instance_profile {
    name = aws_iam_instance_profile.runner.name
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
    # Keeps containers with a network of their own away from the instance's role.
    http_put_response_hop_limit = 1
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume"]
    content {
      resource_type = tag_specifications.value
      tags          = merge(local.tags, { "dayfly:fleet" = each.key, Name = "dayfly-${each.key}" })
    }
  }
}

locals {
  # /etc/dayfly/agent.json, version 1. What a fleet does not set is left to the agent.
  agent_config = { for name, fleet in var.fleets : name => { for field, value in {
    version                    = 1
    deployment                 = var.deployment
    fleet                      = name
    registration_prefix        = fleet.handover == "s3" ? local.registration_bucket_prefix : local.registration_prefix
    registration_bucket        = fleet.handover == "s3" ? local.registration_bucket : null
    lifecycle_queue_url        = local.queue_urls["lifecycle"]
    claim_seconds              = fleet.agent.claim_seconds
    stop_seconds               = fleet.agent.stop_seconds
    idle_seconds               = fleet.agent.idle_seconds
    minimum_running_seconds    = fleet.agent.minimum_running_seconds
    max_lifetime_seconds       = fleet.agent.max_lifetime_seconds
    job_seconds                = fleet.agent.job_seconds
    interruption_grace_seconds = fleet.agent.interruption_grace_seconds
    retire_seconds             = fleet.agent.retire_seconds
    heartbeat_seconds          = fleet.agent.heartbeat_seconds
    disk_free_mib              = fleet.agent.disk_free_mib
    metadata_access            = fleet.agent.metadata_access
    before_end                 = fleet.agent.before_end
    cloudwatch_agent           = fleet.agent.cloudwatch_agent
    log                        = var.log_level
    pool = fleet.pool == null ? null : { for field, value in {
      kind             = fleet.pool.kind
      lifetime_seconds = fleet.pool.kind == "idle" ? null : local.pool_lifetime[name]
    } : field => value if value != null }
    runner = { for field, value in {
      directory       = fleet.agent.runner_directory
      user            = fleet.agent.runner_user
      source          = local.runner_source[name]
      minimum_version = fleet.agent.runner_minimum_version
      disable_update  = fleet.agent.runner_disable_update
      work_folder     = fleet.agent.runner_work_folder
      environment     = fleet.agent.runner_environment
      hook_started    = fleet.agent.runner_hook_started
      hook_completed  = fleet.agent.runner_hook_completed
    } : field => value if value != null }
  } : field => value if value != null } }

  agent_config_text = { for name, config in local.agent_config : name => jsonencode(config) }

  # JSON is YAML, so cloud-init reads it on a stock image, and the agent reads it itself.
  user_data = { for name, text in local.agent_config_text : name => "#cloud-config\n${jsonencode({
    write_files = concat(
      [{ path = "/etc/dayfly/agent.json", permissions = "0644", content = text }],
      var.agent_endpoint_url == null ? [] : [
        { path = "/etc/dayfly/agent.env", permissions = "0644", content = "AWS_ENDPOINT_URL=${var.agent_endpoint_url}\n" }
      ],
    )
  })}\n" }
}

resource "aws_iam_role" "runner" {
  name        = "${local.prefix}-runner"
  description = "Dayfly's instances: take the own registration, report, end oneself"
  tags        = local.tags

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
  name = "${local.prefix}-runner"
  role = aws_iam_role.runner.name
  tags = local.tags
}

resource "aws_iam_role_policy" "runner" {
  name = "dayfly"
  role = aws_iam_role.runner.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.may_claim_from_s3, local.may_decrypt_registrations, [
      {
        # A registration is tagged with the one instance it is for.
        Sid       = "OwnRegistration"
        Effect    = "Allow"
        Action    = ["ssm:DeleteParameter", "ssm:GetParameter"]
        Resource  = "${local.parameter_arn}${local.registration_prefix}/*"
        Condition = { StringLike = { "ec2:SourceInstanceARN" = "*/$${aws:ResourceTag/InstanceId}" } }
      },
      {
        Sid       = "EndItself"
        Effect    = "Allow"
        Action    = "ec2:TerminateInstances"
        Resource  = "${local.ec2}:instance/*"
        Condition = { StringEquals = { "aws:ARN" = "$${ec2:SourceInstanceARN}" } }
      },
      {
        Sid      = "Report"
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = local.queue_arns["lifecycle"]
      },
    ])
  })
}

locals {
  # A platform stands for where sync-runner keeps it.
  runner_source = { for name, source in { for name, fleet in var.fleets : name => fleet.agent.runner_source } : name => source == null ? null : {
    bucket  = source.platform == null ? source.bucket : local.runners_bucket
    prefix  = source.platform == null ? source.prefix : "${local.runners_prefix}/${source.platform}"
    version = source.version
  } }
  runner_sources = distinct([for source in values(local.runner_source) : "${source.bucket}/${source.prefix}" if source != null])
}

# Where a fleet says that the runner is installed from S3.
resource "aws_iam_role_policy" "runner_source" {
  count = length(local.runner_sources) > 0 ? 1 : 0
  name  = "dayfly-runner-source"
  role  = aws_iam_role.runner.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "RunnerSource"
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = [for source in local.runner_sources : "arn:${local.partition}:s3:::${source}/*"]
    }]
  })
}
