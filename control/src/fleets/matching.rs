//! How a job's labels lead to a fleet, and what they may ask of its instance.

use super::{Market, Pattern};

/// How a fleet's labels and a job's are compared, without regard to case. A job without labels fits nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Matching {
    /// They are the same.
    Exact,
    /// Every label of the job's is one of the fleet's: as GitHub gives jobs to runners.
    #[default]
    All,
    /// At least one of the job's is one of the fleet's.
    Any,
}

impl Matching {
    /// The words for it.
    pub const WORDS: [(&'static str, Self); 3] = [("exact", Self::Exact), ("all", Self::All), ("any", Self::Any)];
}

/// Which of several fleets takes a job that all of them fit as closely, with the same priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ties {
    /// The first by name: the same one always.
    #[default]
    Name,
    /// Any one of them: each job's id picks one, the same always for that job.
    Spread,
}

impl Ties {
    /// The words for it.
    pub const WORDS: [(&'static str, Self); 2] = [("name", Self::Name), ("spread", Self::Spread)];
}

/// What a job's labels of the form `dayfly-<what>=<value>` may ask of its instance. What is not allowed here fits no
/// fleet, so that the job waits visibly and not on another machine than it asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steering {
    /// `dayfly-type=`: instance types or families (`c7i.large`, `c7i`); none where empty.
    pub instance_types: Vec<Pattern>,
    /// `dayfly-cpu=`: at most so many vCPUs; 0 for none to be asked for.
    pub max_vcpus: u64,
    /// `dayfly-memory=`: at most so many GiB; 0 for none to be asked for.
    pub max_memory_gib: u64,
    /// `dayfly-disk=`: at most so many GiB of root volume; 0 for none to be asked for.
    pub max_disk_gib: u64,
    /// `dayfly-market=`: `spot`, `on-demand`.
    pub markets: Vec<Market>,
    /// `dayfly-image=`: image ids.
    pub images: Vec<Pattern>,
    /// `dayfly-pin=`: any text of the job's own, such as its run id, so that its runner fits no other job.
    pub pin: bool,
}
