# One role per function, each with what its handler calls and no more.

locals {
  template_arns = [for template in aws_launch_template.runner : template.arn]
  ec2           = "arn:${local.partition}:ec2:${local.region}:${local.account}"

  # Transactions need no permission of their own but those of the operations in them.
  may_use_ledger = {
    Sid    = "Ledger"
    Effect = "Allow"
    Action = [
      "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem",
    ]
    Resource = aws_dynamodb_table.ledger.arn
  }
  # It reserves on condition that the jobs are queued still.
  may_reserve = merge(local.may_use_ledger, {
    Action = concat(["dynamodb:ConditionCheckItem"], local.may_use_ledger.Action)
  })
  # The webhook reads single items and counts nothing.
  may_note_jobs = merge(local.may_use_ledger, {
    Action = ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem"]
  })
  may_read_fleets = {
    Sid      = "Fleets"
    Effect   = "Allow"
    Action   = "s3:GetObject"
    Resource = "${local.bucket_arn}/${local.bucket_prefix}fleets.json"
  }
  may_wake = {
    Sid      = "Wake"
    Effect   = "Allow"
    Action   = "sqs:SendMessage"
    Resource = local.queue_arns["wake"]
  }
  # The parameters' key is AWS's own for SSM, which whoever may read a parameter may use, or kms_key (encryption.tf). A
  # parameter of yours with another key needs kms:Decrypt by that key's policy.
  may_be_the_app = {
    Sid      = "AppKey"
    Effect   = "Allow"
    Action   = "ssm:GetParameter"
    Resource = [for name in local.github_parameters : "${local.parameter_arn}${name}"]
  }
  # For parameters that stand for secrets of Secrets Manager: SSM reads those in the name of whoever asks. A secret's ARN
  # ends in six characters that its name does not tell.
  may_read_secrets = length(local.github_secrets) == 0 ? [] : [{
    Sid      = "Secrets"
    Effect   = "Allow"
    Action   = "secretsmanager:GetSecretValue"
    Resource = [for name in local.github_secrets : "arn:${local.partition}:secretsmanager:${local.region}:${local.account}:secret:${name}-??????"]
  }]
  may_publish = !local.has_bus ? [] : [{
    Sid      = "EventBus"
    Effect   = "Allow"
    Action   = "events:PutEvents"
    Resource = local.event_bus_arn
    # Nobody's events but ours.
    Condition = { StringEquals = { "events:source" = "dayfly" } }
  }]
  may_take_from = { for name, arn in local.queue_arns : name => {
    Sid    = "Queue"
    Effect = "Allow"
    # What an event source mapping needs, and to give a message back for later.
    Action   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
    Resource = arn
  } }

  # What can't be understood goes there at once, with the reason.
  may_put_aside = { for name, arn in local.dead_letter_queue_arns : name => {
    Sid      = "PutAside"
    Effect   = "Allow"
    Action   = "sqs:SendMessage"
    Resource = arn
  } }

  # EC2 makes this role in the name of whoever first asks for a spot instance in an account. The condition is AWS's own
  # name of the service; there is nothing else that the permission is good for.
  buys_spot = anytrue([for fleet in values(var.fleets) : fleet.market == "spot" || try(contains(fleet.steering.markets, "spot"), false)])
  may_make_spot_role = !local.buys_spot || var.create_spot_role ? [] : [{
    Sid       = "MakeSpotRole"
    Effect    = "Allow"
    Action    = "iam:CreateServiceLinkedRole"
    Resource  = "arn:${local.partition}:iam::${local.account}:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
    Condition = { StringEquals = { "iam:AWSServiceName" = "spot.amazonaws.com" } }
  }]

  # Images that a fleet names by an SSM parameter: EC2 reads it with the caller's permission.
  image_parameters = distinct(compact([for fleet in values(var.fleets) : try(fleet.image.parameter, null)]))
  may_read_image_parameters = length(local.image_parameters) == 0 ? [] : [{
    Sid      = "ImageParameters"
    Effect   = "Allow"
    Action   = ["ssm:GetParameter", "ssm:GetParameters"]
    Resource = [for name in local.image_parameters : startswith(name, "arn:") ? name : "${startswith(name, "/aws/") ? "arn:${local.partition}:ssm:${local.region}::parameter" : local.parameter_arn}${startswith(name, "/") ? "" : "/"}${name}"]
  }]

  may_launch = [
    {
      Sid      = "LaunchFromOwnTemplates"
      Effect   = "Allow"
      Action   = ["ec2:CreateFleet", "ec2:RunInstances"]
      Resource = local.template_arns
    },
    {
      Sid    = "LaunchParts"
      Effect = "Allow"
      Action = ["ec2:CreateFleet", "ec2:RunInstances"]
      Resource = concat(
        [for id in distinct(flatten([for fleet in values(var.fleets) : coalesce(fleet.subnet_ids, var.subnet_ids)])) : "${local.ec2}:subnet/${id}"],
        # Images and snapshots may be another account's.
        ["arn:${local.partition}:ec2:${local.region}::image/*", "arn:${local.partition}:ec2:${local.region}::snapshot/*"],
        [for id in concat([aws_security_group.runner.id], var.runner_security_groups) : "${local.ec2}:security-group/${id}"],
        ["${local.ec2}:network-interface/*"],
        ["${local.ec2}:fleet/*", "${local.ec2}:spot-instances-request/*"],
      )
    },
    {
      Sid       = "LaunchTagged"
      Effect    = "Allow"
      Action    = ["ec2:CreateFleet", "ec2:RunInstances"]
      Resource  = ["${local.ec2}:instance/*", "${local.ec2}:volume/*"]
      Condition = { StringEquals = { "aws:RequestTag/dayfly:deployment" = var.environment } }
    },
    {
      Sid       = "TagAtLaunch"
      Effect    = "Allow"
      Action    = "ec2:CreateTags"
      Resource  = [for kind in ["fleet", "instance", "network-interface", "spot-instances-request", "volume"] : "${local.ec2}:${kind}/*"]
      Condition = { StringEquals = { "ec2:CreateAction" = ["CreateFleet", "RunInstances"] } }
    },
    {
      # EC2 knows no permission for some instances or images only.
      Sid      = "Find"
      Effect   = "Allow"
      Action   = ["ec2:DescribeImages", "ec2:DescribeInstances", "ec2:DescribeLaunchTemplateVersions"]
      Resource = "*"
    },
    {
      # One that can't be registered.
      Sid       = "EndInstances"
      Effect    = "Allow"
      Action    = "ec2:TerminateInstances"
      Resource  = "${local.ec2}:instance/*"
      Condition = { StringEquals = { "aws:ResourceTag/dayfly:deployment" = var.environment } }
    },
    {
      Sid       = "GiveInstanceRole"
      Effect    = "Allow"
      Action    = "iam:PassRole"
      Resource  = local.runner_role.arn
      Condition = { StringEquals = { "iam:PassedToService" = "ec2.amazonaws.com" } }
    },
  ]

  # Where a fleet keeps stopped instances.
  may_stop_and_start = anytrue([for fleet in values(var.fleets) : fleet.pool == null ? false : fleet.pool.kind == "stopped"]) ? [{
    Sid       = "StopAndStart"
    Effect    = "Allow"
    Action    = ["ec2:StartInstances", "ec2:StopInstances"]
    Resource  = "${local.ec2}:instance/*"
    Condition = { StringEquals = { "aws:ResourceTag/dayfly:deployment" = var.environment } }
  }] : []

  policies = merge({
    reconcile = local.may_reconcile
    # The App: to ask about check runs, and about runs of public repositories.
    webhook = concat(local.may_read_secrets, local.may_publish, [
      local.may_note_jobs, local.may_wake, local.may_read_fleets, local.may_be_the_app,
      {
        Sid      = "WebhookSecret"
        Effect   = "Allow"
        Action   = "ssm:GetParameter"
        Resource = aws_ssm_parameter.webhook_secret.arn
      },
    ])
    scale-up = concat(local.may_publish, local.may_launch, local.may_stop_and_start, local.may_make_spot_role, local.may_read_secrets, local.may_read_image_parameters, local.may_hand_over_by_s3, local.may_encrypt_registrations, local.may_encrypt_volumes, [
      local.may_reserve, local.may_wake, local.may_read_fleets, local.may_be_the_app, local.may_take_from["wake"],
      local.may_put_aside["wake"],
      {
        Sid    = "HandOver"
        Effect = "Allow"
        # Get and Delete: after a crash, to see whether a registration still waits to be claimed, and to make another.
        Action   = ["ssm:AddTagsToResource", "ssm:DeleteParameter", "ssm:GetParameter", "ssm:PutParameter"]
        Resource = "${local.parameter_arn}${local.registration_prefix}/*"
      },
    ])
    lifecycle = concat(local.may_publish, local.may_read_secrets, local.may_take_back_from_s3, [
      local.may_use_ledger, local.may_wake, local.may_read_fleets, local.may_be_the_app, local.may_take_from["lifecycle"],
      local.may_put_aside["lifecycle"],
      {
        Sid      = "TakeBackRegistrations"
        Effect   = "Allow"
        Action   = "ssm:DeleteParameter"
        Resource = "${local.parameter_arn}${local.registration_prefix}/*"
      },
    ])
  }, local.keeper_policies)

  # What each function's role says: made here, or for you to attach.
  function_policies = { for name in keys(local.functions) : name => jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.policies[name], local.may_use_key_for[name], local.may_be_in_the_network[name], [{
      Sid    = "Logs"
      Effect = "Allow"
      # The group is there already.
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "${aws_cloudwatch_log_group.control[name].arn}:*"
    }])
  }) }

  function_roles = merge(
    { for name, role in aws_iam_role.control : name => role.arn },
    { for name, arn in var.roles.functions : name => arn if contains(keys(local.functions), name) },
  )
  own_function_roles = { for name in keys(local.functions) : name => true if !contains(keys(var.roles.functions), name) }

  # Lambda makes a function's network interfaces in its role's name, and EC2 knows no permission for some of them only. The
  # function itself, which these keys tell from Lambda, may do none of it.
  network_actions = [
    "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
  ]
  may_be_in_the_network = { for name in keys(local.functions) : name => concat(
    [for network in var.function_network[*] : {
      Sid      = "Network"
      Effect   = "Allow"
      Action   = local.network_actions
      Resource = "*"
    }],
    [for network in var.function_network[*] : {
      Sid       = "NetworkByLambdaAlone"
      Effect    = "Deny"
      Action    = local.network_actions
      Resource  = "*"
      Condition = { ArnEquals = { "lambda:SourceFunctionArn" = "arn:${local.partition}:lambda:${local.region}:${local.account}:function:${local.prefix}-${name}" } }
    }],
  ) }
}

resource "aws_iam_role" "control" {
  for_each             = local.own_function_roles
  name                 = "${local.prefix}-${each.key}"
  path                 = var.roles.path
  permissions_boundary = var.roles.permissions_boundary
  description          = "Dayfly's function ${each.key}"
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
      # Functions of this account alone.
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "control" {
  for_each = local.own_function_roles
  name     = "dayfly"
  role     = aws_iam_role.control[each.key].id
  policy   = local.function_policies[each.key]
}

# EC2 makes this role by itself with an account's first spot request (MakeSpotRole above); here it is for accounts where
# nobody may have it do so.
resource "aws_iam_service_linked_role" "spot" {
  count            = var.create_spot_role ? 1 : 0
  aws_service_name = "spot.amazonaws.com"
  description      = "EC2 buys spot instances"
}
