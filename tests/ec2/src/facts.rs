//! What the control channel of moto tells about an instance.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

/// One instance as moto knows it: an element of `GET /_laptop/instances`.
#[derive(Clone, Debug, Deserialize)]
pub struct Facts {
    /// `i-` and 17 hexadecimal digits.
    pub id: String,
    /// Where it stands in EC2's life cycle.
    pub state: State,
    /// The AMI it was launched from.
    #[serde(default)]
    pub image_id: String,
    /// For example `c7i.large`.
    #[serde(default)]
    pub instance_type: String,
    /// Its address in the VPC; EC2 takes it away when the instance is terminated.
    #[serde(default)]
    pub private_ip: Option<Ipv4Addr>,
    /// The subnet it is in.
    #[serde(default)]
    pub subnet_id: Option<String>,
    /// For example `eu-west-1a`.
    #[serde(default)]
    pub availability_zone: String,
    /// For example `eu-west-1`.
    #[serde(default)]
    pub region: String,
    /// Base64 of the raw bytes.
    #[serde(default)]
    pub user_data: Option<String>,
    /// Tags by key.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// `spot` or `on-demand`.
    #[serde(default = "on_demand")]
    pub lifecycle: String,
    /// Name of the instance profile, which on the laptop names the role too.
    #[serde(default)]
    pub instance_profile: Option<String>,
    /// How the metadata service shall behave for it.
    #[serde(default)]
    pub metadata_options: MetadataOptions,
    /// The key that whoever launched it logs in with.
    #[serde(default)]
    pub public_key: Option<PublicKey>,
    /// Ids of the images that were made of it.
    #[serde(default)]
    pub images: Vec<String>,
}

/// The public half of a key pair.
#[derive(Clone, Debug, Deserialize)]
pub struct PublicKey {
    /// The pair's name.
    pub name: String,
    /// As a line of OpenSSH's `authorized_keys`, with or without a comment.
    pub openssh: String,
}

/// The part of EC2's metadata options that the metadata service obeys.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct MetadataOptions {
    /// `required` (`IMDSv2` only) or `optional`.
    pub http_tokens: String,
    /// How many network hops the answer to a token request survives.
    pub http_put_response_hop_limit: u32,
    /// `enabled` shows the tags under `meta-data/tags/instance`.
    pub instance_metadata_tags: String,
}

impl Default for MetadataOptions {
    fn default() -> Self {
        Self {
            http_tokens: "required".to_owned(),
            http_put_response_hop_limit: 1,
            instance_metadata_tags: "disabled".to_owned(),
        }
    }
}

/// EC2's instance states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Launched, not up yet.
    Pending,
    /// Up.
    Running,
    /// Told to terminate.
    ShuttingDown,
    /// Told to stop.
    Stopping,
    /// Off, with its disk.
    Stopped,
    /// Gone.
    Terminated,
}

impl State {
    /// Every state, for walks over all pairs.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::ShuttingDown, Self::Stopping, Self::Stopped, Self::Terminated];
}

impl PublicKey {
    /// The line as EC2 gives it out: the pair's name is its comment.
    #[must_use]
    pub fn line(&self) -> String {
        let words: Vec<&str> = self.openssh.split_whitespace().take(2).collect();
        format!("{} {}", words.join(" "), self.name)
    }
}

impl Facts {
    /// The raw user-data. Bytes that are not base64 are taken as they are, as moto keeps what it was given.
    #[must_use]
    pub fn user_data_bytes(&self) -> Option<Vec<u8>> {
        let text = self.user_data.as_deref()?;
        Some(BASE64_STANDARD.decode(text).unwrap_or_else(|_| text.as_bytes().to_vec()))
    }

    /// The access key that the metadata service hands out: by it moto's wrapper knows which instance is calling.
    #[must_use]
    pub fn access_key_id(&self) -> String {
        format!("ASIA{}", self.id.trim_start_matches("i-").to_uppercase())
    }

    /// The hardware address, made from the private address as both are unique in the VPC.
    #[must_use]
    pub fn mac(&self) -> String {
        let [a, b, c, d] = self.private_ip.unwrap_or(Ipv4Addr::UNSPECIFIED).octets();
        format!("02:ec:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
    }

    /// The host name EC2 gives by default.
    #[must_use]
    pub fn hostname(&self) -> String {
        let address = self.private_ip.unwrap_or(Ipv4Addr::UNSPECIFIED).to_string();
        format!("ip-{}", address.replace('.', "-"))
    }
}

fn on_demand() -> String {
    "on-demand".to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn facts(id: &str) -> Facts {
        serde_json::from_value(serde_json::json!({
            "id": id, "state": "pending", "image_id": "ami-1", "instance_type": "c7i.large", "private_ip": "10.0.1.7",
            "subnet_id": "subnet-1", "availability_zone": "eu-west-1a", "region": "eu-west-1",
            "user_data": BASE64_STANDARD.encode("#cloud-config\n"), "tags": {"dayfly:fleet": "linux"},
            "lifecycle": "spot", "instance_profile": "runner", "shutdown_behavior": "terminate",
            "metadata_options": {"http_tokens": "required", "http_put_response_hop_limit": 1,
                "instance_metadata_tags": "enabled"},
            "launched_at": 1_790_000_000.5
        }))
        .expect("an instance as the control channel writes it")
    }

    #[test]
    fn an_instance_is_read_and_its_names_follow_from_it() {
        let facts = facts("i-0123456789abcdef0");
        assert_eq!(facts.user_data_bytes().expect("user-data"), b"#cloud-config\n");
        assert_eq!(facts.access_key_id(), "ASIA0123456789ABCDEF0");
        assert_eq!(facts.mac(), "02:ec:0a:00:01:07");
        assert_eq!(facts.hostname(), "ip-10-0-1-7");
    }

    #[test]
    fn a_terminated_instance_may_have_lost_nearly_everything() {
        let facts: Facts =
            serde_json::from_str(r#"{"id":"i-1","state":"terminated","private_ip":null,"user_data":null}"#)
                .expect("few fields are needed");
        assert_eq!(facts.state, State::Terminated);
        assert_eq!(facts.user_data_bytes(), None);
    }
}
