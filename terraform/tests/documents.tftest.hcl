# What the module writes for the programs: the fleets document, user-data, and the functions' environments.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  environment        = "main"
  vpc_id             = "vpc-0123456789abcdef0"
  subnet_ids         = ["subnet-1", "subnet-2"]
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
      subnet_ids     = ["subnet-3"]
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
      version             = 1
      repositories        = []
      repositories_denied = []
      public_forks        = false
      ties                = "name"
      fleets = [
        {
          name                = "linux-x64"
          labels              = ["self-hosted", "linux", "x64"]
          matching            = "all"
          priority            = 0
          repositories        = []
          repositories_denied = []
          public_forks        = false
          ephemeral           = true
          max                 = 50
          delay_seconds       = 0
          boot_seconds        = 300
          cooldown_seconds    = 0
          github              = { level = "organization", owner = "octo-org" }
          handover            = "ssm"
          launch = {
            template_id      = "lt-0123456789abcdef0"
            template_version = "3"
            subnets          = ["subnet-1", "subnet-2"]
            instance_types   = ["c7i.large", "c7a.large"]
            market           = "spot"
          }
        },
        {
          name                = "small"
          labels              = ["small"]
          matching            = "all"
          priority            = 0
          repositories        = ["octo-org/*"]
          repositories_denied = []
          public_forks        = false
          ephemeral           = true
          max                 = 1
          delay_seconds       = 0
          boot_seconds        = 300
          cooldown_seconds    = 0
          github              = { level = "repository" }
          handover            = "ssm"
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
      ["/etc/dayfly/agent.env", "AWS_ENDPOINT_URL=\"http://127.0.0.1:5000\"\n"],
    ])
    error_message = "user-data: ${base64decode(aws_launch_template.runner["linux-x64"].user_data)}"
  }

  assert {
    condition     = !strcontains(base64decode(aws_launch_template.runner["linux-x64"].user_data), "0123456789abcdef0123")
    error_message = "user-data has no secret in it"
  }

  assert {
    condition     = aws_launch_template.runner["linux-x64"].name == "dayfly-main/linux-x64"
    error_message = "no deployment main-linux with a fleet x64 has such a template"
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
    condition     = alltrue([for name, function in aws_lambda_function.control : function.handler == name]) && length(aws_lambda_function.control) == 4
    error_message = "the handler's name says which function it is"
  }

  assert {
    condition = jsonencode({ for name, function in aws_lambda_function.control : name => [for key in sort(keys(function.environment[0].variables)) : key if startswith(key, "DAYFLY_")] }) == jsonencode({
      webhook   = ["DAYFLY_DEPLOYMENT", "DAYFLY_FLEETS", "DAYFLY_GITHUB_APPS", "DAYFLY_GITHUB_URL", "DAYFLY_LOG", "DAYFLY_TABLE", "DAYFLY_WAKE_QUEUE_URL", "DAYFLY_WEBHOOK_SECRET_PARAMETER"]
      scale-up  = ["DAYFLY_DEAD_LETTER_QUEUE_URL", "DAYFLY_DEPLOYMENT", "DAYFLY_FLEETS", "DAYFLY_GITHUB_APPS", "DAYFLY_GITHUB_URL", "DAYFLY_LIMIT_EC2_PER_SECOND", "DAYFLY_LIMIT_GITHUB_PER_MINUTE", "DAYFLY_LIMIT_SSM_PER_SECOND", "DAYFLY_LOG", "DAYFLY_REGISTRATION_PREFIX", "DAYFLY_TABLE", "DAYFLY_WAKE_QUEUE_URL"]
      lifecycle = ["DAYFLY_DEAD_LETTER_QUEUE_URL", "DAYFLY_DEPLOYMENT", "DAYFLY_FLEETS", "DAYFLY_GITHUB_APPS", "DAYFLY_GITHUB_URL", "DAYFLY_LOG", "DAYFLY_REGISTRATION_PREFIX", "DAYFLY_TABLE", "DAYFLY_WAKE_QUEUE_URL"]
      reconcile = ["DAYFLY_DEPLOYMENT", "DAYFLY_FLEETS", "DAYFLY_GITHUB_APPS", "DAYFLY_GITHUB_URL", "DAYFLY_LOG", "DAYFLY_REGISTRATION_PREFIX", "DAYFLY_SILENCE_SECONDS", "DAYFLY_TABLE", "DAYFLY_WAKE_QUEUE_URL"]
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

run "every_field" {
  command = apply

  variables {
    repositories        = ["octo-org/*", "octo-friends/*"]
    repositories_denied = ["octo-org/secret-*"]
    public_forks        = true
    ties                = "spread"

    fleets = {
      linux-x64 = {
        labels         = ["self-hosted", "linux", "x64"]
        max            = 50
        github         = { level = "organization" }
        image_id       = "ami-0123456789abcdef0"
        instance_types = ["c7i.large", "c7a.large"]
        pool = {
          kind       = "standby"
          eviction   = "newest"
          repository = "octo-org/octo-repo"
          schedules = [
            { cron = "0 8 * * mon-fri", timezone = "Europe/Berlin", size = 10 },
            { cron = "0 20 * * *", size = 0 },
          ]
        }
      }
      reusable = {
        labels         = ["reusable"]
        matching       = "any"
        ephemeral      = false
        max            = 1
        github         = { level = "repository", owner = "octo-org/octo-repo", runner_group_id = 1 }
        image          = { name = "runner-*", owners = ["self", "123456789012"] }
        instance_types = ["t3.small"]
        subnet_ids     = ["subnet-3"]
        agent          = { runner_work_folder = "/data/work", max_lifetime_seconds = 86400 }
        pool           = { kind = "idle", size = 1 }
      }
      whole = {
        labels              = ["self-hosted", "linux", "x64", "big"]
        matching            = "exact"
        priority            = 7
        repositories        = ["octo-org/*"]
        repositories_denied = ["octo-org/old-?"]
        public_forks        = true
        steering = {
          instance_types = ["c7i.*", "m7i.large"]
          max_vcpus      = 16
          max_memory_gib = 64
          max_disk_gib   = 200
          markets        = ["spot", "on-demand"]
          images         = ["ami-0a*"]
          pin            = true
        }
        max              = 200
        delay_seconds    = 30
        boot_seconds     = 200
        cooldown_seconds = 10
        interrupted      = { rerun = 2, on_demand = false }
        github           = { level = "organization", owner = "octo-org", runner_group = "big machines" }
        handover         = "s3"
        requirements = {
          vcpus          = { min = 4, max = 16 }
          memory_mib     = { min = 8192 }
          excluded_types = ["t*"]
        }
        image              = { parameter = "/images/runner" }
        market             = "spot"
        on_demand_base     = 2
        on_demand_fallback = true
        spot_allocation    = "capacity-optimized"
        max_price          = "0.12"
        tags               = { Team = "builds" }
        agent = {
          claim_seconds              = 120
          stop_seconds               = 30
          idle_seconds               = 300
          minimum_running_seconds    = 600
          max_lifetime_seconds       = 86400
          job_seconds                = 21600
          interruption_grace_seconds = 30
          retire_seconds             = 60
          heartbeat_seconds          = 60
          disk_free_mib              = 256
          metadata_access            = "agent"
          before_end                 = { script = "/usr/local/bin/farewell" }
          cloudwatch_agent           = "ssm:/dayfly/main/cloudwatch-agent"
          runner_source              = { bucket = "dayfly-main-123456789012", prefix = "runner/linux-x64" }
          runner_minimum_version     = "2.330.0"
          runner_disable_update      = true
          runner_work_folder         = "_work"
          runner_environment         = { DOTNET_GCHeapCount = "2" }
          runner_hook_started        = "/etc/dayfly/started.sh"
          runner_hook_completed      = "/etc/dayfly/completed.sh"
        }
      }
    }
  }

  # Control's own tests read this very document.
  assert {
    condition     = aws_s3_object.fleets.content == jsonencode(jsondecode(file("../control/testdata/fleets.terraform.json")))
    error_message = "fleets.json: ${aws_s3_object.fleets.content}"
  }

  # The document of agent/contract/golden/agent-config.v1.whole.json, but for where the registration is.
  assert {
    condition = jsonencode({ for field, value in jsondecode(local.agent_config_text["whole"]) : field => value if !startswith(field, "registration_") }) == jsonencode(merge(
      { for field, value in jsondecode(file("../agent/contract/golden/agent-config.v1.whole.json")) : field => value if !startswith(field, "registration_") },
      { fleet = "whole" },
    ))
    error_message = "agent.json: ${local.agent_config_text["whole"]}"
  }

  assert {
    condition = jsonencode([for fleet in ["linux-x64", "reusable", "whole"] : try(jsondecode(local.agent_config_text[fleet]).pool, null)]) == jsonencode([
      { kind = "standby", lifetime_seconds = 14400 }, { kind = "idle" }, null,
    ])
    error_message = "an agent knows what its instance is kept ready for"
  }

  assert {
    condition     = jsondecode(local.agent_config_text["reusable"]).runner.work_folder == "/data/work"
    error_message = "agent.json: ${local.agent_config_text["reusable"]}"
  }

  assert {
    condition     = aws_launch_template.runner["linux-x64"].image_id == "ami-0123456789abcdef0" && aws_launch_template.runner["linux-x64"].instance_type == "c7i.large"
    error_message = "image_id is the launch template's"
  }

  assert {
    condition     = jsondecode(one(aws_iam_role_policy.runner_source).policy).Statement[0].Resource == ["arn:aws:s3:::dayfly-main-123456789012/runner/linux-x64/*"]
    error_message = "an instance may read the runner where it is told to"
  }
}

# What no fleet above has.
run "the_rest_of_a_document" {
  command = apply

  variables {
    fleets = {
      rest = {
        labels       = ["rest"]
        max          = 1
        image        = { id = "ami-0123456789abcdef1" }
        requirements = { vcpus = { min = 2 }, memory_mib = { min = 4096, max = 8192 }, allowed_types = ["c7*"] }
      }
    }
  }

  assert {
    condition = jsonencode({ for field in ["image", "requirements"] : field => jsondecode(aws_s3_object.fleets.content).fleets[0].launch[field] }) == jsonencode({
      image        = { id = "ami-0123456789abcdef1" }
      requirements = { allowed_types = ["c7*"], memory_mib = { max = 8192, min = 4096 }, vcpus = { min = 2 } }
    })
    error_message = "fleets.json: ${aws_s3_object.fleets.content}"
  }
}
