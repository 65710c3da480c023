variable "arch" {
  description = "What the image is for: x86_64 or arm64."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.arch)
    error_message = "The arch is \"x86_64\" or \"arm64\"."
  }
}

variable "region" {
  description = "Where the image is built."
  type        = string
}

variable "copy_to_regions" {
  description = "Further regions that it is copied to."
  type        = list(string)
  default     = []
}

variable "share_with_accounts" {
  description = "Further accounts that may launch it."
  type        = list(string)
  default     = []
}

variable "subnet_id" {
  description = "Where the building instance is; empty for the default VPC. It needs the way to the internet, or to mirrors."
  type        = string
  default     = ""
}

variable "instance_type" {
  description = "What it is built on; empty for c7i.large or c7g.large."
  type        = string
  default     = ""
}

variable "volume_gib" {
  description = "Size of the image's root volume in GiB; cloud-init grows it to what a launch asks for."
  type        = number
  default     = 16
}

variable "kms_key_id" {
  description = "By which the image is encrypted; empty for the account's default key."
  type        = string
  default     = ""
}

variable "image_parameter_prefix" {
  description = "SSM path below which the image's id is written as al2023-x86_64, ubuntu-2404-arm64...: what fleets follow by image = { parameter = ... }. Empty: it is written nowhere."
  type        = string
  default     = ""
}

variable "dist" {
  description = "Folder with what `make dist` has made, or with the files of a release."
  type        = string
  default     = "../dist"
}

variable "runner_url" {
  description = "Where the runner's tar.gz is had from, in place of GitHub. It must be the version of versions.json."
  type        = string
  default     = ""
}

variable "docker" {
  description = "Whether docker is installed."
  type        = bool
  default     = true
}

variable "runner_sudo" {
  description = "Whether jobs may use sudo without a password, as on GitHub's own runners."
  type        = bool
  default     = true
}

variable "upgrade" {
  description = "Whether the base image's packages are brought up to date."
  type        = bool
  default     = true
}

variable "extra_packages" {
  description = "Further packages of the distribution."
  type        = list(string)
  default     = []
}

variable "custom_script" {
  description = "A script of your own, run as root before the image is cleaned and checked; empty for none."
  type        = string
  default     = ""
}

locals {
  versions = jsondecode(file("${path.root}/versions.json"))
  runner   = local.versions.runner
  # How GitHub and our own releases call the architecture.
  runner_arch = var.arch == "arm64" ? "arm64" : "x64"
  agent_arch  = var.arch == "arm64" ? "aarch64" : "x86_64"
  bundle      = "dayfly-agent-${local.agent_arch}.tar.gz"
  agent_hash  = regex_replace(file("${var.dist}/SHA256SUMS"), "(?s).*?([0-9a-f]{64})  ${local.bundle}\n.*", "$1")
  runner_hash = local.runner.sha256[var.arch]
  runner_url  = var.runner_url != "" ? var.runner_url : "https://github.com/actions/runner/releases/download/v${local.runner.version}/actions-runner-linux-${local.runner_arch}-${local.runner.version}.tar.gz"
  build       = formatdate("YYYYMMDD-hhmmss", timestamp())

  instance_type = var.instance_type != "" ? var.instance_type : (var.arch == "arm64" ? "c7g.large" : "c7i.large")

  # On the image and its snapshot: housekeeping knows images by them.
  tags = {
    "dayfly:image"         = "runner"
    "dayfly:arch"          = var.arch
    "dayfly:agent-sha256"  = local.agent_hash
    "dayfly:runner"        = local.runner.version
    "dayfly:runner-sha256" = local.runner_hash
    "dayfly:base"          = "{{ .SourceAMI }}"
    "dayfly:base-name"     = "{{ .SourceAMIName }}"
  }
}
