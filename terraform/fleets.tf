locals {
  # The fleets document, version 1: control/fleets.schema.json describes it.
  fleets_document = jsonencode({
    version             = 1
    repositories        = var.repositories
    repositories_denied = var.repositories_denied
    public_forks        = var.public_forks
    ties                = var.ties
    # What is not set has the reader's default.
    fleets = [for name, fleet in var.fleets : { for field, value in {
      name                = name
      labels              = fleet.labels
      matching            = fleet.matching
      priority            = fleet.priority
      repositories        = fleet.repositories
      repositories_denied = fleet.repositories_denied
      public_forks        = fleet.public_forks
      steering            = fleet.steering
      ephemeral           = fleet.ephemeral
      max                 = fleet.max
      delay_seconds       = fleet.delay_seconds
      boot_seconds        = fleet.boot_seconds
      cooldown_seconds    = fleet.cooldown_seconds
      interrupted         = fleet.interrupted
      pool                = local.pool[name]
      github              = { for key, value in fleet.github : key => value if value != null }
      handover            = fleet.handover
      launch = { for key, value in {
        template_id = aws_launch_template.runner[name].id
        # A number, not $Latest: the document and the template change together.
        template_version   = tostring(aws_launch_template.runner[name].latest_version)
        subnets            = coalesce(fleet.subnet_ids, var.subnet_ids)
        instance_types     = fleet.instance_types
        requirements       = local.requirements[name]
        image              = fleet.image == null ? null : { for way, value in fleet.image : way => value if value != null }
        market             = fleet.market
        on_demand_base     = fleet.on_demand_base
        on_demand_fallback = fleet.on_demand_fallback
        spot_allocation    = fleet.spot_allocation
        max_price          = fleet.max_price
        tags               = length(fleet.tags) == 0 ? null : fleet.tags
      } : key => value if value != null }
    } : field => value if value != null }]
  })

  pool_lifetime = { for name, fleet in var.fleets : name => fleet.pool == null ? null : coalesce(fleet.pool.lifetime_seconds, fleet.pool.kind == "stopped" ? 86400 : 14400) }

  # How long instances wait that stand by is for their agents to know.
  pool = { for name, fleet in var.fleets : name => fleet.pool == null ? null : { for key, value in {
    kind             = fleet.pool.kind
    size             = fleet.pool.size
    schedules        = fleet.pool.schedules == null ? null : [for schedule in fleet.pool.schedules : { for key, value in schedule : key => value if value != null }]
    eviction         = fleet.pool.eviction
    repository       = fleet.pool.repository
    lifetime_seconds = fleet.pool.kind == "stopped" ? local.pool_lifetime[name] : null
  } : key => value if value != null } }

  requirements = { for name, fleet in var.fleets : name => fleet.requirements == null ? null : { for key, value in {
    vcpus          = { for end, number in fleet.requirements.vcpus : end => number if number != null }
    memory_mib     = { for end, number in fleet.requirements.memory_mib : end => number if number != null }
    allowed_types  = fleet.requirements.allowed_types
    excluded_types = fleet.requirements.excluded_types
  } : key => value if value != null } }
}

resource "aws_s3_object" "fleets" {
  bucket       = local.bucket
  key          = "${local.bucket_prefix}fleets.json"
  content      = local.fleets_document
  content_type = "application/json"
  tags         = local.tags

  lifecycle {
    precondition {
      # CreateFleet takes 300 overrides.
      condition     = alltrue([for fleet in values(var.fleets) : length(coalesce(fleet.instance_types, [])) * length(coalesce(fleet.subnet_ids, var.subnet_ids)) <= 300])
      error_message = "fleets[*] has at most 300 pairs of subnet and instance type; here ${join(", ", [for name, fleet in var.fleets : name if length(coalesce(fleet.instance_types, [])) * length(coalesce(fleet.subnet_ids, var.subnet_ids)) > 300])} has more."
    }
    precondition {
      condition     = alltrue([for fleet in values(var.fleets) : contains(concat([""], try(var.runner_versions.platforms, [])), try(coalesce(fleet.agent.runner_source.platform), ""))])
      error_message = "fleets[*].agent.runner_source.platform is one of runner_versions.platforms."
    }
  }

  # Instances are launched by it at once, fetch the agent, and spot ones need their volumes' keys.
  depends_on = [aws_s3_bucket_versioning.dayfly, aws_s3_object.agent, aws_kms_grant.spot]
}
