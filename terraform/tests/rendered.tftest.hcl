# Everything at once, with a name of its own for each thing: tests/terraform/checks/test_policies.py reads what comes of it.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = aws_s3_bucket.dayfly
  values = { arn = "arn:aws:s3:::dayfly-main-123456789012" }
}

override_resource {
  target = aws_s3_bucket.registrations
  values = { arn = "arn:aws:s3:::dayfly-main-r-123456789012" }
}

override_resource {
  target = aws_s3_bucket.runners
  values = { arn = "arn:aws:s3:::dayfly-main-v-123456789012" }
}

override_resource {
  target = aws_dynamodb_table.ledger
  values = { arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/dayfly-main-ledger" }
}

override_resource {
  target = aws_iam_role.runner
  values = { arn = "arn:aws:iam::123456789012:role/dayfly-main-runner", unique_id = "AROARUNNER" }
}

override_resource {
  target = aws_ssm_parameter.webhook_secret
  values = { arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/dayfly/main/github/webhook-secret", version = 1 }
}

override_resource {
  target = aws_kms_key.dayfly
  values = { arn = "arn:aws:kms:eu-west-1:123456789012:key/own", key_id = "own" }
}

override_resource {
  target = aws_cloudwatch_event_bus.dayfly
  values = { arn = "arn:aws:events:eu-west-1:123456789012:event-bus/dayfly-main" }
}

override_resource {
  target = aws_cloudwatch_log_group.control
  values = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/dayfly-main-each" }
}

run "everything" {
  command = apply

  variables {
    environment      = "main"
    vpc_id           = "vpc-0123456789abcdef0"
    subnet_ids       = ["subnet-1"]
    control_zip      = "tests/control.zip"
    kms_key          = { create = true }
    event_bus        = { create = true }
    function_network = { subnet_ids = ["subnet-2"], security_groups = ["sg-2"] }
    alarms           = {}
    dashboard        = { prices = { by-ssm = 0.1 } }
    runner_versions  = { token_parameter = "/mine/token" }
    agent_archives   = { x86_64 = { path = "tests/control.zip" } }
    housekeeping     = { dry_run = false, image_tags = { "dayfly:image" = "*" }, parameters = ["/images/"] }

    github = {
      app_id         = "1001"
      app_key        = "-----BEGIN RSA PRIVATE KEY-----"
      more_apps      = [{ app_id = "1002", app_key_parameter = "/aws/reference/secretsmanager/second" }]
      webhook_secret = "0123456789abcdef"
    }

    fleets = {
      by-ssm = {
        labels         = ["linux"]
        max            = 50
        image          = { parameter = "/images/linux" }
        instance_types = ["c7i.large"]
        market         = "spot"
        volumes        = [{ device_name = "/dev/xvda", kms_key = "arn:aws:kms:eu-west-1:123456789012:key/volumes" }]
        pool           = { kind = "stopped", size = 1, repository = "octo-org/octo-repo" }
        agent          = { runner_source = { platform = "linux-x64" } }
      }
      by-s3 = {
        labels         = ["burst"]
        max            = 500
        image_id       = "ami-0123456789abcdef0"
        instance_types = ["c7i.large"]
        handover       = "s3"
      }
      stock = {
        labels         = ["stock"]
        max            = 1
        image_id       = "ami-0123456789abcdef0"
        instance_types = ["c7i.large"]
        user_data      = { kind = "stock" }
        agent          = { runner_source = { platform = "linux-x64" } }
      }
    }
  }

  assert {
    condition     = length(aws_iam_role_policy.control) == 6
    error_message = "a policy for each function"
  }
}
