# An account in which roles need a path and a boundary, and data and disks keys of its own: what a platform team hands to others.

module "dayfly" {
  source      = "../../terraform"
  environment = "permissions-boundary"
  vpc_id      = var.vpc_id
  subnet_ids  = var.subnet_ids
  control_zip = var.control_zip

  github = {
    app_id         = nonsensitive(var.github_app.id)
    app_key        = var.github_app.key
    webhook_secret = var.github_app.webhook_secret
  }

  roles   = { path = "/ci/", permissions_boundary = aws_iam_policy.boundary.arn }
  kms_key = { create = true }
  ledger  = { deletion_protection = false }
  tags    = { owner = "platform" }

  # Its role for spot has to be there: in an account that never bought any, `create_spot_role = true`.
  spot_volume_keys = [aws_kms_key.disks.arn]

  log_retention_days = 365
  old_versions_days  = 365

  fleets = {
    linux-x64 = {
      labels         = ["self-hosted", "linux", "x64"]
      max            = 10
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7i.large", "c7a.large", "m7i.large"]
      market         = "spot"
      volumes        = [{ kms_key = aws_kms_key.disks.arn }]
    }
  }
}

resource "aws_kms_key" "disks" {
  description         = "Disks of runners"
  enable_key_rotation = true
}

# Never more than this, whatever a role's own policies say.
resource "aws_iam_policy" "boundary" {
  name = "dayfly-boundary"
  path = "/ci/"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "WhatDayflyIsMadeOf"
        Effect = "Allow"
        Action = [
          "dynamodb:*", "ec2:*", "events:PutEvents", "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt",
          "kms:GenerateDataKey*", "kms:ReEncrypt*", "logs:*", "s3:*", "secretsmanager:GetSecretValue", "sqs:*", "ssm:*",
        ]
        Resource = "*"
      },
      {
        Sid      = "RolesAlone"
        Effect   = "Allow"
        Action   = ["iam:CreateServiceLinkedRole", "iam:PassRole"]
        Resource = "*"
      },
    ]
  })
}
