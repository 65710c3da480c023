//! Names that both sides, Terraform and the operator agree on. All are listed in `docs/interface.md`.

pub use crate::config::is_name;

/// Instance tag: the deployment that launched it.
pub const TAG_DEPLOYMENT: &str = "dayfly:deployment";
/// Instance tag: the fleet it was launched for.
pub const TAG_FLEET: &str = "dayfly:fleet";
/// Instance tag: the reservation it was launched under, which is also the client token of its `CreateFleet`.
pub const TAG_RESERVATION: &str = "dayfly:reservation";
/// Instance tag: the X-Ray trace of the webhook that it was launched for, where there is one.
pub const TAG_TRACE: &str = "dayfly:trace";
/// Tag of a registration's SSM parameter: the one instance that may read and delete it. IAM policies compare it with
/// `ec2:SourceInstanceARN`.
pub const TAG_INSTANCE_ID: &str = "InstanceId";
/// Where user-data puts the agent's config; the agent reads the same document from user-data itself.
pub const AGENT_CONFIG_PATH: &str = "/etc/dayfly/agent.json";
/// Exit code for a refused config, as in `sysexits.h`.
pub const EXIT_CONFIG: u8 = 78;

/// The SSM parameter that holds the registration of `instance_id`.
#[must_use]
pub fn registration_parameter(prefix: &str, instance_id: &str) -> String {
    format!("{prefix}/{instance_id}")
}

/// The S3 key of the registration of `instance_id`, where they are kept there.
#[must_use]
pub fn registration_object(prefix: &str, instance_id: &str) -> String {
    format!("{prefix}{instance_id}")
}

/// The name a runner has at GitHub, which allows 64 characters: `<fleet>-<instance id>`. The instance id makes it
/// unique; the fleet is for people.
#[must_use]
pub fn runner_name(fleet: &str, instance_id: &str) -> String {
    format!("{fleet}-{instance_id}")
}

/// The instance id in a runner's name, where it is one of ours.
#[must_use]
pub fn instance_of_runner(runner_name: &str) -> Option<&str> {
    let at = runner_name.rfind("-i-")?;
    let id = &runner_name[at + 1..];
    is_instance_id(id).then_some(id)
}

/// Whether `text` is an EC2 instance id: `i-` and 8 or 17 hexadecimal digits.
#[must_use]
pub fn is_instance_id(text: &str) -> bool {
    text.strip_prefix("i-").is_some_and(|hex| matches!(hex.len(), 8 | 17) && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}
