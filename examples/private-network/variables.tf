variable "vpc_id" {
  description = "VPC of the runners."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the runners."
  type        = list(string)
}

variable "github_app" {
  description = "Id of the GitHub App, its private key (PEM), and the secret of its webhook."
  type        = object({ id = string, key = string, webhook_secret = string })
  sensitive   = true
}

variable "control_zip" {
  description = "The functions' zip, of `make dist`."
  type        = string
  default     = "../../dist/dayfly-control-x86_64.zip"
}
