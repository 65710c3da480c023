# Jobs and runners, as the control plane knows them.
resource "aws_dynamodb_table" "ledger" {
  # checkov:skip=CKV_AWS_28: On, unless the user says otherwise.
  name         = "${local.prefix}-ledger"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "pk"
  range_key    = "sk"
  tags         = local.tags

  deletion_protection_enabled = var.ledger.deletion_protection

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  ttl {
    attribute_name = "expires"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = var.ledger.point_in_time_recovery
  }

  # Without it the key is DynamoDB's own.
  dynamic "server_side_encryption" {
    for_each = local.has_key ? [true] : []
    content {
      enabled     = true
      kms_key_arn = local.key_arn
    }
  }
}
