# What the module writes for the programs: the fleets document, user-data, and the functions' environments.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  deployment         = "main"
  vpc_id             = "vpc-0123456789abcdef0"
  subnets            = ["subnet-1", "subnet-2"]
  control_zip        = "tests/control.zip"
  agent_endpoint_url = "http://127.0.0.1:5000"
  function_timeouts  = { scale_up = 20 }

  github = {
    app_id         = "1001"
    app_key        = "-----BEGIN RSA PRIVATE KEY-----"
    webhook_secret = "0123456789abcdef"
  }

  fleets = {
    linux-x64 = {
      labels         = ["self-hosted", "linux", "x64"]
      max            = 50
      github         = { level = "organization", owner = "octo-org" }
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7i.large", "c7a.large"]
      market         = "spot"
    }
    small = {
      labels         = ["small"]
      repositories   = ["octo-org/*"]
      max            = 1
      github         = { level = "repository" }
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["t3.small"]
      subnets        = ["subnet-3"]
      agent = {
        idle_seconds               = 60
        interruption_grace_seconds = 10
        retire_seconds             = 20
        heartbeat_seconds          = 30
        disk_free_mib              = 0
        metadata_access            = "all"
      }
    }
  }
}

run "written" {
  command = apply

  assert {
    condition = aws_s3_object.fleets.content == jsonencode({
      version = 1
      fleets = [
        {
          name          = "linux-x64"
          labels        = ["self-hosted", "linux", "x64"]
          priority      = 0
          repositories  = []
          max           = 50
          delay_seconds = 0
          boot_seconds  = 300
          github        = { level = "organization", owner = "octo-org", runner_group_id = 1 }
          launch = {
            template_id      = "lt-0123456789abcdef0"
            template_version = "3"
            subnets          = ["subnet-1", "subnet-2"]
            instance_types   = ["c7i.large", "c7a.large"]
            market           = "spot"
          }
        },
        {
          name          = "small"
          labels        = ["small"]
          priority      = 0
          repositories  = ["octo-org/*"]
          max           = 1
          delay_seconds = 0
          boot_seconds  = 300
          github        = { level = "repository", runner_group_id = 1 }
          launch = {
            template_id      = "lt-0123456789abcdef0"
            template_version = "3"
            subnets          = ["subnet-3"]
            instance_types   = ["t3.small"]
            market           = "on-demand"
          }
        },
      ]
    })
    error_message = "fleets.json: ${aws_s3_object.fleets.content}"
  }

  # The document of agent/contract/golden/agent-config.v1.json.
  assert {
    condition     = local.agent_config_text["linux-x64"] == jsonencode(jsondecode(file("../agent/contract/golden/agent-config.v1.json")))
    error_message = "agent.json: ${local.agent_config_text["linux-x64"]}"
  }

  assert {
    condition     = jsonencode([for field in ["idle_seconds", "interruption_grace_seconds", "retire_seconds", "heartbeat_seconds", "disk_free_mib", "metadata_access"] : jsondecode(local.agent_config_text["small"])[field]]) == jsonencode([60, 10, 20, 30, 0, "all"])
    error_message = "agent.json: ${local.agent_config_text["small"]}"
  }

  assert {
    condition     = startswith(base64decode(aws_launch_template.runner["linux-x64"].user_data), "#cloud-config\n")
    error_message = "user-data begins as cloud-init wants it"
  }

  assert {
    condition = jsonencode([for file in yamldecode(base64decode(aws_launch_template.runner["linux-x64"].user_data)).write_files : [file.path, file.content]]) == jsonencode([
      ["/etc/dayfly/agent.json", local.agent_config_text["linux-x64"]],
      ["/etc/dayfly/agent.env", "AWS_ENDPOINT_URL=http://127.0.0.1:5000\n"],
    ])
    error_message = "user-data: ${base64decode(aws_launch_template.runner["linux-x64"].user_data)}"
  }

  assert {
    condition     = !strcontains(base64decode(aws_launch_template.runner["linux-x64"].user_data), "0123456789abcdef0123")
    error_message = "user-data has no secret in it"
  }

  assert {
    condition     = aws_launch_template.runner["small"].instance_initiated_shutdown_behavior == "terminate"
    error_message = "no path leaves an instance running"
  }

  assert {
    condition     = one(aws_launch_template.runner["small"].metadata_options).http_tokens == "required" && one(aws_launch_template.runner["small"].metadata_options).http_put_response_hop_limit == 1
    error_message = "the metadata service is for the machine alone, by token"
  }

  assert {
    condition     = alltrue([for name, function in aws_lambda_function.control : function.handler == name]) && length(aws_lambda_function.control) == 3
    error_message = "the handler's name says which function it is"
  }

  assert {
    condition = jsonencode({ for name, function in aws_lambda_function.control : name => [for key in sort(keys(function.environment[0].variables)) : key if startswith(key, "DAYFLY_")] }) == jsonencode({
      webhook   = ["DAYFLY_DEPLOYMENT", "DAYFLY_FLEETS", "DAYFLY_LOG", "DAYFLY_TABLE", "DAYFLY_WAKE_QUEUE_URL", "DAYFLY_WEBHOOK_SECRET_PARAMETER"]
      scale-up  = ["DAYFLY_DEPLOYMENT", "DAYFLY_FLEETS", "DAYFLY_GITHUB_APP_ID", "DAYFLY_GITHUB_KEY_PARAMETER", "DAYFLY_GITHUB_URL", "DAYFLY_LOG", "DAYFLY_REGISTRATION_PREFIX", "DAYFLY_TABLE", "DAYFLY_WAKE_QUEUE_URL"]
      lifecycle = ["DAYFLY_DEPLOYMENT", "DAYFLY_GITHUB_APP_ID", "DAYFLY_GITHUB_KEY_PARAMETER", "DAYFLY_GITHUB_URL", "DAYFLY_LOG", "DAYFLY_REGISTRATION_PREFIX", "DAYFLY_TABLE", "DAYFLY_WAKE_QUEUE_URL"]
    })
    error_message = "each function is told what it uses"
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.control : !strcontains(jsonencode(function.environment[0].variables), "PRIVATE KEY") && !strcontains(jsonencode(function.environment[0].variables), "0123456789abcdef\"")])
    error_message = "no secret is in an environment"
  }

  assert {
    condition     = aws_sqs_queue.queue["wake"].visibility_timeout_seconds >= aws_lambda_function.control["scale-up"].timeout && aws_sqs_queue.queue["lifecycle"].visibility_timeout_seconds >= aws_lambda_function.control["lifecycle"].timeout
    error_message = "a message is hidden for as long as its function may run"
  }

  assert {
    condition     = alltrue([for mapping in aws_lambda_event_source_mapping.queue : contains(mapping.function_response_types, "ReportBatchItemFailures")])
    error_message = "one bad message does not fail its batch"
  }
}
