//! What becomes of jobs whose instances are taken away.

/// What becomes of a fleet's jobs whose instances are taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted {
    /// How often one is run again; 0 for not at all.
    pub rerun: u64,
    /// Whether an on-demand instance is launched for it, then, where the fleet's are spot.
    pub on_demand: bool,
}

impl Default for Interrupted {
    fn default() -> Self {
        Self { rerun: 1, on_demand: true }
    }
}
