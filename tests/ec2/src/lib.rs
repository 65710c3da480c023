//! EC2 on the laptop: every instance that moto is asked for is booted, and has a metadata service.
//!
//! Start at [`Ec2Host::start`]. It polls moto's control channel, compares what it sees with its machines (`host`), boots
//! and ends them (`machine`), and serves their metadata (`imds`). As root a machine is a Debian with systemd from a
//! cached image (`image`), all machines live in a private world (`world`) that the program enters first, and they are
//! told apart by address. Without root a machine is the agent as a plain process, told apart by port.

mod cgroup;
mod facts;
mod host;
pub mod image;
mod imds;
mod machine;
mod tools;
mod tree;
pub mod world;

pub use facts::{Facts, MetadataOptions, PublicKey, State};
pub use host::{Config, Ec2Host, Event, Happened, Mode};
pub use imds::{ADDRESS as METADATA_ADDRESS, Imds, Maintenance, Request};
pub use machine::{Disk, Image, Machine, Phase, ProcessMode, Record, SystemdMode};
pub use tools::{missing as missing_tools, require as require_tools};
