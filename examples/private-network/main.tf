# Instances in a network from which nothing leaves for the internet by itself: they reach AWS by endpoints (SSM, SQS, EC2, S3), GitHub by
# a proxy. Functions know no proxy: here they stay outside of the VPC. In it (function_network, as in ../ghes) they need a NAT
# gateway or a GitHub Enterprise Server in reach, and endpoints for DynamoDB, Logs and KMS too.

module "dayfly" {
  source      = "../../terraform"
  environment = "private-network"
  vpc_id      = var.vpc_id
  subnet_ids  = var.subnet_ids
  control_zip = var.control_zip

  github = {
    app_id         = nonsensitive(var.github_app.id)
    app_key        = var.github_app.key
    webhook_secret = var.github_app.webhook_secret
  }

  runner_security_groups = [aws_security_group.endpoint_users.id]

  fleets = {
    linux-x64 = {
      labels         = ["self-hosted", "linux", "x64"]
      max            = 10
      image_id       = "ami-0123456789abcdef0"
      instance_types = ["c7i.large"]
      agent          = { runner_environment = { HTTPS_PROXY = "http://proxy.example:3128", NO_PROXY = "169.254.169.254,.amazonaws.com" } }
    }
  }
}

# Instances are in it beside their own group, so that the endpoints can say who may come.
resource "aws_security_group" "endpoint_users" {
  name        = "dayfly-private-network-endpoint-users"
  description = "Who may reach the endpoints"
  vpc_id      = var.vpc_id
}

resource "aws_security_group" "endpoints" {
  name        = "dayfly-private-network-endpoints"
  description = "Endpoints of AWS: from runners"
  vpc_id      = var.vpc_id

  ingress {
    description     = "TLS"
    protocol        = "tcp"
    from_port       = 443
    to_port         = 443
    security_groups = [aws_security_group.endpoint_users.id]
  }
}

resource "aws_vpc_endpoint" "interface" {
  for_each            = toset(["ec2", "sqs", "ssm"])
  vpc_id              = var.vpc_id
  service_name        = "com.amazonaws.eu-west-1.${each.key}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = var.subnet_ids
  security_group_ids  = [aws_security_group.endpoints.id]
  private_dns_enabled = true
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.eu-west-1.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.route_tables
}

variable "route_tables" {
  description = "Route tables of these subnets, which get a route to S3."
  type        = list(string)
}
