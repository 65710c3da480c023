# Each input that is refused, by name.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  environment = "main"
  vpc_id      = "vpc-0123456789abcdef0"
  subnet_ids  = ["subnet-0123456789abcdef0"]
  control_zip = "tests/control.zip"

  github = {
    app_id         = "1001"
    app_key        = "-----BEGIN RSA PRIVATE KEY-----"
    webhook_secret = "0123456789abcdef"
  }

  fleets = {
    linux-x64 = {
      labels         = ["self-hosted", "linux", "x64"]
      max            = 50
      github         = { level = "organization" }
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7i.large"]
    }
  }
}

run "good" {
  command = plan
}

run "the_first_fleet" {
  command = plan
  variables {
    fleets = {
      linux-x64 = {
        labels         = ["self-hosted", "linux", "x64"]
        max            = 10
        image_id       = "ami-0123456789abcdef0"
        instance_types = ["c7i.large"]
      }
    }
  }
  assert {
    condition     = one(values(var.fleets)).github.level == "organization"
    error_message = "runners are the organization's unless a fleet says otherwise"
  }
}

run "environment" {
  command         = plan
  expect_failures = [var.environment]
  variables {
    environment = "Main"
  }
}

run "environment_of_anothers_bucket" {
  command         = plan
  expect_failures = [var.environment]
  variables {
    environment = "main-r"
  }
}

run "subnet_ids" {
  command         = plan
  expect_failures = [var.subnet_ids]
  variables {
    subnet_ids = []
  }
}

run "architecture" {
  command         = plan
  expect_failures = [var.architecture]
  variables {
    architecture = "aarch64"
  }
}

run "webhook_timeout" {
  command         = plan
  expect_failures = [var.function_timeouts]
  variables {
    function_timeouts = { webhook = 30 }
  }
}

run "webhook_timeout_that_leaves_nothing" {
  command         = plan
  expect_failures = [var.function_timeouts]
  variables {
    function_timeouts = { webhook = 2 }
  }
}

run "lifecycle_timeout_that_leaves_nothing" {
  command         = plan
  expect_failures = [var.function_timeouts]
  variables {
    function_timeouts = { lifecycle = 4 }
  }
}

run "short_secret" {
  command         = plan
  expect_failures = [var.github]
  variables {
    github = { app_id = "1", app_key = "-----BEGIN RSA PRIVATE KEY-----", webhook_secret = "short" }
  }
}

run "key_that_is_none" {
  command         = plan
  expect_failures = [var.github]
  variables {
    github = { app_id = "1", app_key = "key.pem", webhook_secret = "0123456789abcdef" }
  }
}

run "no_fleet" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = {}
  }
}

run "fleet_name" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { "Linux" = { labels = ["a"], max = 1, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "no_labels" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = [], max = 1, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "label_with_a_comma" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a,b"], max = 1, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "repository_pattern" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], repositories = ["octo"], max = 1, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "max_of_nothing" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 0, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "level" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "org" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "enterprise_without_a_name" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "enterprise" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "owner_that_is_no_repository" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "repository", owner = "octo-org" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "market" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, market = "cheap", github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "instance_types" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "organization" }, image_id = "ami-1", instance_types = [] } }
  }
}

run "image" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "organization" }, image_id = "debian", instance_types = ["c7i.large"] } }
  }
}

run "too_many_offers" {
  command         = plan
  expect_failures = [aws_s3_object.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "organization" }, image_id = "ami-1", instance_types = [for i in range(301) : "c7i.${i}"] } }
  }
}

run "runner_as_root" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, agent = { runner_user = "root" }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "agent_numbers" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, agent = { interruption_grace_seconds = 111 }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "metadata_access" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, agent = { metadata_access = "nobody" }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "document_repositories" {
  command         = plan
  expect_failures = [var.repositories]
  variables {
    repositories = ["octo"]
  }
}

run "document_repositories_denied" {
  command         = plan
  expect_failures = [var.repositories_denied]
  variables {
    repositories_denied = ["octo/a/b"]
  }
}

run "ties" {
  command         = plan
  expect_failures = [var.ties]
  variables {
    ties = "random"
  }
}

run "label_that_asks" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a", "Dayfly-CPU=8"], max = 1, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "matching" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, matching = "some", github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "repository_denied_pattern" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, repositories_denied = ["a/"], github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "half_a_second" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, delay_seconds = 0.5, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "cooldown" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, cooldown_seconds = 901, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "interrupted" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, interrupted = { rerun = 11 }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "interrupted_by_halves" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, interrupted = { rerun = 0.5 }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "pool_kind" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, pool = { kind = "hibernated", size = 1 }, github = { level = "organization", owner = "octo-org" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "pool_size" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, pool = { kind = "standby", size = 2 }, github = { level = "organization", owner = "octo-org" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "pool_without_a_size" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, pool = { kind = "standby" }, github = { level = "organization", owner = "octo-org" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "pool_with_two_sizes" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, pool = { kind = "standby", size = 1, schedules = [{ cron = "0 8 * * *", size = 1 }] }, github = { level = "organization", owner = "octo-org" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "pool_cron" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, pool = { kind = "standby", schedules = [{ cron = "0 8 * *", size = 1 }] }, github = { level = "organization", owner = "octo-org" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "pool_lifetime" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, pool = { kind = "standby", size = 1, lifetime_seconds = 59 }, github = { level = "organization", owner = "octo-org" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "pool_of_ephemeral_runners" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, pool = { kind = "idle", size = 1 }, agent = { max_lifetime_seconds = 60 }, github = { level = "organization", owner = "octo-org" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "pool_without_an_end" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, pool = { kind = "idle", size = 1 }, ephemeral = false, github = { level = "organization", owner = "octo-org" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "pool_that_is_silent" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, pool = { kind = "standby", size = 1 }, agent = { heartbeat_seconds = 121 }, github = { level = "organization", owner = "octo-org" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "pool_of_nobody" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, pool = { kind = "standby", size = 1 }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "handover" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, handover = "email", github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "steering_numbers" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, steering = { max_vcpus = 1025 }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "steering_markets" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, steering = { markets = ["cheap"] }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "steering_images" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, steering = { images = [""] }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "group_twice" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "organization", runner_group = "x", runner_group_id = 2 }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "group_of_a_repository" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "repository", runner_group = "x" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "group_id_of_a_repository" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "repository", runner_group_id = 2 }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "a_reusable_runner_says_its_group_by_name" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, ephemeral = false, github = { level = "organization", runner_group_id = 2 }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "no_image" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "organization" }, instance_types = ["c7i.large"] } }
  }
}

run "two_images" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image = { id = "ami-2" }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "image_without_a_way" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "organization" }, image = {}, instance_types = ["c7i.large"] } }
  }
}

run "image_in_two_ways" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "organization" }, image = { id = "ami-2", parameter = "/x" }, instance_types = ["c7i.large"] } }
  }
}

run "image_id_of_an_image" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "organization" }, image = { id = "debian" }, instance_types = ["c7i.large"] } }
  }
}

run "image_parameter" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "organization" }, image = { parameter = "resolve:ssm:/x" }, instance_types = ["c7i.large"] } }
  }
}

run "image_without_owners" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "organization" }, image = { name = "runner-*" }, instance_types = ["c7i.large"] } }
  }
}

run "image_owner" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "organization" }, image = { name = "runner-*", owners = ["me"] }, instance_types = ["c7i.large"] } }
  }
}

run "no_types" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "organization" }, image_id = "ami-1" } }
  }
}

run "types_and_requirements" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, requirements = { vcpus = { min = 1 }, memory_mib = { min = 1 } }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "requirements_range" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "organization" }, image_id = "ami-1", requirements = { vcpus = { min = 8, max = 4 }, memory_mib = { min = 1 } } } }
  }
}

run "requirements_types" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "organization" }, image_id = "ami-1", requirements = { vcpus = { min = 1 }, memory_mib = { min = 1 }, allowed_types = ["c5*"], excluded_types = ["t*"] } } }
  }
}

run "requirements_type" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, github = { level = "organization" }, image_id = "ami-1", requirements = { vcpus = { min = 1 }, memory_mib = { min = 1 }, allowed_types = ["c5,c6"] } } }
  }
}

run "spot_without_spot" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, on_demand_fallback = true, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "on_demand_base" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, market = "spot", on_demand_base = -1, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "spot_allocation" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, market = "spot", spot_allocation = "cheapest", github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "max_price" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, market = "spot", max_price = "0.0", github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "tags" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, tags = { "dayfly:fleet" = "x" }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "before_end" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, agent = { before_end = { script = "farewell" } }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "before_end_seconds" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, agent = { before_end = { script = "/farewell", seconds = 0 } }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "cloudwatch_agent" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, agent = { cloudwatch_agent = "/etc/agent.json" }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "hook" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, agent = { runner_hook_started = "/etc/started" }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "runner_source" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, agent = { runner_source = { bucket = "runners", prefix = "/runner" } }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "runner_version" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, agent = { runner_minimum_version = "2.330" }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "runner_environment" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, agent = { runner_environment = { "a-b" = "c" } }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "work_folder_of_an_ephemeral_runner" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, agent = { runner_work_folder = "/data" }, github = { level = "organization" }, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
}

run "github_nobody" {
  command         = plan
  expect_failures = [var.github]
  variables {
    github = { webhook_secret = "0123456789abcdef" }
  }
}

run "github_app_and_token" {
  command         = plan
  expect_failures = [var.github]
  variables {
    github = { app_id = "1", app_key = "-----BEGIN RSA PRIVATE KEY-----", token = "t", webhook_secret = "0123456789abcdef" }
  }
}

run "github_two_tokens" {
  command         = plan
  expect_failures = [var.github]
  variables {
    github = { token = "t", token_parameter = "/t", webhook_secret = "0123456789abcdef" }
  }
}

run "github_no_key" {
  command         = plan
  expect_failures = [var.github]
  variables {
    github = { app_id = "1", webhook_secret = "0123456789abcdef" }
  }
}

run "github_same_app" {
  command         = plan
  expect_failures = [var.github]
  variables {
    github = { app_id = "1", app_key_parameter = "/k", more_apps = [{ app_id = "1", app_key_parameter = "/k" }], webhook_secret = "0123456789abcdef" }
  }
}

run "github_parameter" {
  command         = plan
  expect_failures = [var.github]
  variables {
    github = { app_id = "1", app_key_parameter = "key", webhook_secret = "0123456789abcdef" }
  }
}

run "github_old_secret" {
  command         = plan
  expect_failures = [var.github]
  variables {
    github = { app_id = "1", app_key_parameter = "/k", webhook_secret = "0123456789abcdef", old_webhook_secret = "short" }
  }
}

run "a_ca_is_a_certificate" {
  command         = plan
  expect_failures = [var.github]
  variables {
    github = { app_id = "1001", app_key = "-----BEGIN RSA PRIVATE KEY-----", webhook_secret = "0123456789abcdef", ca_certificates = "acme-root.pem" }
  }
}

run "a_ca_is_no_private_key" {
  command         = plan
  expect_failures = [var.github]
  variables {
    github = { app_id = "1001", app_key = "-----BEGIN RSA PRIVATE KEY-----", webhook_secret = "0123456789abcdef", ca_certificates = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----" }
  }
}

run "a_ca_has_an_end" {
  command         = plan
  expect_failures = [var.github]
  variables {
    github = { app_id = "1001", app_key = "-----BEGIN RSA PRIVATE KEY-----", webhook_secret = "0123456789abcdef", ca_certificates = "-----BEGIN CERTIFICATE-----\nMIIB\n" }
  }
}

run "a_functions_environment_has_4_kb" {
  expect_failures = [aws_lambda_function.control]
  variables {
    github = { app_id = "1001", app_key = "-----BEGIN RSA PRIVATE KEY-----", webhook_secret = "0123456789abcdef", ca_certificates = "-----BEGIN CERTIFICATE-----${replace(format("%4000s", "x"), " ", "A")}-----END CERTIFICATE-----" }
  }
}

run "event_bus_two" {
  command         = plan
  expect_failures = [var.event_bus]
  variables {
    event_bus = { name = "mine", create = true }
  }
}

run "event_bus_none" {
  command         = plan
  expect_failures = [var.event_bus]
  variables {
    event_bus = {}
  }
}

run "event_bus_name" {
  command         = plan
  expect_failures = [var.event_bus]
  variables {
    event_bus = { name = "no bus" }
  }
}

run "event_bus_arn" {
  command         = plan
  expect_failures = [var.event_bus]
  variables {
    event_bus = { arn = "mine" }
  }
}
