# The key by which everything is encrypted, where it is not AWS's own.

locals {
  has_key = var.kms_key != null
  key_arn = try(var.kms_key.create, false) ? one(aws_kms_key.dayfly[*].arn) : try(var.kms_key.arn, null)

  # Registrations may have another one: instances use it.
  has_registration_key = var.registration_kms_key != null || local.has_key
  registration_key     = var.registration_kms_key != null ? var.registration_kms_key : local.key_arn

  via = { for service in ["dynamodb", "lambda", "s3", "sqs", "ssm"] : service => "${service}.${local.region}.${data.aws_partition.current.dns_suffix}" }

  # Services use the key in the name of who calls them; nobody may use it for anything else. Decrypt reads, and opens the
  # data key that GenerateDataKey gave for writing. DynamoDB asks for what its docs name for a table's users.
  may_use_key_for = { for name, services in {
    webhook     = ["dynamodb", "lambda", "s3", "sqs", "ssm"]
    scale-up    = ["dynamodb", "lambda", "s3", "sqs", "ssm"]
    lifecycle   = ["dynamodb", "lambda", "s3", "sqs", "ssm"]
    reconcile   = ["dynamodb", "lambda", "s3", "sqs", "ssm"]
    sync-runner = ["lambda", "s3", "sqs", "ssm"]
    # Not ssm: see NoSecrets in housekeeping.tf.
    housekeep = ["lambda", "s3", "sqs"]
    } : name => [for statement in [{
      Sid       = "Key"
      Effect    = "Allow"
      Action    = contains(services, "dynamodb") ? ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"] : ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = local.key_arn
      Condition = { StringEquals = { "kms:ViaService" = [for service in services : local.via[service]] } }
  }] : statement if local.has_key] }

  # An instance sends its messages to a queue that is encrypted.
  may_encrypt_reports = [for statement in [{
    Sid       = "EncryptReports"
    Effect    = "Allow"
    Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource  = local.key_arn
    Condition = { StringEquals = { "kms:ViaService" = local.via["sqs"] } }
  }] : statement if local.has_key]

  # Volumes by keys of yours: EC2 asks for these in the name of who launches, and gives each instance a grant.
  volume_keys = distinct(concat(compact(flatten([for fleet in values(var.fleets) : fleet.volumes[*].kms_key])), var.spot_volume_keys))
  may_encrypt_volumes = [for keys in [local.volume_keys] : {
    Sid       = "EncryptVolumes"
    Effect    = "Allow"
    Action    = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
    Resource  = keys
    Condition = { StringEquals = { "kms:ViaService" = "ec2.${local.region}.${data.aws_partition.current.dns_suffix}" } }
  } if length(keys) > 0]

  # Agents and releases of the runner, by instances that install them.
  may_decrypt_runners = [for statement in [{
    Sid       = "DecryptRunners"
    Effect    = "Allow"
    Action    = "kms:Decrypt"
    Resource  = local.key_arn
    Condition = { StringEquals = { "kms:ViaService" = local.via["s3"] } }
  }] : statement if local.has_key]
}

resource "aws_kms_key" "dayfly" {
  count                   = try(var.kms_key.create, false) ? 1 : 0
  description             = "Dayfly ${var.environment}: ledger, queues, buckets, parameters, logs"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  tags                    = local.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # IAM of this account decides; without this nobody could ever change the key.
        Sid       = "Account"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        # Log groups are encrypted by CloudWatch itself, which is nobody's role: for groups of this deployment alone.
        Sid       = "Logs"
        Effect    = "Allow"
        Principal = { Service = "logs.${local.region}.${data.aws_partition.current.dns_suffix}" }
        Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        Resource  = "*"
        Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = [
          "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/aws/lambda/${local.prefix}-*",
          "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/aws/vendedlogs/${local.prefix}-*",
        ] } }
      },
    ]
  })
}

resource "aws_kms_alias" "dayfly" {
  count         = length(aws_kms_key.dayfly)
  name          = "alias/${local.prefix}"
  target_key_id = aws_kms_key.dayfly[count.index].key_id
}

# Spot instances are launched by EC2's own role, which has to be granted what scale-up may do for on-demand ones. Counted, and not by
# the keys: they may be made by the same apply.
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/service-linked-roles-spot-instance-requests.html
resource "aws_kms_grant" "spot" {
  count             = length(var.spot_volume_keys)
  name              = "${local.prefix}-spot"
  key_id            = var.spot_volume_keys[count.index]
  grantee_principal = "arn:${local.partition}:iam::${local.account}:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
  operations = [
    "CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo",
  ]

  depends_on = [aws_iam_service_linked_role.spot]
}
