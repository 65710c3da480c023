# Where AWS is, as the AWS CLI and newer Packers see for themselves; empty for AWS's own.
variable "endpoint" {
  type    = string
  default = env("AWS_ENDPOINT_URL")
}
