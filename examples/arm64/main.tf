# Graviton, for the jobs and for the functions: `make dist ARCH=aarch64` makes the zip.

module "dayfly" {
  source      = "../../terraform"
  environment = "arm64"
  vpc_id      = var.vpc_id
  subnet_ids  = var.subnet_ids
  control_zip = var.control_zip

  github = {
    app_id         = nonsensitive(var.github_app.id)
    app_key        = var.github_app.key
    webhook_secret = var.github_app.webhook_secret
  }

  architecture = "arm64"

  fleets = {
    linux-arm64 = {
      labels         = ["self-hosted", "linux", "arm64"]
      max            = 20
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7g.large", "c6g.large", "m7g.large"]
    }
  }
}
