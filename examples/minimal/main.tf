# The least that there is: on-demand instances of one image, one job each.

module "dayfly" {
  source      = "../../terraform"
  environment = "minimal"
  vpc_id      = var.vpc_id
  subnet_ids  = var.subnet_ids
  control_zip = var.control_zip

  github = {
    app_id         = nonsensitive(var.github_app.id)
    app_key        = var.github_app.key
    webhook_secret = var.github_app.webhook_secret
  }

  fleets = {
    linux-x64 = {
      labels         = ["self-hosted", "linux", "x64"]
      max            = 10
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7i.large"]
    }
  }
}
