locals {
  # The fleets document, version 1: control/fleets.schema.json describes it.
  fleets_document = jsonencode({
    version = 1
    fleets = [for name, fleet in var.fleets : {
      name          = name
      labels        = fleet.labels
      priority      = fleet.priority
      repositories  = fleet.repositories
      max           = fleet.max
      delay_seconds = fleet.delay_seconds
      boot_seconds  = fleet.boot_seconds
      github        = { for key, value in fleet.github : key => value if value != null }
      launch = {
        template_id = aws_launch_template.runner[name].id
        # A number, not $Latest: the document and the template change together.
        template_version = tostring(aws_launch_template.runner[name].latest_version)
        subnets          = coalesce(fleet.subnets, var.subnets)
        instance_types   = fleet.instance_types
        market           = fleet.market
      }
    }]
  })
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
