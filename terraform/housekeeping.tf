# Housekeeping: what the function is told, and what it may do.

locals {
  # Of one element or none, since the parts are of different types.
  housekeep = {
    function = { for keep in [var.housekeeping] : "housekeep" => { timeout = 900 } if keep != null }
    schedule = { for keep in [var.housekeeping] : "housekeep" => keep.schedule if keep != null }
    environment = { for keep in [var.housekeeping] : "housekeep" => merge(local.environment_fleets, local.environment_registrations, { for name, value in {
      DAYFLY_DEPLOYMENT               = var.environment
      DAYFLY_LOG                      = var.log_level
      DAYFLY_REPORTS                  = "s3://${local.bucket}/${local.bucket_prefix}housekeep"
      DAYFLY_HOUSEKEEP_DRY_RUN        = keep.dry_run
      DAYFLY_HOUSEKEEP_IMAGE_TAGS     = jsonencode(keep.image_tags)
      DAYFLY_HOUSEKEEP_IMAGE_DAYS     = keep.image_days
      DAYFLY_HOUSEKEEP_IMAGE_KEEP     = keep.image_keep
      DAYFLY_HOUSEKEEP_LEFTOVER_HOURS = keep.leftover_hours
      DAYFLY_HOUSEKEEP_MOST           = keep.most
      DAYFLY_HOUSEKEEP_PARAMETERS     = length(keep.parameters) == 0 ? null : join(",", keep.parameters)
      DAYFLY_RUNNER_SECURITY_GROUP    = aws_security_group.runner.id
    } : name => value if value != null }) if keep != null }
    policy = { for keep in [var.housekeeping] : "housekeep" => concat(
      local.may_look_around, local.may_read_image_names, local.may_list_registrations, local.may_tell_of_failures,
      [for statement in local.may_clear_away : statement if !keep.dry_run],
      [for statement in local.may_delete_images : statement if !keep.dry_run && length(keep.image_tags) > 0],
      [
        local.may_read_fleets,
        {
          Sid      = "Report"
          Effect   = "Allow"
          Action   = ["s3:GetObject", "s3:PutObject"]
          Resource = "${local.bucket_arn}/${local.bucket_prefix}housekeep/*"
        },
        {
          # Without it S3 says 403, and not 404, for a list of snapshots that is not there.
          Sid       = "ListReports"
          Effect    = "Allow"
          Action    = "s3:ListBucket"
          Resource  = local.bucket_arn
          Condition = { StringLike = { "s3:prefix" = ["${local.bucket_prefix}housekeep/*"] } }
        },
      ],
    ) if keep != null }
  }

  may_look_around = [{
    # AWS knows no permission for some of these only.
    Sid    = "Look"
    Effect = "Allow"
    Action = [
      "ec2:DescribeImages", "ec2:DescribeInstances", "ec2:DescribeLaunchTemplateVersions", "ec2:DescribeLaunchTemplates",
      "ec2:DescribeSpotInstanceRequests", "ec2:DescribeVolumes", "ssm:DescribeParameters",
    ]
    Resource = "*"
  }]
  may_read_image_names = [
    {
      Sid    = "ReadParameters"
      Effect = "Allow"
      Action = "ssm:GetParameters"
      # Those that are listed, and those that fleets name.
      Resource = distinct(concat(
        [for beginning in coalescelist(try(var.housekeeping.parameters, []), [""]) : "${local.parameter_arn}/${trimprefix(beginning, "/")}*"],
        flatten(local.may_read_image_parameters[*].Resource),
      ))
    },
    {
      # A parameter that is a secret can't be read without, not even by who may decrypt with AWS's own key. By way of SSM
      # alone: the function's own environment is decrypted in its name, too.
      Sid       = "NoSecrets"
      Effect    = "Deny"
      Action    = "kms:Decrypt"
      Resource  = "*"
      Condition = { StringEquals = { "kms:ViaService" = "ssm.${local.region}.${data.aws_partition.current.dns_suffix}" } }
    },
  ]
  may_list_registrations = [for arn in aws_s3_bucket.registrations[*].arn : {
    Sid      = "LookForRegistrations"
    Effect   = "Allow"
    Action   = "s3:ListBucket"
    Resource = arn
  }]
  may_clear_away = concat(local.may_take_back_from_s3, [
    {
      Sid      = "TakeBackRegistrations"
      Effect   = "Allow"
      Action   = "ssm:DeleteParameter"
      Resource = "${local.parameter_arn}${local.registration_prefix}/*"
    },
    {
      Sid       = "DeleteVolumes"
      Effect    = "Allow"
      Action    = "ec2:DeleteVolume"
      Resource  = "${local.ec2}:volume/*"
      Condition = { StringEquals = { "aws:ResourceTag/dayfly:deployment" = var.environment } }
    },
    {
      # EC2 gives them no tags; the function goes by the runners' security group. No instance ends by it.
      Sid      = "CancelSpotRequests"
      Effect   = "Allow"
      Action   = "ec2:CancelSpotInstanceRequests"
      Resource = "${local.ec2}:spot-instances-request/*"
    },
  ])
  may_delete_images = [{
    Sid       = "DeleteImages"
    Effect    = "Allow"
    Action    = ["ec2:DeleteSnapshot", "ec2:DeregisterImage"]
    Resource  = ["arn:${local.partition}:ec2:${local.region}::image/*", "arn:${local.partition}:ec2:${local.region}::snapshot/*"]
    Condition = { StringLike = { for name, value in try(var.housekeeping.image_tags, {}) : "aws:ResourceTag/${name}" => value } }
  }]
}
