# Spot instances for one job each: of many types, since the more there are to choose from the more seldom EC2 has none or takes one
# away; two on-demand before any spot, and on-demand where there is no spot. Jobs whose instance is taken away are run again.

module "dayfly" {
  source      = "../../terraform"
  environment = "ephemeral-spot"
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
      labels             = ["self-hosted", "linux", "x64"]
      max                = 200
      image_id           = "ami-0123456789abcdef0"
      market             = "spot"
      on_demand_base     = 2
      on_demand_fallback = true
      requirements = {
        vcpus          = { min = 4, max = 8 }
        memory_mib     = { min = 8192, max = 32768 }
        excluded_types = ["t*"]
      }
      interrupted = { rerun = 2, on_demand = true }
      # Bursts of more than a few instances a second.
      handover = "s3"
    }
  }
}
