# What instances are told when they start: baked and stock images, their agent, scripts, limits, and root volumes.

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

  # Any file does.
  agent_archives = {
    x86_64 = { path = "tests/control.zip" }
    arm64  = { bucket = "mine", key = "agents/dayfly-agent-aarch64.tar.gz", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
  }

  fleets = {
    baked = { labels = ["baked"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"] }
    stock = {
      labels         = ["stock"]
      max            = 1
      image_id       = "ami-1"
      instance_types = ["c7i.large"]
      boot_seconds   = 400
      handover       = "s3"
      agent          = { runner_source = { bucket = "mine", prefix = "runners/linux-x64" } }
      user_data = {
        kind         = "stock"
        pre_install  = "#!/bin/sh\necho \"a\" 'b' \\ $X\n"
        post_install = "#!/bin/sh\necho after\n"
        environment  = { HTTPS_PROXY = "http://proxy.example:3128" }
      }
    }
    arm = {
      labels         = ["arm"]
      max            = 1
      image_id       = "ami-1"
      instance_types = ["c7g.large"]
      agent          = { runner_source = { bucket = "mine", prefix = "runners/linux-arm64" } }
      user_data      = { kind = "stock", architecture = "arm64", install_seconds = 90 }
    }
    own = {
      labels         = ["own"]
      max            = 1
      image_id       = "ami-1"
      instance_types = ["c7i.large"]
      user_data      = { template_file = "../userdata/golden/own.yaml.tftpl" }
    }
  }
}

run "user_data" {
  command = apply

  assert {
    condition     = [for file in yamldecode(base64decode(aws_launch_template.runner["baked"].user_data)).write_files : file.path] == ["/etc/dayfly/agent.json"] && !strcontains(local.user_data["baked"], "runcmd")
    error_message = "a baked image is told its config alone: ${local.user_data["baked"]}"
  }
  assert {
    condition = { for file in yamldecode(base64decode(aws_launch_template.runner["stock"].user_data)).write_files : file.path => file.content if contains(["/etc/dayfly/agent.env", "/usr/local/lib/dayfly/pre-install", "/usr/local/lib/dayfly/post-install"], file.path) } == {
      "/etc/dayfly/agent.env"              = "HTTPS_PROXY=\"http://proxy.example:3128\"\n"
      "/usr/local/lib/dayfly/pre-install"  = var.fleets["stock"].user_data.pre_install
      "/usr/local/lib/dayfly/post-install" = var.fleets["stock"].user_data.post_install
    }
    error_message = "a fleet's own scripts and environment: ${local.user_data["stock"]}"
  }
  assert {
    condition     = yamldecode(local.user_data["stock"]).runcmd[0] == ["/usr/local/sbin/dayfly-install", "dayfly-main-123456789012", "agent/${filesha256("tests/control.zip")}/dayfly-agent-x86_64.tar.gz", filesha256("tests/control.zip"), "340"]
    error_message = "what is uploaded is fetched by its hash, within a minute less than boot_seconds: ${jsonencode(yamldecode(local.user_data["stock"]).runcmd)}"
  }
  assert {
    condition     = yamldecode(local.user_data["arm"]).runcmd[0] == ["/usr/local/sbin/dayfly-install", "mine", "agents/dayfly-agent-aarch64.tar.gz", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "90"]
    error_message = "what is in S3 is fetched from there: ${jsonencode(yamldecode(local.user_data["arm"]).runcmd)}"
  }
  assert {
    condition     = jsondecode(yamldecode(local.user_data["stock"]).write_files[0].content).registration_prefix == "registrations/AROAMOCK:"
    error_message = "registrations by S3 are found: ${local.user_data["stock"]}"
  }
  assert {
    condition     = strcontains(local.user_data["own"], trimspace(split("\n", file("../userdata/golden/own.yaml.tftpl"))[1])) && local.user_data["own"] != local.user_data["baked"]
    error_message = "a template of one's own: ${local.user_data["own"]}"
  }
  assert {
    condition     = jsonencode([for architecture, object in aws_s3_object.agent : [architecture, object.bucket, object.key, object.source]]) == jsonencode([["x86_64", "dayfly-main-123456789012", "agent/${filesha256("tests/control.zip")}/dayfly-agent-x86_64.tar.gz", "tests/control.zip"]])
    error_message = "what is a file is uploaded, and nothing else"
  }
  assert {
    condition     = toset(one([for statement in jsondecode(aws_iam_role_policy.runner_source[0].policy).Statement : statement.Resource if statement.Sid == "AgentArchive"])) == toset(["arn:aws:s3:::dayfly-main-123456789012/agent/${filesha256("tests/control.zip")}/dayfly-agent-x86_64.tar.gz", "arn:aws:s3:::mine/agents/dayfly-agent-aarch64.tar.gz"])
    error_message = "instances may read these very objects: ${aws_iam_role_policy.runner_source[0].policy}"
  }
}

run "what_no_fleet_installs_is_not_uploaded" {
  command = plan
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"] } }
  }
  assert {
    condition     = length(aws_s3_object.agent) == 0 && length(aws_iam_role_policy.runner_source) == 0 && output.runner_source_policy == null
    error_message = "neither an object nor a permission"
  }
}

run "in_a_bucket_of_yours" {
  command = plan
  variables {
    existing_bucket = { name = "my-bucket" }
  }
  assert {
    condition     = aws_s3_object.agent["x86_64"].bucket == "my-bucket" && yamldecode(module.userdata["stock"].user_data).runcmd[0][2] == "dayfly-main/agent/${filesha256("tests/control.zip")}/dayfly-agent-x86_64.tar.gz"
    error_message = "below the deployment's name: ${aws_s3_object.agent["x86_64"].key}"
  }
}

run "a_script_may_install_the_runner" {
  command = plan
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { kind = "stock", post_install = "#!/bin/sh" } } }
  }
  assert {
    condition     = yamldecode(local.user_data["a"]).runcmd[0][4] == "240"
    error_message = "a minute less than boot_seconds"
  }
}

run "what_is_said_of_installing" {
  command = plan
  variables {
    agent_endpoint_url = "https://vpce.example"
    fleets = {
      # Less than a minute is no time to install anything, and a baked image installs nothing.
      soon  = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], boot_seconds = 90, user_data = { kind = "stock", post_install = "#!/bin/sh" } }
      baked = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], boot_seconds = 30 }
      proxy = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { kind = "stock", post_install = "#!/bin/sh", environment = { AWS_ENDPOINT_URL = "https://own.example" } } }
    }
  }
  assert {
    condition     = yamldecode(local.user_data["soon"]).runcmd[0][4] == "60"
    error_message = "a minute at least: ${jsonencode(yamldecode(local.user_data["soon"]).runcmd)}"
  }
  assert {
    condition     = strcontains(local.user_data["soon"], "https://vpce.example") && strcontains(local.user_data["proxy"], "https://own.example") && !strcontains(local.user_data["proxy"], "https://vpce.example")
    error_message = "the endpoint of all, unless the fleet says its own"
  }
}

run "of_an_own_template_nothing_is_asked" {
  command = plan
  variables {
    agent_archives = {}
    fleets         = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { kind = "stock", template_file = "../userdata/golden/own.yaml.tftpl" } } }
  }
  assert {
    condition     = length(module.userdata) == 1 && length(aws_s3_object.agent) == 0
    error_message = "where it has the agent from is its own business"
  }
}

run "root_volumes" {
  command = plan
  variables {
    fleets = {
      amazon    = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"] }
      said      = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], root_device_name = "/dev/sda1", volumes = [{ size_gib = 40 }, { device_name = "/dev/sdb", size_gib = 10 }] }
      canonical = { labels = ["a"], max = 1, image = { parameter = "/aws/service/canonical/server/24.04/ami-id" }, instance_types = ["c7i.large"] }
      named     = { labels = ["a"], max = 1, image = { name = "runner-Ubuntu-*", owners = ["self"] }, instance_types = ["c7i.large"] }
      owned     = { labels = ["a"], max = 1, image = { name = "noble-*", owners = ["099720109477"] }, instance_types = ["c7i.large"] }
      otherwise = { labels = ["a"], max = 1, image = { name = "ubuntu-*", owners = ["self"] }, instance_types = ["c7i.large"], root_device_name = "/dev/xvda" }
      none      = { labels = ["a"], max = 1, image = { parameter = "/images/al2023" }, instance_types = ["c7i.large"], volumes = [] }
    }
  }
  assert {
    condition = jsonencode({ for name, template in aws_launch_template.runner : name => template.block_device_mappings[*].device_name }) == jsonencode({
      amazon    = ["/dev/xvda"]
      said      = ["/dev/sda1", "/dev/sdb"]
      canonical = ["/dev/sda1"]
      named     = ["/dev/sda1"]
      owned     = ["/dev/sda1"]
      otherwise = ["/dev/xvda"]
      none      = []
    })
    error_message = "root volumes by what their images are called: ${jsonencode({ for name, template in aws_launch_template.runner : name => template.block_device_mappings[*].device_name })}"
  }
}

# ---- What is refused

run "too_much_user_data" {
  command         = plan
  expect_failures = [aws_launch_template.runner["linux-x64"]]
  variables {
    fleets = { linux-x64 = { labels = ["linux"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], handover = "s3", agent = { runner_environment = { A = join("", [for i in range(1000) : "ééééééééé"]) } } } }
  }
}

run "user_data_that_just_fits" {
  command = plan
  variables {
    fleets = { linux-x64 = { labels = ["linux"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], handover = "s3", agent = { runner_environment = { A = join("", [for i in range(1000) : "éééé1234"]) } } } }
  }
  assert {
    condition     = module.userdata["linux-x64"].bytes > 12000 && module.userdata["linux-x64"].bytes < 13000
    error_message = "bytes are counted: ${module.userdata["linux-x64"].bytes}"
  }
}

run "an_agent_of_that_architecture" {
  command         = plan
  expect_failures = [aws_launch_template.runner["a"]]
  variables {
    agent_archives = { arm64 = { path = "tests/control.zip" } }
    fleets         = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { kind = "stock" }, agent = { runner_source = { bucket = "mine", prefix = "runners" } } } }
  }
}

run "two_root_volumes" {
  command         = plan
  expect_failures = [aws_launch_template.runner["a"]]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], volumes = [{}, { device_name = "/dev/xvda" }] } }
  }
}

run "root_device_name" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], root_device_name = "sda 1" } }
  }
}

run "kind" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { kind = "cooked", post_install = "#!/bin/sh" } } }
  }
}

run "architecture_of_a_fleet" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { kind = "stock", architecture = "aarch64" }, agent = { runner_source = { bucket = "mine", prefix = "runners" } } } }
  }
}

run "a_script_without_an_interpreter" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { kind = "stock", pre_install = "echo" } } }
  }
}

run "another_script_without_an_interpreter" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { kind = "stock", post_install = "echo" } } }
  }
}

run "environment_with_quotes" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { kind = "stock", post_install = "#!/bin/sh", environment = { A = "a\"b" } } } }
  }
}

run "environment_with_odd_names" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { kind = "stock", post_install = "#!/bin/sh", environment = { "A-B" = "c" } } } }
  }
}

run "a_baked_image_runs_no_script" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { pre_install = "#!/bin/sh" } } }
  }
}

run "a_baked_image_runs_no_script_after" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { post_install = "#!/bin/sh" } } }
  }
}

run "a_baked_image_has_its_environment" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { environment = { A = "b" } } } }
  }
}

run "a_baked_image_installs_nothing" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { install_seconds = 60 } } }
  }
}

run "installing_until_the_boot_deadline" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { kind = "stock", post_install = "#!/bin/sh", install_seconds = 300 } } }
  }
}

run "installing_for_seconds" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { kind = "stock", post_install = "#!/bin/sh", install_seconds = 59 } } }
  }
}

run "installing_for_half_seconds" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { kind = "stock", post_install = "#!/bin/sh", install_seconds = 90.5 } } }
  }
}

run "a_boot_deadline_too_soon_to_install" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], boot_seconds = 60, user_data = { kind = "stock", post_install = "#!/bin/sh" } } }
  }
}

run "a_stock_image_without_a_runner" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { kind = "stock" } } }
  }
}

run "a_template_that_is_not_there" {
  command         = plan
  expect_failures = [var.fleets]
  variables {
    fleets = { a = { labels = ["a"], max = 1, image_id = "ami-1", instance_types = ["c7i.large"], user_data = { template_file = "tests/none.tftpl" } } }
  }
}

run "archives_by_architecture" {
  command         = plan
  expect_failures = [var.agent_archives]
  variables {
    agent_archives = { aarch64 = { path = "tests/control.zip" } }
  }
}

run "an_archive_from_two_places" {
  command         = plan
  expect_failures = [var.agent_archives]
  variables {
    agent_archives = { x86_64 = { path = "tests/control.zip", bucket = "mine" } }
  }
}

run "an_archive_from_nowhere" {
  command         = plan
  expect_failures = [var.agent_archives]
  variables {
    agent_archives = { x86_64 = {} }
  }
}

run "an_archive_without_a_whole_hash" {
  command         = plan
  expect_failures = [var.agent_archives]
  variables {
    agent_archives = { x86_64 = { bucket = "mine", key = "a", sha256 = "0123" } }
  }
}

run "an_archive_with_an_odd_key" {
  command         = plan
  expect_failures = [var.agent_archives]
  variables {
    agent_archives = { x86_64 = { bucket = "mine", key = "a b", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" } }
  }
}

run "an_archive_in_no_bucket" {
  command         = plan
  expect_failures = [var.agent_archives]
  variables {
    agent_archives = { x86_64 = { bucket = "Mine", key = "a", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" } }
  }
}

run "an_archive_that_is_not_there" {
  command         = plan
  expect_failures = [var.agent_archives]
  variables {
    agent_archives = { x86_64 = { path = "tests/none.tar.gz" } }
  }
}
