# How registrations get to the instances: a fleet may choose S3, and there may be a KMS key.

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
    burst = {
      labels         = ["burst"]
      max            = 1000
      handover       = "s3"
      github         = { level = "organization" }
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7i.large"]
    }
    few = {
      labels         = ["few"]
      max            = 5
      ephemeral      = false
      github         = { level = "organization" }
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7i.large"]
    }
  }
  registration_kms_key = "arn:aws:kms:eu-west-1:123456789012:key/0123"
}

run "by_s3" {
  command = apply

  assert {
    condition = jsonencode([for name in ["burst", "few"] : [for field in ["registration_bucket", "registration_prefix"] : try(jsondecode(yamldecode(base64decode(aws_launch_template.runner[name].user_data)).write_files[0].content)[field], null)]]) == jsonencode([
      ["dayfly-main-r-123456789012", "registrations/AROAMOCK:"],
      [null, "/dayfly/main/registrations"],
    ])
    error_message = "agents look where their fleet's registrations are: ${jsonencode(local.user_data)}"
  }

  assert {
    condition     = jsonencode([for fleet in jsondecode(local.fleets_document).fleets : [fleet.name, fleet.handover, fleet.ephemeral]]) == jsonencode([["burst", "s3", true], ["few", "ssm", false]])
    error_message = "fleets.json: ${local.fleets_document}"
  }

  assert {
    condition = alltrue([for name in ["scale-up", "lifecycle"] : jsonencode({ for key, value in aws_lambda_function.control[name].environment[0].variables : key => value if startswith(key, "DAYFLY_REGISTRATION") }) == jsonencode({
      DAYFLY_REGISTRATION_BUCKET        = "dayfly-main-r-123456789012"
      DAYFLY_REGISTRATION_BUCKET_PREFIX = "registrations/AROAMOCK:"
      DAYFLY_REGISTRATION_KMS_KEY       = "arn:aws:kms:eu-west-1:123456789012:key/0123"
      DAYFLY_REGISTRATION_PREFIX        = "/dayfly/main/registrations"
    })])
    error_message = "both functions know the stores"
  }

  assert {
    condition = jsonencode({ for statement in jsondecode(aws_iam_role_policy.runner[0].policy).Statement : statement.Sid => [statement.Action, statement.Resource] if contains(["OwnRegistrationInS3", "DecryptRegistration"], statement.Sid) }) == jsonencode({
      OwnRegistrationInS3 = [["s3:DeleteObject", "s3:GetObject"], "arn:aws:s3:::mock/registrations/$${aws:userid}"]
      DecryptRegistration = ["kms:Decrypt", "arn:aws:kms:eu-west-1:123456789012:key/0123"]
    })
    error_message = "an instance takes its own registration and no other: ${aws_iam_role_policy.runner[0].policy}"
  }

  assert {
    condition = jsonencode({ for name, role in aws_iam_role_policy.control : name => [for statement in jsondecode(role.policy).Statement : [statement.Action, statement.Resource] if contains(["HandOverByS3", "LookForRegistrations", "TakeBackFromS3", "EncryptRegistrations"], statement.Sid)] }) == jsonencode({
      lifecycle = [["s3:DeleteObject", "arn:aws:s3:::mock/registrations/*"]]
      reconcile = [["s3:DeleteObject", "arn:aws:s3:::mock/registrations/*"], ["s3:ListBucket", "arn:aws:s3:::mock"]]
      scale-up = [
        [["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], "arn:aws:s3:::mock/registrations/*"],
        ["s3:ListBucket", "arn:aws:s3:::mock"],
        [["kms:Encrypt", "kms:GenerateDataKey"], "arn:aws:kms:eu-west-1:123456789012:key/0123"],
      ]
      webhook = []
    })
    error_message = "each function may do what its handler does"
  }

  assert {
    condition     = one(one(aws_s3_bucket_lifecycle_configuration.registrations[0].rule).expiration).days == 1
    error_message = "leftovers are deleted after a day"
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.registrations[0].block_public_policy && aws_s3_bucket_public_access_block.registrations[0].block_public_acls
    error_message = "the bucket is private"
  }
}

run "by_ssm_alone" {
  command = plan

  variables {
    fleets = {
      few = {
        labels         = ["few"]
        max            = 5
        github         = { level = "organization" }
        image_id       = "ami-0123456789abcdef0"
        instance_types = ["c7i.large"]
      }
    }
    registration_kms_key = null
  }

  assert {
    condition     = length(aws_s3_bucket.registrations) == 0
    error_message = "no bucket that nobody uses"
  }
}

run "another_way" {
  command = plan

  variables {
    fleets = {
      few = {
        labels         = ["few"]
        max            = 5
        handover       = "pigeon"
        github         = { level = "organization" }
        image_id       = "ami-0123456789abcdef0"
        instance_types = ["c7i.large"]
      }
    }
    registration_kms_key = "alias/mine"
  }

  expect_failures = [var.fleets, var.registration_kms_key]
}
