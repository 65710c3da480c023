# Who may do what. moto does not judge conditions, so what the policies say is held fast here.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  environment = "main"
  vpc_id      = "vpc-0123456789abcdef0"
  subnet_ids  = ["subnet-1"]
  control_zip = "tests/control.zip"

  github = {
    app_id         = "1001"
    app_key        = "-----BEGIN RSA PRIVATE KEY-----"
    webhook_secret = "0123456789abcdef"
  }

  fleets = {
    linux-x64 = {
      labels         = ["linux"]
      max            = 50
      github         = { level = "organization" }
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7i.large"]
    }
  }
}

run "roles" {
  command = apply

  assert {
    condition = jsonencode({ for statement in jsondecode(aws_iam_role_policy.runner[0].policy).Statement : statement.Sid => {
      action    = jsonencode(statement.Action)
      resource  = statement.Resource
      condition = jsonencode(try(statement.Condition, null))
      } }) == jsonencode({
      OwnRegistration = {
        action    = jsonencode(["ssm:DeleteParameter", "ssm:GetParameter"])
        resource  = "arn:aws:ssm:eu-west-1:123456789012:parameter/dayfly/main/registrations/*"
        condition = jsonencode({ StringLike = { "ec2:SourceInstanceARN" = "*/$${aws:ResourceTag/InstanceId}" } })
      }
      EndItself = {
        action    = jsonencode("ec2:TerminateInstances")
        resource  = "arn:aws:ec2:eu-west-1:123456789012:instance/*"
        condition = jsonencode({ StringEquals = { "aws:ARN" = "$${ec2:SourceInstanceARN}" } })
      }
      Report = {
        action    = jsonencode("sqs:SendMessage")
        resource  = "arn:aws:sqs:eu-west-1:123456789012:dayfly-main-lifecycle"
        condition = "null"
      }
    })
    error_message = "an instance takes its own registration, ends itself, reports, and nothing else: ${aws_iam_role_policy.runner[0].policy}"
  }

  assert {
    condition = jsonencode({ for name, role in aws_iam_role_policy.control : name => sort(distinct(flatten([for statement in jsondecode(role.policy).Statement : statement.Action]))) }) == jsonencode({
      webhook = [
        "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem",
        "logs:CreateLogStream", "logs:PutLogEvents", "s3:GetObject", "sqs:SendMessage", "ssm:GetParameter",
      ]
      scale-up = [
        "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem",
        "ec2:CreateFleet", "ec2:CreateTags", "ec2:DescribeImages", "ec2:DescribeInstances",
        "ec2:DescribeLaunchTemplateVersions", "ec2:RunInstances", "ec2:TerminateInstances", "iam:PassRole",
        "logs:CreateLogStream", "logs:PutLogEvents", "s3:GetObject",
        "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage",
        "ssm:AddTagsToResource", "ssm:DeleteParameter", "ssm:GetParameter", "ssm:PutParameter",
      ]
      lifecycle = [
        "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem",
        "logs:CreateLogStream", "logs:PutLogEvents", "s3:GetObject",
        "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage",
        "ssm:DeleteParameter", "ssm:GetParameter",
      ]
      reconcile = [
        "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem",
        "ec2:DescribeInstances", "ec2:TerminateInstances", "logs:CreateLogStream", "logs:PutLogEvents",
        "s3:GetObject", "sqs:SendMessage", "ssm:DeleteParameter", "ssm:GetParameter", "ssm:GetParametersByPath",
      ]
    })
    error_message = "each function may do what its handler does"
  }

  # Only what AWS can't narrow has "*" for its resource.
  assert {
    condition = jsonencode(flatten([for name, role in aws_iam_role_policy.control : [
      for statement in jsondecode(role.policy).Statement : "${name}: ${jsonencode(statement.Action)}" if contains(flatten([statement.Resource]), "*")
    ]])) == jsonencode(["reconcile: \"ec2:DescribeInstances\"", "scale-up: [\"ec2:DescribeImages\",\"ec2:DescribeInstances\",\"ec2:DescribeLaunchTemplateVersions\"]"])
    error_message = "no permission is for everything"
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(aws_iam_role_policy.control["scale-up"].policy).Statement : statement.Condition if statement.Sid == "LaunchTagged"])) == jsonencode({
      StringEquals = { "aws:RequestTag/dayfly:deployment" = "main" }
    })
    error_message = "what is launched is tagged with the deployment"
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(aws_iam_role_policy.control["scale-up"].policy).Statement : statement.Condition if statement.Sid == "EndInstances"])) == jsonencode({
      StringEquals = { "aws:ResourceTag/dayfly:deployment" = "main" }
    })
    error_message = "what is ended is the deployment's own"
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(aws_iam_role_policy.control["scale-up"].policy).Statement : statement.Condition if statement.Sid == "TagAtLaunch"])) == jsonencode({
      StringEquals = { "ec2:CreateAction" = ["CreateFleet", "RunInstances"] }
    })
    error_message = "tags are given at launch only"
  }

  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.control["webhook"].policy).Statement : statement.Resource if try(statement.Action, "") == "sqs:SendMessage"]) == "arn:aws:sqs:eu-west-1:123456789012:dayfly-main-wake"
    error_message = "the webhook wakes, and reports nothing"
  }

  assert {
    condition = alltrue([for name, queue in { scale-up = "wake", lifecycle = "lifecycle" } : contains(
      [for statement in jsondecode(aws_iam_role_policy.control[name].policy).Statement : statement.Resource if try(statement.Action, "") == "sqs:SendMessage"],
      "arn:aws:sqs:eu-west-1:123456789012:dayfly-main-${queue}-dlq"
      ) && aws_lambda_function.control[name].environment[0].variables.DAYFLY_DEAD_LETTER_QUEUE_URL == "https://sqs.eu-west-1.amazonaws.com/123456789012/dayfly-main-${queue}-dlq" && aws_sqs_queue.dead[queue].name == "dayfly-main-${queue}-dlq"
    ])
    error_message = "what a function can't understand goes to the dead-letter queue of its own queue"
  }

  assert {
    condition     = !anytrue([for name, role in aws_iam_role_policy.control : strcontains(role.policy, "iam:CreateServiceLinkedRole")])
    error_message = "who buys no spot makes no role"
  }

  assert {
    condition     = aws_lambda_event_source_mapping.queue["wake"].scaling_config[0].maximum_concurrency == 20
    error_message = "fleets that wait for their turn leave room for others"
  }

  assert {
    condition     = length(aws_security_group.runner.ingress) == 0
    error_message = "nothing comes in"
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.dayfly[0].block_public_policy && aws_s3_bucket_public_access_block.dayfly[0].block_public_acls
    error_message = "the bucket is private"
  }

  assert {
    condition     = alltrue([for parameter in [aws_ssm_parameter.app_key[0], aws_ssm_parameter.webhook_secret] : nonsensitive(parameter.type) == "SecureString"])
    error_message = "secrets are encrypted"
  }
}

run "keys" {
  command = apply

  variables {
    event_bus = { name = "own-rules" }
    github = {
      app_id            = "1001"
      app_key_parameter = "/aws/reference/secretsmanager/dayfly/app"
      more_apps         = [{ app_id = "Iv23li", app_key = "-----BEGIN RSA PRIVATE KEY-----" }, { app_id = "1003", app_key_parameter = "/my/key" }]
      webhook_secret    = "0123456789abcdef"

      old_webhook_secret = "fedcba9876543210"
    }
  }

  assert {
    condition     = aws_lambda_function.control["webhook"].environment[0].variables.DAYFLY_GITHUB_APPS == "1001=/aws/reference/secretsmanager/dayfly/app,1003=/my/key,Iv23li=/dayfly/main/github/app-key-Iv23li"
    error_message = "each App by its key: ${aws_lambda_function.control["webhook"].environment[0].variables.DAYFLY_GITHUB_APPS}"
  }

  assert {
    condition = alltrue([for name in ["webhook", "scale-up", "lifecycle"] : jsonencode([for statement in jsondecode(aws_iam_role_policy.control[name].policy).Statement : statement.Resource if contains(["AppKey", "Secrets"], statement.Sid)]) == jsonencode([
      ["arn:aws:secretsmanager:eu-west-1:123456789012:secret:dayfly/app-??????"],
      [for name in ["aws/reference/secretsmanager/dayfly/app", "my/key", "dayfly/main/github/app-key-Iv23li"] : "arn:aws:ssm:eu-west-1:123456789012:parameter/${name}"],
    ])])
    error_message = "who asks GitHub may read the keys, and the secret that one of them is"
  }

  assert {
    condition = alltrue([for name in ["webhook", "scale-up", "lifecycle", "reconcile"] : jsonencode(one([for statement in jsondecode(aws_iam_role_policy.control[name].policy).Statement : [statement.Action, statement.Resource, statement.Condition] if statement.Sid == "EventBus"])) == jsonencode([
      "events:PutEvents", "arn:aws:events:eu-west-1:123456789012:event-bus/own-rules", { StringEquals = { "events:source" = "dayfly" } },
    ])])
    error_message = "whoever changes a state puts our own events on the bus, and no others"
  }

  assert {
    condition     = alltrue([for name in ["webhook", "scale-up", "lifecycle", "reconcile"] : aws_lambda_function.control[name].environment[0].variables.DAYFLY_EVENT_BUS == "own-rules"]) && !anytrue([for name, function in aws_lambda_function.control : contains(keys(function.environment[0].variables), "DAYFLY_EVENT_BUS") if !contains(["webhook", "scale-up", "lifecycle", "reconcile"], name)])
    error_message = "whoever changes a state knows the bus, and nobody else"
  }

  assert {
    condition     = nonsensitive(aws_ssm_parameter.webhook_secret.value) == "0123456789abcdef\nfedcba9876543210"
    error_message = "both secrets are good"
  }
}

run "token" {
  command = apply

  variables {
    github = {
      token          = "github_pat_1"
      webhook_secret = "0123456789abcdef"
    }
  }

  assert {
    condition     = aws_lambda_function.control["scale-up"].environment[0].variables.DAYFLY_GITHUB_TOKEN_PARAMETER == "/dayfly/main/github/token" && !contains(keys(aws_lambda_function.control["scale-up"].environment[0].variables), "DAYFLY_GITHUB_APPS")
    error_message = "a token in place of Apps"
  }
}

run "spot" {
  command = apply

  variables {
    fleets = {
      linux-x64 = {
        labels         = ["linux"]
        max            = 50
        github         = { level = "organization" }
        image_id       = "ami-0123456789abcdef0"
        instance_types = ["c7i.large"]
        steering       = { markets = ["spot"] }
      }
    }
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(aws_iam_role_policy.control["scale-up"].policy).Statement : [statement.Resource, statement.Condition] if statement.Sid == "MakeSpotRole"])) == jsonencode([
      "arn:aws:iam::123456789012:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot", { StringEquals = { "iam:AWSServiceName" = "spot.amazonaws.com" } },
    ])
    error_message = "whoever may buy spot may have EC2 make the role for it, and no other"
  }
}
