# User-data of instances: a pure function of its variables, without provider or resource. docs/images.md tells of it.

terraform {
  required_version = ">= 1.6"
}

locals {
  environment = join("", [for name, value in var.agent_environment : "${name}=\"${value}\"\n"])

  user_data = templatefile(coalesce(var.template_file, "${path.module}/${var.kind}.yaml.tftpl"), {
    # As it came: the agent reads it, and a launch template changes with each byte.
    agent_config      = var.agent_config
    agent_environment = local.environment
    agent_source      = var.agent_source
    install_seconds   = var.install_seconds
    pre_install       = var.pre_install
    post_install      = var.post_install
    install_script    = file("${path.module}/files/install.sh")
    fetch_script      = file("${path.module}/files/fetch.py")
  })

  # EC2's limit is for the raw bytes, and counts what base64 stands for: three bytes in four characters, less the padding.
  encoded = base64encode(local.user_data)
  bytes   = length(local.encoded) * 3 / 4 - (endswith(local.encoded, "==") ? 2 : endswith(local.encoded, "=") ? 1 : 0)
}

output "user_data" {
  description = "Raw, to be encoded in base64 by a launch template."
  value       = local.user_data

  precondition {
    condition     = !var.strict || var.kind == "baked" || var.template_file != null || var.agent_source != null
    error_message = "kind is \"stock\" and agent_source is not set: where is the agent installed from?"
  }
  precondition {
    condition     = !var.strict || var.kind == "stock" || var.template_file != null || (var.pre_install == null && var.post_install == null && var.agent_source == null)
    error_message = "pre_install, post_install and agent_source are for kind \"stock\": on a baked image the agent has started before cloud-init. Put it into the image."
  }
  precondition {
    condition     = !var.strict || local.bytes <= 16384
    error_message = "The user-data has ${local.bytes} bytes, and EC2 takes 16384: put what pre_install and post_install do into an image, or have them fetch it."
  }
}

output "bytes" {
  description = "Its size; EC2 takes 16384."
  value       = local.bytes
}
