# A GitHub Enterprise Server that only the VPC reaches, with the App's key in Secrets Manager.

module "dayfly" {
  source      = "../../terraform"
  environment = "ghes"
  vpc_id      = var.vpc_id
  subnet_ids  = var.subnet_ids
  control_zip = var.control_zip

  github = {
    app_id            = nonsensitive(var.github_app.id)
    app_key_parameter = "/aws/reference/secretsmanager/dayfly/app-key"
    webhook_secret    = var.github_app.webhook_secret
    api_url           = "https://github.acme.example/api/v3"
    # Where its certificate is of a CA of your own:
    # ca_certificates = file("acme-root.pem")
  }

  function_network = { subnet_ids = var.subnet_ids, security_groups = [var.function_security_group] }
  # The server's rate limits are its own, or off.
  limits = { github_per_minute = 0 }

  fleets = {
    linux-x64 = {
      labels         = ["self-hosted", "linux", "x64"]
      max            = 50
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7i.large"]
      # The server says which versions of the runner it takes; they are in a bucket of yours.
      agent = { runner_source = { bucket = "acme-runners", prefix = "linux-x64", version = "2.330.0" } }
    }
  }
}

variable "function_security_group" {
  description = "Security group of the functions, which lets them reach the server, and AWS."
  type        = string
}
