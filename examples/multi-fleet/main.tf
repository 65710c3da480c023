# Fleets for different jobs: who asks for `linux` alone gets a small machine, `large` a large one, and what others may open pull
# requests for stays with itself.

module "dayfly" {
  source      = "../../terraform"
  environment = "multi-fleet"
  vpc_id      = var.vpc_id
  subnet_ids  = var.subnet_ids
  control_zip = var.control_zip

  github = {
    app_id         = nonsensitive(var.github_app.id)
    app_key        = var.github_app.key
    webhook_secret = var.github_app.webhook_secret
  }

  ties                = "spread"
  repositories_denied = ["octo-org/archive-*"]
  public_forks        = true

  # Two fleets install the runner themselves.
  runner_versions = { delay_hours = 24 }
  alarms          = {}
  dashboard       = { prices = { small = 0.0893, large = 0.7140 } }
  # For rules of your own about jobs and runners.
  event_bus = { arn = aws_cloudwatch_event_bus.ci.arn }

  fleets = {
    small = {
      labels         = ["self-hosted", "linux"]
      max            = 50
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7i.large"]
      agent          = { runner_source = { platform = "linux-x64" } }
    }
    large = {
      labels         = ["self-hosted", "linux", "large"]
      max            = 10
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7i.4xlarge", "c7a.4xlarge"]
      volumes        = [{ device_name = "/dev/xvda", size_gib = 200, throughput = 500 }]
      # A job may ask for up to 32 vCPUs, by its label dayfly-cpu=32.
      steering = { max_vcpus = 32, pin = true }
      agent    = { runner_source = { platform = "linux-x64" } }
    }
    untrusted = {
      labels         = ["self-hosted", "public"]
      matching       = "exact"
      repositories   = ["octo-org/open-*"]
      public_forks   = true
      max            = 5
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7i.large"]
      github         = { level = "organization", runner_group = "public" }
      agent          = { job_seconds = 3600 }
    }
  }
}

resource "aws_cloudwatch_event_bus" "ci" {
  name = "ci"
}
