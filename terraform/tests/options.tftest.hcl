# Options beside the fleets: each does what it says, and none is on that was not asked for.

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
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7i.large"]
    }
  }
}

run "by_default" {
  command = apply

  assert {
    condition     = length(aws_kms_key.dayfly) == 0 && length(aws_cloudwatch_event_bus.dayfly) == 0 && length(aws_iam_service_linked_role.spot) == 0 && length(aws_kms_grant.spot) == 0 && length(aws_sqs_queue.keepers_dead) == 0
    error_message = "nothing is made that nobody asked for"
  }
  assert {
    condition     = alltrue([for queue in concat(values(aws_sqs_queue.queue), values(aws_sqs_queue.dead)) : queue.sqs_managed_sse_enabled]) && one(aws_s3_bucket_server_side_encryption_configuration.dayfly[0].rule).apply_server_side_encryption_by_default[0].sse_algorithm == "AES256"
    error_message = "everything is encrypted by AWS's own keys"
  }
  assert {
    condition = alltrue([for name, queue in merge({ for name, queue in aws_sqs_queue.queue : name => queue }, { for name, queue in aws_sqs_queue.dead : "${name}-dlq" => queue }) :
      jsonencode(jsondecode(queue.policy).Statement) == jsonencode([{
        Action   = "sqs:*", Condition = { Bool = { "aws:SecureTransport" = "false" } }, Effect = "Deny", Principal = "*"
        Resource = "arn:aws:sqs:eu-west-1:123456789012:dayfly-main-${name}", Sid = "TlsOnly"
    }])])
    error_message = "queues are for TLS alone"
  }
  assert {
    condition     = jsonencode(jsondecode(aws_s3_bucket_policy.dayfly[0].policy).Statement[0].Condition) == jsonencode({ Bool = { "aws:SecureTransport" = "false" } }) && aws_s3_bucket_versioning.dayfly[0].versioning_configuration[0].status == "Enabled"
    error_message = "the bucket is for TLS alone, and versioned"
  }
  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.dayfly[0].rule[0].noncurrent_version_expiration[0].noncurrent_days == 90 && aws_s3_bucket_lifecycle_configuration.dayfly[0].rule[0].abort_incomplete_multipart_upload[0].days_after_initiation == 1
    error_message = "old versions and what was never finished go"
  }
  assert {
    condition     = alltrue([for name, queue in aws_sqs_queue.dead : jsondecode(queue.redrive_allow_policy).sourceQueueArns[0] == "arn:aws:sqs:eu-west-1:123456789012:dayfly-main-${name}"])
    error_message = "a dead-letter queue is for its own queue's letters"
  }
  assert {
    condition     = aws_dynamodb_table.ledger.point_in_time_recovery[0].enabled && !aws_dynamodb_table.ledger.deletion_protection_enabled && aws_dynamodb_table.ledger.billing_mode == "PAY_PER_REQUEST" && aws_dynamodb_table.ledger.ttl[0].attribute_name == "expires"
    error_message = "the ledger can be restored, forgets what is old, and costs what is used"
  }
  assert {
    condition     = alltrue([for function in aws_lambda_function.control : function.reserved_concurrent_executions == -1 && length(function.vpc_config) == 0 && length(function.dead_letter_config) == 0 && one(function.architectures) == "x86_64"])
    error_message = "functions take from what the account has, outside of any VPC"
  }
  assert {
    condition     = jsonencode({ for name, function in aws_lambda_function.control : name => [function.memory_size, function.timeout] }) == jsonencode({ webhook = [256, 10], scale-up = [512, 60], lifecycle = [256, 30], reconcile = [256, 55] })
    error_message = "memory and time"
  }
  assert {
    condition     = aws_apigatewayv2_stage.webhook.default_route_settings[0].throttling_rate_limit == 200 && aws_apigatewayv2_stage.webhook.default_route_settings[0].throttling_burst_limit == 500
    error_message = "the API is throttled"
  }
  assert {
    condition     = aws_cloudwatch_log_group.api[0].retention_in_days == 30 && !strcontains(aws_apigatewayv2_stage.webhook.access_log_settings[0].format, "header") && contains(keys(jsondecode(aws_apigatewayv2_stage.webhook.access_log_settings[0].format)), "status")
    error_message = "each request has a line, without headers"
  }
  assert {
    condition     = jsonencode([for ebs in aws_launch_template.runner["linux-x64"].block_device_mappings : [ebs.device_name, ebs.ebs[0].volume_type, ebs.ebs[0].encrypted, ebs.ebs[0].delete_on_termination]]) == jsonencode([["/dev/xvda", "gp3", "true", "true"]])
    error_message = "the root volume is encrypted gp3, and goes with its instance: ${jsonencode(aws_launch_template.runner["linux-x64"].block_device_mappings)}"
  }
  assert {
    condition     = alltrue([for role in concat(values(aws_iam_role.control), aws_iam_role.runner[*]) : role.path == "/" && role.permissions_boundary == null])
    error_message = "roles have no path and no boundary"
  }
}

run "own_key" {
  command = apply
  variables {
    kms_key = { create = true }
    fleets = {
      by-s3 = { labels = ["linux"], max = 50, image_id = "ami-0123456789abcdef0", instance_types = ["c7i.large"], handover = "s3", agent = { runner_source = { platform = "linux-x64" } } }
    }
    runner_versions = {}
    housekeeping    = {}
  }

  assert {
    condition     = aws_kms_key.dayfly[0].enable_key_rotation && aws_kms_alias.dayfly[0].name == "alias/dayfly-main"
    error_message = "a key of its own, that is changed each year"
  }
  assert {
    condition = alltrue(concat(
      [for queue in concat(values(aws_sqs_queue.queue), values(aws_sqs_queue.dead), aws_sqs_queue.keepers_dead[*]) : queue.kms_master_key_id == aws_kms_key.dayfly[0].arn],
      [for rule in flatten([for it in concat(aws_s3_bucket_server_side_encryption_configuration.dayfly[*], aws_s3_bucket_server_side_encryption_configuration.registrations[*], aws_s3_bucket_server_side_encryption_configuration.runners[*]) : tolist(it.rule)]) : rule.apply_server_side_encryption_by_default[0].kms_master_key_id == aws_kms_key.dayfly[0].arn && rule.bucket_key_enabled],
      [for group in concat(values(aws_cloudwatch_log_group.control), aws_cloudwatch_log_group.api[*]) : group.kms_key_id == aws_kms_key.dayfly[0].arn],
      [for function in aws_lambda_function.control : function.kms_key_arn == aws_kms_key.dayfly[0].arn],
      [for parameter in [aws_ssm_parameter.webhook_secret, aws_ssm_parameter.app_key[0]] : nonsensitive(parameter.key_id) == aws_kms_key.dayfly[0].arn],
      [aws_dynamodb_table.ledger.server_side_encryption[0].kms_key_arn == aws_kms_key.dayfly[0].arn],
      [aws_lambda_function.control["scale-up"].environment[0].variables.DAYFLY_REGISTRATION_KMS_KEY == aws_kms_key.dayfly[0].arn],
    ))
    error_message = "everything is encrypted by it"
  }
  assert {
    condition     = jsonencode({ for name, policy in local.function_policies : name => one([for statement in jsondecode(policy).Statement : length(statement.Condition.StringEquals["kms:ViaService"]) if statement.Sid == "Key"]) }) == jsonencode({ housekeep = 3, lifecycle = 5, reconcile = 5, scale-up = 5, sync-runner = 4, webhook = 5 })
    error_message = "whoever works with what is encrypted may use the key, by way of the service"
  }
}

run "a_key_of_yours" {
  command = plan
  variables {
    kms_key              = { arn = "arn:aws:kms:eu-west-1:123456789012:key/mine" }
    registration_kms_key = "arn:aws:kms:eu-west-1:123456789012:key/for-instances"
  }
  assert {
    condition     = aws_dynamodb_table.ledger.server_side_encryption[0].kms_key_arn == "arn:aws:kms:eu-west-1:123456789012:key/mine" && length(aws_kms_key.dayfly) == 0 && aws_lambda_function.control["scale-up"].environment[0].variables.DAYFLY_REGISTRATION_KMS_KEY == "arn:aws:kms:eu-west-1:123456789012:key/for-instances"
    error_message = "yours is used, and registrations may have another"
  }
}

run "functions" {
  command = apply
  variables {
    architecture         = "arm64"
    function_memory      = { scale_up = 1024, sync_runner = 2048 }
    function_concurrency = { webhook = 10, scale_up = 8, lifecycle = 50 }
    function_network     = { subnet_ids = ["subnet-7"], security_groups = ["sg-7"] }
    api                  = { rate = 7, burst = 9, access_log = false }
    log_retention_days   = 90
    ledger               = { deletion_protection = true, point_in_time_recovery = false }
    old_versions_days    = 7
    runner_versions      = {}
  }
  assert {
    condition     = alltrue([for function in aws_lambda_function.control : one(function.architectures) == "arm64" && function.vpc_config[0].subnet_ids == toset(["subnet-7"]) && function.vpc_config[0].security_group_ids == toset(["sg-7"])])
    error_message = "architecture and network"
  }
  assert {
    condition     = [for name in ["scale-up", "sync-runner", "webhook"] : aws_lambda_function.control[name].memory_size] == [1024, 2048, 256]
    error_message = "memory"
  }
  assert {
    condition     = [for name in ["webhook", "scale-up", "lifecycle", "reconcile"] : aws_lambda_function.control[name].reserved_concurrent_executions] == [10, 8, 50, -1] && aws_lambda_event_source_mapping.queue["wake"].scaling_config[0].maximum_concurrency == 8 && aws_lambda_event_source_mapping.queue["lifecycle"].scaling_config[0].maximum_concurrency == 5
    error_message = "SQS calls a function no oftener than it may run"
  }
  assert {
    condition     = aws_apigatewayv2_stage.webhook.default_route_settings[0].throttling_rate_limit == 7 && aws_apigatewayv2_stage.webhook.default_route_settings[0].throttling_burst_limit == 9 && length(aws_apigatewayv2_stage.webhook.access_log_settings) == 0 && length(aws_cloudwatch_log_group.api) == 0
    error_message = "the API"
  }
  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.control : group.retention_in_days == 90]) && aws_dynamodb_table.ledger.deletion_protection_enabled && !aws_dynamodb_table.ledger.point_in_time_recovery[0].enabled && aws_s3_bucket_lifecycle_configuration.dayfly[0].rule[0].noncurrent_version_expiration[0].noncurrent_days == 7
    error_message = "what is kept, and for how long"
  }
  assert {
    condition     = aws_lambda_function.control["sync-runner"].dead_letter_config[0].target_arn == "arn:aws:sqs:eu-west-1:123456789012:dayfly-main-keepers-dlq" && length(aws_lambda_function.control["reconcile"].dead_letter_config) == 0 && aws_sqs_queue.keepers_dead[0].name == "dayfly-main-keepers-dlq"
    error_message = "what a schedule started and failed is told"
  }
}

run "things_of_yours" {
  command = plan
  variables {
    existing_bucket = { name = "mine" }
    event_bus       = { arn = "arn:aws:events:eu-west-1:123456789012:event-bus/mine" }
    roles = {
      runner    = { name = "mine", arn = "arn:aws:iam::123456789012:role/mine", id = "AROAMINE", instance_profile = "mine" }
      functions = { webhook = "arn:aws:iam::123456789012:role/my-webhook" }
    }
    runner_security_groups = ["sg-mine"]
  }
  assert {
    condition     = length(aws_s3_bucket.dayfly) == 0 && aws_s3_object.fleets.bucket == "mine" && aws_s3_object.fleets.key == "dayfly-main/fleets.json" && aws_lambda_function.control["webhook"].environment[0].variables.DAYFLY_FLEETS == "s3://mine/dayfly-main/fleets.json" && aws_s3_object.control.key == "dayfly-main/control.zip"
    error_message = "a bucket of yours"
  }
  assert {
    condition     = length(aws_iam_role.runner) == 0 && length(aws_iam_instance_profile.runner) == 0 && aws_launch_template.runner["linux-x64"].iam_instance_profile[0].name == "mine" && output.runner_role == "mine"
    error_message = "an instances' role of yours"
  }
  assert {
    condition     = aws_lambda_function.control["webhook"].role == "arn:aws:iam::123456789012:role/my-webhook" && sort(keys(aws_iam_role.control)) == tolist(["lifecycle", "reconcile", "scale-up"])
    error_message = "a function's role of yours"
  }
}

run "permissions_of_your_roles" {
  command = apply
  variables {
    roles = {
      runner    = { name = "mine", arn = "arn:aws:iam::123456789012:role/mine", id = "AROAMINE", instance_profile = "mine" }
      functions = { webhook = "arn:aws:iam::123456789012:role/my-webhook" }
    }
    runner_security_groups = ["sg-mine"]
    event_bus              = { arn = "arn:aws:events:eu-west-1:123456789012:event-bus/mine" }
    fleets = {
      by-s3 = { labels = ["linux"], max = 50, image_id = "ami-0123456789abcdef0", instance_types = ["c7i.large"], handover = "s3", volumes = [{ device_name = "/dev/sda1", size_gib = 80, kms_key = "arn:aws:kms:eu-west-1:123456789012:key/mine" }] }
    }
  }
  assert {
    condition     = strcontains(output.function_policies["webhook"], "WebhookSecret") && strcontains(output.runner_policy, "EndItself")
    error_message = "what to attach is told"
  }
  assert {
    condition     = one([for statement in jsondecode(output.function_policies["scale-up"]).Statement : statement.Resource if statement.Sid == "GiveInstanceRole"]) == "arn:aws:iam::123456789012:role/mine"
    error_message = "scale-up gives your role to instances"
  }
  assert {
    condition     = one([for statement in jsondecode(output.function_policies["scale-up"]).Statement : statement.Resource if statement.Sid == "EventBus"]) == "arn:aws:events:eu-west-1:123456789012:event-bus/mine"
    error_message = "events go to your bus"
  }
  assert {
    condition     = strcontains(output.function_policies["scale-up"], "security-group/sg-mine") && aws_launch_template.runner["by-s3"].vpc_security_group_ids == toset(["sg-0123456789abcdef0", "sg-mine"])
    error_message = "security groups of yours beside the own one"
  }
  assert {
    condition     = jsondecode(yamldecode(local.user_data["by-s3"]).write_files[0].content).registration_prefix == "registrations/AROAMINE:" && output.registration_bucket_prefix == "registrations/AROAMINE:"
    error_message = "registrations by S3 are for your role: ${local.user_data["by-s3"]}"
  }
  assert {
    condition     = one([for statement in jsondecode(output.function_policies["scale-up"]).Statement : statement.Resource if statement.Sid == "EncryptVolumes"]) == ["arn:aws:kms:eu-west-1:123456789012:key/mine"] && aws_launch_template.runner["by-s3"].block_device_mappings[0].ebs[0].volume_size == 80
    error_message = "volumes by a key of yours"
  }
}

run "keys_of_spot_instances" {
  command = apply
  variables {
    spot_volume_keys = ["arn:aws:kms:eu-west-1:123456789012:key/disks", "arn:aws:kms:eu-west-1:210987654321:key/images"]
    fleets = {
      spot = { labels = ["linux"], max = 50, image_id = "ami-0123456789abcdef0", instance_types = ["c7i.large"], market = "spot", volumes = [{ kms_key = "arn:aws:kms:eu-west-1:123456789012:key/disks" }] }
    }
  }
  assert {
    condition     = tolist(aws_kms_grant.spot[*].key_id) == tolist(var.spot_volume_keys)
    error_message = "each key is granted"
  }
  assert {
    condition = alltrue([for grant in aws_kms_grant.spot : grant.grantee_principal == "arn:aws:iam::123456789012:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot" && grant.operations == toset([
      "CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo",
    ])])
    error_message = "to EC2's role for spot, for what AWS's documents say"
  }
  assert {
    condition     = one([for statement in jsondecode(output.function_policies["scale-up"]).Statement : statement.Resource if statement.Sid == "EncryptVolumes"]) == ["arn:aws:kms:eu-west-1:123456789012:key/disks", "arn:aws:kms:eu-west-1:210987654321:key/images"]
    error_message = "scale-up may use them too, where it launches on-demand"
  }
}

run "roles_made_your_way" {
  command = plan
  variables {
    roles            = { path = "/ci/", permissions_boundary = "arn:aws:iam::123456789012:policy/boundary" }
    event_bus        = { create = true }
    create_spot_role = true
  }
  assert {
    condition     = alltrue([for role in concat(values(aws_iam_role.control), aws_iam_role.runner[*]) : role.path == "/ci/" && role.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"]) && aws_iam_instance_profile.runner[0].path == "/ci/"
    error_message = "every role has path and boundary"
  }
  assert {
    condition     = aws_cloudwatch_event_bus.dayfly[0].name == "dayfly-main" && length(aws_cloudwatch_log_metric_filter.event_bus) == 4
    error_message = "a bus of its own"
  }
  assert {
    condition     = aws_iam_service_linked_role.spot[0].aws_service_name == "spot.amazonaws.com"
    error_message = "the role for spot"
  }
}

run "what_github_is_told" {
  command = apply
  variables {
    github = { app_id = "1001", app_key_parameter = "/k", webhook_secret = "0123456789abcdef", api_url = "https://github.acme.example/api/v3", ca_certificates = "  -----BEGIN CERTIFICATE-----\n  MIIB\n  -----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n" }
    fleets = {
      a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], interrupted = { rerun = 0 } }
      b = { labels = ["b"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], interrupted = { rerun = 0 }, github = { level = "repository" } }
    }
  }
  assert {
    condition     = startswith(output.github_setup[0]["Page"], "https://github.acme.example/organizations/") && output.github_setup[2]["Webhook URL"] == "https://mock.execute-api.eu-west-1.amazonaws.com/webhook"
    error_message = "where"
  }
  assert {
    condition     = jsonencode([output.github_setup[4]["Repository permissions"], output.github_setup[5]["Organization permissions"]]) == jsonencode([{ Actions = "Read-only", Administration = "Read and write", Metadata = "Read-only" }, { "Self-hosted runners" = "Read and write" }])
    error_message = "the permissions that these fleets need"
  }
  assert {
    condition     = [for name, function in aws_lambda_function.control : name if startswith(lookup(function.environment[0].variables, "DAYFLY_GITHUB_CA", ""), "  -----BEGIN CERTIFICATE-----\n  MIIB")] == ["lifecycle", "reconcile", "scale-up", "webhook"]
    error_message = "whom the functions that ask GitHub believe"
  }
}

run "what_github_is_told_by_default" {
  command = apply
  assert {
    condition     = strcontains(output.github_setup[0]["Page"], "https://github.com/settings/apps") && output.github_setup[4]["Repository permissions"] == { Actions = "Read and write", Metadata = "Read-only" } && output.github_setup[6]["Subscribe to events"] == ["Workflow job"]
    error_message = "github.com, and jobs that are run again"
  }
  assert {
    condition = flatten([for field in output.github_setup : keys(field)]) == [
      "Page", "Active", "Webhook URL", "Webhook secret", "Repository permissions", "Organization permissions", "Subscribe to events", "Install App",
    ]
    error_message = "the fields of GitHub's form, in its order"
  }
  assert {
    condition     = output.deployment == "main"
    error_message = "what the commands take"
  }
}

run "what_github_is_told_with_a_token" {
  command = apply
  variables {
    github = { token = "t", webhook_secret = "0123456789abcdef" }
    fleets = {
      a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], github = { level = "enterprise", owner = "acme" } }
      b = { labels = ["b"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"] }
    }
  }
  assert {
    condition = flatten([for field in output.github_setup : keys(field)]) == [
      "Page", "Payload URL", "Content type", "Secret", "Which events would you like to trigger this webhook?", "Active", "Scopes of the token (classic)",
    ]
    error_message = "the fields of a webhook's form, in its order"
  }
  assert {
    condition     = jsonencode(output.github_setup[6]) == jsonencode({ "Scopes of the token (classic)" = ["manage_runners:enterprise", "admin:org", "repo"] })
    error_message = "what the token has to be able to do"
  }
}

# ---- What is refused

run "wrong_options" {
  command = plan
  expect_failures = [
    var.function_memory, var.function_concurrency, var.function_network, var.api, var.kms_key, var.existing_bucket, var.old_versions_days,
    var.roles, var.runner_security_groups, var.spot_volume_keys, var.log_retention_days, var.registration_kms_key, var.tags,
  ]
  variables {
    function_memory        = { webhook = 64 }
    function_concurrency   = { scale_up = 1 }
    function_network       = { subnet_ids = [], security_groups = ["sg-1"] }
    api                    = { rate = 0 }
    kms_key                = {}
    existing_bucket        = { name = "My" }
    spot_volume_keys       = ["alias/disks"]
    old_versions_days      = 0
    roles                  = { path = "ci" }
    runner_security_groups = ["mine"]
    log_retention_days     = 31
    registration_kms_key   = "alias/mine"
    tags                   = { "dayfly:deployment" = "x" }
  }
}

run "wrong_options_again" {
  command         = plan
  expect_failures = [var.function_concurrency, var.function_network, var.api, var.kms_key, var.roles]
  variables {
    function_concurrency = { webhook = 0 }
    function_network     = { subnet_ids = ["subnet-1"], security_groups = [] }
    api                  = { burst = 0.5 }
    kms_key              = { arn = "alias/mine" }
    roles                = { permissions_boundary = "boundary" }
  }
}

run "a_key_twice_and_roles_of_nobody" {
  command         = plan
  expect_failures = [var.kms_key, var.roles]
  variables {
    kms_key = { arn = "arn:aws:kms:eu-west-1:123456789012:key/mine", create = true }
    roles   = { functions = { webhooks = "arn:aws:iam::123456789012:role/x" } }
  }
}

run "a_role_by_its_name" {
  command         = plan
  expect_failures = [var.roles]
  variables {
    roles = { functions = { webhook = "mine" } }
  }
}

run "volume_type" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, volumes = [{ device_name = "/dev/xvda", type = "gp4" }], image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "volume_size" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, volumes = [{ device_name = "/dev/xvda", size_gib = 0 }], image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}
