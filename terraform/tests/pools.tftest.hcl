# A pool of stopped instances: what is told to whom, and who may stop and start.

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
}

run "stopped" {
  command = apply
  variables {
    fleets = {
      asleep = {
        labels         = ["asleep"]
        max            = 50
        market         = "spot"
        github         = { level = "organization", owner = "octo-org" }
        image_id       = "ami-0123456789abcdef0"
        instance_types = ["c7i.large"]
        pool           = { kind = "stopped", size = 5 }
      }
      weekly = {
        labels         = ["weekly"]
        max            = 50
        github         = { level = "organization", owner = "octo-org" }
        image_id       = "ami-0123456789abcdef0"
        instance_types = ["c7i.large"]
        pool           = { kind = "stopped", size = 5, lifetime_seconds = 604800 }
      }
    }
  }

  assert {
    condition = jsonencode([for fleet in jsondecode(local.fleets_document).fleets : fleet.pool]) == jsonencode([
      { kind = "stopped", lifetime_seconds = 86400, size = 5 }, { kind = "stopped", lifetime_seconds = 604800, size = 5 },
    ])
    error_message = "control replaces what is stopped: ${local.fleets_document}"
  }

  assert {
    condition     = jsondecode(local.agent_config_text["asleep"]).pool == { kind = "stopped", lifetime_seconds = 14400 }
    error_message = "an agent knows that its instance may be stopped: ${local.agent_config_text["asleep"]}"
  }

  # None but scale-up, and only instances of this deployment.
  assert {
    condition = jsonencode({ for name, policy in local.function_policies : name => [
      for statement in jsondecode(policy).Statement : { resource = statement.Resource, condition = statement.Condition } if contains(flatten([statement.Action]), "ec2:StopInstances") || contains(flatten([statement.Action]), "ec2:StartInstances")
      ] }) == jsonencode({ for name, policy in local.function_policies : name => name != "scale-up" ? [] : [{
        resource  = "arn:aws:ec2:eu-west-1:123456789012:instance/*"
        condition = { StringEquals = { "aws:ResourceTag/dayfly:deployment" = "main" } }
    }] })
    error_message = "scale-up alone stops and starts instances, and only such of this deployment"
  }

  assert {
    condition     = !strcontains(local.runner_policy, "StopInstances") && !strcontains(local.runner_policy, "StartInstances")
    error_message = "an instance stops and starts nothing"
  }
}

run "standing_by" {
  command = apply
  variables {
    fleets = {
      awake = {
        labels         = ["awake"]
        max            = 50
        github         = { level = "organization", owner = "octo-org" }
        image_id       = "ami-0123456789abcdef0"
        instance_types = ["c7i.large"]
        pool           = { kind = "standby", size = 5 }
      }
    }
  }

  assert {
    condition     = alltrue([for policy in values(local.function_policies) : !strcontains(policy, "StopInstances") && !strcontains(policy, "StartInstances")])
    error_message = "where nothing is stopped nobody may"
  }

  assert {
    condition     = jsondecode(local.agent_config_text["awake"]).pool == { kind = "standby", lifetime_seconds = 14400 } && !strcontains(local.fleets_document, "lifetime_seconds")
    error_message = "its agent alone knows how long it waits"
  }
}
