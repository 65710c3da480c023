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
        subnets            = coalesce(fleet.subnets, var.subnets)
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

resource "aws_s3_bucket" "dayfly" {
  bucket = "${local.prefix}-${local.account}"
  # All that is in it is made from this module.
  force_destroy = true
  tags          = local.tags
}

resource "aws_s3_bucket_public_access_block" "dayfly" {
  bucket                  = aws_s3_bucket.dayfly.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "dayfly" {
  bucket = aws_s3_bucket.dayfly.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "dayfly" {
  bucket = aws_s3_bucket.dayfly.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_policy" "dayfly" {
  bucket = aws_s3_bucket.dayfly.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.dayfly.arn, "${aws_s3_bucket.dayfly.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  # S3 takes one of these two at a time.
  depends_on = [aws_s3_bucket_public_access_block.dayfly]
}

resource "aws_s3_object" "fleets" {
  bucket       = aws_s3_bucket.dayfly.id
  key          = "fleets.json"
  content      = local.fleets_document
  content_type = "application/json"
  tags         = local.tags

  depends_on = [aws_s3_bucket_versioning.dayfly]
}
