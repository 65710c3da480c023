# The map: api.tf takes GitHub's webhooks, functions.tf and roles.tf run the control plane, queues.tf wakes it,
# ledger.tf is what it knows, fleets.tf and variables.fleets.tf what it is told, runners.tf what it launches, secrets.tf
# what only it may read, bus.tf watches over the bus that events of GitHub's are put on. keepers.tf runs what nothing
# waits for; runner_versions.tf keeps releases of the runner, housekeeping.tf clears away what is old.
# Names are those of docs/interface.md.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
# By its id: `name` is what the provider's version 6 warns of, and `region` is not there in 5.
data "aws_region" "current" {}

locals {
  prefix    = "dayfly-${var.environment}"
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id
  account   = data.aws_caller_identity.current.account_id
  tags      = merge(var.tags, { "dayfly:deployment" = var.environment })

  # SSM paths; see runner_role.tf for who may read a registration.
  registration_prefix = "/dayfly/${var.environment}/registrations"
  parameter_arn       = "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter"
}
