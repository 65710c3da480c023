# What instances are launched from, and what they may do.

resource "aws_security_group" "runner" {
  # checkov:skip=CKV_AWS_382: Jobs fetch from wherever their workflows say. Who wants less filters in the subnets, where it holds for all ports.
  name        = "${local.prefix}-runner"
  description = "Dayfly runners of ${var.environment}: nothing comes in"
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
  for_each = var.fleets
  # No environment has a slash in it: "main" with a fleet "a-b" and "main-a" with "b" are two.
  name        = "${local.prefix}/${each.key}"
  description = "Runners of fleet ${each.key}"
  # Without either here, the launch says them.
  image_id                             = each.value.image_id
  instance_type                        = try(each.value.instance_types[0], null)
  update_default_version               = true
  vpc_security_group_ids               = concat([aws_security_group.runner.id], var.runner_security_groups)
  user_data                            = base64encode(local.user_data[each.key])
  instance_initiated_shutdown_behavior = "terminate"
  tags                                 = local.tags

  iam_instance_profile {
    name = local.runner_role.instance_profile
  }

  # In place of the image's own volumes of the same names; what is left out here, as the size, stays as the image has it.
  dynamic "block_device_mappings" {
    for_each = each.value.volumes
    content {
      device_name = coalesce(block_device_mappings.value.device_name, local.root_device_name[each.key])
      ebs {
        volume_type           = block_device_mappings.value.type
        volume_size           = block_device_mappings.value.size_gib
        iops                  = block_device_mappings.value.iops
        throughput            = block_device_mappings.value.throughput
        encrypted             = block_device_mappings.value.encrypted
        kms_key_id            = block_device_mappings.value.kms_key
        delete_on_termination = true
      }
    }
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

  lifecycle {
    precondition {
      condition     = module.userdata[each.key].bytes <= 16384
      error_message = "fleets[\"${each.key}\"]: its user-data has ${module.userdata[each.key].bytes} bytes, and EC2 takes 16384. What can be less: agent.runner_environment, user_data.pre_install and post_install, which may fetch what they run, or a template of yours."
    }
    precondition {
      condition     = each.value.user_data.kind == "baked" || each.value.user_data.template_file != null || contains(keys(var.agent_archives), each.value.user_data.architecture)
      error_message = "fleets[\"${each.key}\"].user_data.kind is \"stock\", and agent_archives has nothing for ${each.value.user_data.architecture}: where is the agent installed from?"
    }
    precondition {
      condition     = length(distinct(local.volume_devices[each.key])) == length(local.volume_devices[each.key])
      error_message = "fleets[\"${each.key}\"].volumes each have a device_name of their own; without one it is the root's, ${local.root_device_name[each.key]}."
    }
  }
}

locals {
  # What images call their root volume: Ubuntu's /dev/sda1, Amazon Linux and Debian's /dev/xvda.
  # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html
  root_device_name = { for name, fleet in var.fleets : name => coalesce(fleet.root_device_name, anytrue([
    for word in concat([try(coalesce(fleet.image.name), ""), try(coalesce(fleet.image.parameter), "")], try(coalesce(fleet.image.owners, []), [])) :
    # The number is Canonical's account.
    can(regex("(?i)ubuntu|^/aws/service/canonical/|^099720109477$", word))
  ]) ? "/dev/sda1" : "/dev/xvda") }
  volume_devices = { for name, fleet in var.fleets : name => [for volume in fleet.volumes : coalesce(volume.device_name, local.root_device_name[name])] }

  # /etc/dayfly/agent.json, version 1. What a fleet does not set is left to the agent.
  agent_config = { for name, fleet in var.fleets : name => { for field, value in {
    version                    = 1
    deployment                 = var.environment
    fleet                      = name
    registration_prefix        = fleet.handover == "s3" ? "registrations/${local.role_id_stands_for}:" : local.registration_prefix
    registration_bucket        = fleet.handover == "s3" ? local.registration_bucket_name : null
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
      kind = fleet.pool.kind
      # One that is to be stopped does not wait for that as long as it may be stopped: it costs as much as any.
      lifetime_seconds = fleet.pool.kind == "idle" ? null : fleet.pool.kind == "stopped" ? min(14400, local.pool_lifetime[name]) : local.pool_lifetime[name]
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

  # The role's id, in the keys of registrations in S3, is known only when there is a role. Until then this stands for it, as
  # long, so that it can be told at plan time how long the user-data is.
  role_id_stands_for = "AROA_role_id_unknown_"
  agent_config_text  = { for name, config in local.agent_config : name => jsonencode(config) }
}
