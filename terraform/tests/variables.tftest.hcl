# Each input that is refused, by name.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  deployment  = "main"
  vpc_id      = "vpc-0123456789abcdef0"
  subnets     = ["subnet-0123456789abcdef0"]
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

run "deployment" {
  command         = plan
  expect_failures = [var.deployment]
  variables {
    deployment = "Main"
  }
}

run "subnets" {
  command         = plan
  expect_failures = [var.subnets]
  variables {
    subnets = []
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
  expect_failures = [var.fleets]
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
