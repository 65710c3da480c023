build {
  sources = ["source.amazon-ebs.amazon_linux_2023", "source.amazon-ebs.ubuntu_2404"]

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
    execute_command = "sudo env {{ .Vars }} bash {{ .Path }}"
    inline          = ["bash /tmp/dayfly/scripts/provision.sh", "rm -rf /tmp/dayfly"]
    # A package's service that is restarted may take the connection with it.
    timeout = "45m"
  }

  post-processors {
    post-processor "manifest" {
      output      = "${path.root}/manifest.json"
      custom_data = { build = local.build }
    }

    post-processor "shell-local" {
      environment_vars = [
        "IMAGE_PARAMETER=${var.image_parameter}",
        "MANIFEST=${path.root}/manifest.json",
        "IMAGE_BUILD=${local.build}",
      ]
      inline = ["bash ${path.root}/scripts/publish.sh"]
    }
  }
}
