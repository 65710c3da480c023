build {
  sources = ["source.amazon-ebs.al2023", "source.amazon-ebs.ubuntu-2404"]

  provisioner "shell" {
    inline = ["mkdir -p /tmp/dayfly"]
  }

  provisioner "file" {
    source      = "${path.root}/scripts"
    destination = "/tmp/dayfly"
  }

  provisioner "file" {
    source      = "${var.dist}/${local.bundle}"
    destination = "/tmp/dayfly/agent.tar.gz"
  }

  # Without one of yours, one that does nothing.
  provisioner "file" {
    source      = var.custom_script != "" ? var.custom_script : "${path.root}/scripts/custom.sh"
    destination = "/tmp/dayfly/scripts/custom.sh"
  }

  provisioner "shell" {
    environment_vars = [
      "AGENT_BUNDLE=/tmp/dayfly/agent.tar.gz",
      "AGENT_SHA256=${local.agent_hash}",
      "RUNNER_URL=${local.runner_url}",
      "RUNNER_VERSION=${local.runner.version}",
      "RUNNER_SHA256=${local.runner_hash}",
      "RUNNER_SUDO=${var.runner_sudo}",
      "DOCKER=${var.docker}",
      "UPGRADE=${var.upgrade}",
      "EXTRA_PACKAGES=${join(" ", var.extra_packages)}",
      "BASE_IMAGE=${build.SourceAMI}",
    ]
    # -e: the inline commands are a script of their own, which would go on after a failure.
    execute_command = "sudo env {{ .Vars }} bash -e {{ .Path }}"
    inline          = ["bash /tmp/dayfly/scripts/provision.sh", "rm -rf /tmp/dayfly"]
    # Package mirrors are slow at times.
    timeout = "45m"
  }

  post-processors {
    post-processor "manifest" {
      output      = "${path.root}/manifest.json"
      custom_data = { build = "${source.name}-${var.arch}-${local.build}" }
    }

    post-processor "shell-local" {
      environment_vars = [
        "IMAGE_PARAMETER=${var.image_parameter_prefix == "" ? "" : "${var.image_parameter_prefix}/${source.name}-${var.arch}"}",
        "MANIFEST=${path.root}/manifest.json",
        "IMAGE_BUILD=${source.name}-${var.arch}-${local.build}",
      ]
      inline = ["bash ${path.root}/scripts/publish.sh"]
    }
  }
}
