# What instances are told when they start, by ../userdata: the agent's config alone, or how the agent gets onto a stock image.

locals {
  stock_fleets = { for name, fleet in var.fleets : name => fleet if fleet.user_data.kind == "stock" }

  # Of the architectures that stock fleets have: what is uploaded, and where each is then.
  agent_archives_used   = { for architecture, archive in var.agent_archives : architecture => archive if contains([for fleet in values(local.stock_fleets) : fleet.user_data.architecture], architecture) }
  agent_archives_upload = { for architecture, archive in local.agent_archives_used : architecture => archive.path if archive.path != null }
  # By its hash, so that none fetches another than its user-data names while an update is under way.
  agent_archive_keys = { for architecture, path in local.agent_archives_upload : architecture => "${local.bucket_prefix}agent/${filesha256(path)}/dayfly-agent-${architecture}.tar.gz" }
  agent_sources = { for architecture, archive in local.agent_archives_used : architecture => {
    bucket = archive.path == null ? archive.bucket : local.bucket
    key    = archive.path == null ? archive.key : local.agent_archive_keys[architecture]
    sha256 = archive.path == null ? archive.sha256 : filesha256(archive.path)
  } }
  # Joined with runner_source_policy (runner_role.tf): these very objects.
  may_fetch_agent = [for sources in [values(local.agent_sources)] : {
    Sid      = "AgentArchive"
    Effect   = "Allow"
    Action   = "s3:GetObject"
    Resource = [for source in sources : "arn:${local.partition}:s3:::${source.bucket}/${source.key}"]
  } if length(sources) > 0]

  # The limit of an installation leaves a minute of boot_seconds for what comes before and after it.
  install_seconds = { for name, fleet in var.fleets : name => coalesce(fleet.user_data.install_seconds, max(60, fleet.boot_seconds - 60)) }

  user_data = { for name, it in module.userdata : name => (
    var.fleets[name].handover == "s3" ? replace(it.user_data, local.role_id_stands_for, local.runner_role.id) : it.user_data
  ) }
}

module "userdata" {
  source       = "../userdata"
  for_each     = var.fleets
  kind         = each.value.user_data.kind
  agent_config = local.agent_config_text[each.key]
  agent_environment = merge(
    var.agent_endpoint_url == null ? {} : { AWS_ENDPOINT_URL = var.agent_endpoint_url },
    each.value.user_data.environment,
  )
  agent_source    = each.value.user_data.kind == "stock" ? try(local.agent_sources[each.value.user_data.architecture], null) : null
  install_seconds = local.install_seconds[each.key]
  pre_install     = each.value.user_data.pre_install
  post_install    = each.value.user_data.post_install
  template_file   = each.value.user_data.template_file
  # The launch template's preconditions name the fleet.
  strict = false
}

resource "aws_s3_object" "agent" {
  for_each     = local.agent_archives_upload
  bucket       = local.bucket
  key          = local.agent_archive_keys[each.key]
  source       = each.value
  content_type = "application/gzip"
  tags         = local.tags

  lifecycle {
    # The old one goes only once the fleets document names a template version with the new one.
    create_before_destroy = true
  }

  depends_on = [aws_s3_bucket_versioning.dayfly]
}
