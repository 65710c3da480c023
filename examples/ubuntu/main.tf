# Ubuntu: its newest image by name at each launch, and its root volume, which is called /dev/sda1 there. A stock image has no agent: it
# comes with user-data, or with an image of your own.

module "dayfly" {
  source      = "../../terraform"
  environment = "ubuntu"
  vpc_id      = var.vpc_id
  subnet_ids  = var.subnet_ids
  control_zip = var.control_zip

  github = {
    app_id         = nonsensitive(var.github_app.id)
    app_key        = var.github_app.key
    webhook_secret = var.github_app.webhook_secret
  }

  fleets = {
    ubuntu = {
      labels         = ["self-hosted", "ubuntu-24.04"]
      max            = 10
      image          = { name = "my-runner-ubuntu-24.04-*", owners = ["self"] }
      instance_types = ["c7i.large", "c7a.large"]
      volumes        = [{ device_name = "/dev/sda1", size_gib = 40 }]
    }
  }
}

output "github_setup" {
  description = "What to enter in the GitHub App's settings."
  value       = module.dayfly.github_setup
}
