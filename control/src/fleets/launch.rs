//! What a fleet's instances are launched from.

/// What a fleet's instances are launched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Launch template.
    pub template_id: String,
    /// Its version.
    pub template_version: String,
    /// Subnets to choose from.
    pub subnets: Vec<String>,
    /// Instance types to choose from.
    pub instances: Instances,
    /// Another image than the template's.
    pub image: Option<Image>,
    /// On-demand or spot.
    pub market: Market,
    /// Of a spot fleet's instances, so many are on-demand before any is spot.
    pub on_demand_base: u64,
    /// Whether on-demand is launched where there is no spot.
    pub on_demand_fallback: bool,
    /// How EC2 picks among spot pools.
    pub spot_allocation: SpotAllocation,
    /// The most that a spot instance may cost in US dollars an hour, as a decimal number; AWS's advice is to set none.
    pub max_price: Option<String>,
    /// Tags of the instances and volumes, beside Dayfly's own.
    pub tags: Vec<(String, String)>,
}

/// Which instance types are launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instances {
    /// These. The order is a priority where the allocation strategy goes by that.
    Types(Vec<String>),
    /// All that fit.
    Requirements(Requirements),
}

/// Attributes that an instance type must have, as EC2's `InstanceRequirements`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirements {
    /// How many vCPUs.
    pub vcpus: Range,
    /// How much memory, in MiB.
    pub memory_mib: Range,
    /// Types or families (`m5.8xlarge`, `c5*`) to choose from; empty: all.
    pub allowed_types: Vec<String>,
    /// Types or families to leave out; not beside [`Requirements::allowed_types`].
    pub excluded_types: Vec<String>,
}

/// A range of numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// At least.
    pub min: u64,
    /// At most.
    pub max: Option<u64>,
}

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// By its id.
    Id(String),
    /// The id that an SSM parameter holds at the time of the launch.
    Parameter(String),
    /// The newest that fits.
    Newest {
        /// Account ids, `self` or `amazon`.
        owners: Vec<String>,
        /// Its name, with `*` and `?`.
        name: String,
    },
}

/// How instances are bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Market {
    /// At the list price, until they end.
    OnDemand,
    /// Cheaper, and may be taken back at two minutes' notice.
    Spot,
}

impl Market {
    /// The words for it.
    pub const WORDS: [(&'static str, Self); 2] =
        [(Self::OnDemand.name(), Self::OnDemand), (Self::Spot.name(), Self::Spot)];

    /// As EC2's `DefaultTargetCapacityType` and the document have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
        }
    }
}

/// How EC2 picks among spot pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpotAllocation {
    /// AWS's own advice: pools that are least likely to be interrupted, then cheap.
    #[default]
    PriceCapacityOptimized,
    /// Least likely to be interrupted.
    CapacityOptimized,
    /// The same, but for the order of the instance types.
    CapacityOptimizedPrioritized,
    /// Cheapest, and most often interrupted.
    LowestPrice,
    /// Spread over all pools.
    Diversified,
}

impl SpotAllocation {
    /// The words for it, which are EC2's.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("price-capacity-optimized", Self::PriceCapacityOptimized),
        ("capacity-optimized", Self::CapacityOptimized),
        ("capacity-optimized-prioritized", Self::CapacityOptimizedPrioritized),
        ("lowest-price", Self::LowestPrice),
        ("diversified", Self::Diversified),
    ];
}

/// How a registration gets to its instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handover {
    /// By SSM Parameter Store, which takes 3 writes a second by default.
    #[default]
    Ssm,
    /// By S3, for large bursts.
    S3,
}

impl Handover {
    /// The words for it.
    pub const WORDS: [(&'static str, Self); 2] = [("ssm", Self::Ssm), ("s3", Self::S3)];
}
