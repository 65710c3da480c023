//! What EC2's errors mean: the one table of them.

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Try the same again soon; the request may have been carried out.
    Transient,
    /// There is nothing to be had here now; ask later, or for something else.
    Capacity,
    /// Asking again will not help; a person has to change something.
    Permanent,
}

const TRANSIENT: [&str; 8] = [
    "RequestLimitExceeded",
    "EC2ThrottledException",
    "Throttling",
    "ThrottlingException",
    "InternalError",
    "ServiceUnavailable",
    "RequestTimeout",
    "RequestTimeoutException",
];

const CAPACITY: [&str; 16] = [
    "InsufficientInstanceCapacity",
    "InsufficientCapacityOnHost",
    "UnfulfillableCapacity",
    "MaxSpotInstanceCountExceeded",
    "TargetCapacityLimitExceededException",
    "ResourceLimitExceeded",
    "MaxSpotFleetRequestCountExceeded",
    "SpotMaxPriceTooLow",
    "VcpuLimitExceeded",
    "InstanceLimitExceeded",
    "MaxFleetCountExceeded",
    // Of one subnet; another may have some.
    "InsufficientFreeAddressesInSubnet",
    // There is no spot to be had until somebody makes the role; on-demand there is.
    "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
    // Of one instance, which is to be stopped or started: it has ended, or is about to. There are others.
    "IncorrectInstanceState",
    "InvalidInstanceID.NotFound",
    // This type does not exist in this zone; another pair of subnet and type may do.
    "Unsupported",
];

/// The code of a retry with a client token whose first request was another one.
pub const TOKEN_MISMATCH: &str = "IdempotentParameterMismatch";

/// Classifies an error by its code and, where there was an answer, its HTTP status. No answer at all (a connection
/// error, a time-out) has neither and is transient. A code nobody has heard of is permanent: it is reported, not
/// retried for ever.
#[must_use]
pub fn classify(code: Option<&str>, status: Option<u16>) -> Class {
    if code.is_some_and(|code| TRANSIENT.contains(&code)) {
        return Class::Transient;
    }
    if code.is_some_and(|code| CAPACITY.contains(&code)) {
        return Class::Capacity;
    }
    match (code, status) {
        (None, None) | (_, Some(429 | 500..)) => Class::Transient,
        _ => Class::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::{CAPACITY, Class, TOKEN_MISMATCH, TRANSIENT, classify};

    #[test]
    fn by_code() {
        for code in TRANSIENT {
            assert_eq!(classify(Some(code), Some(400)), Class::Transient, "{code}");
        }
        for code in CAPACITY {
            // EC2 answers 500 for some of these, and still they are about capacity.
            assert_eq!(classify(Some(code), Some(500)), Class::Capacity, "{code}");
        }
        let without = [
            ("InsufficientFreeAddressesInSubnet", 400),
            ("InstanceLimitExceeded", 400),
            ("MaxFleetCountExceeded", 400),
            // So that on-demand is asked for where a fleet allows that.
            ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", 403),
        ];
        for (code, status) in without {
            assert_eq!(classify(Some(code), Some(status)), Class::Capacity, "{code}");
        }
        let permanent = [
            "InvalidParameterValue",
            "InvalidAMIID.NotFound",
            "UnauthorizedOperation",
            "InvalidLaunchTemplateId.NotFound",
            "NeverHeardOf",
            TOKEN_MISMATCH,
        ];
        for code in permanent {
            assert_eq!(classify(Some(code), Some(400)), Class::Permanent, "{code}");
        }
    }

    #[test]
    fn without_a_known_code_by_status() {
        assert_eq!(classify(None, None), Class::Transient, "connection error");
        assert_eq!(classify(None, Some(503)), Class::Transient);
        assert_eq!(classify(Some("Strange"), Some(502)), Class::Transient);
        assert_eq!(classify(Some("Strange"), Some(429)), Class::Transient);
        assert_eq!(classify(None, Some(403)), Class::Permanent);
    }
}
