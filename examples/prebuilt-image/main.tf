# Images of your own, built elsewhere: the one that an SSM parameter names at the time of the launch, so that a new image needs no
# deployment. Old ones are cleared away once nothing names them.

module "dayfly" {
  source      = "../../terraform"
  environment = "prebuilt-image"
  vpc_id      = var.vpc_id
  subnet_ids  = var.subnet_ids
  control_zip = var.control_zip

  github = {
    app_id         = nonsensitive(var.github_app.id)
    app_key        = var.github_app.key
    webhook_secret = var.github_app.webhook_secret
  }

  housekeeping = {
    dry_run    = false
    image_tags = { "dayfly:image" = "*" }
    parameters = ["/images/"]
  }

  fleets = {
    linux-x64 = {
      labels         = ["self-hosted", "linux", "x64"]
      max            = 20
      image          = { parameter = "/images/runner/linux-x64" }
      instance_types = ["c7i.large", "c7a.large"]
      # The image brings its volumes.
      volumes = []
    }
  }
}
