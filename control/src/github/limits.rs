//! GitHub's rate limits, as its answers tell of them.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

/// What to wait where GitHub limits without saying how long: its advice is a minute at least.
const UNNAMED_WAIT: Duration = Duration::from_mins(1);

/// How long an answer asks to wait: none unless it is a limit.
///
/// A secondary limit names `retry-after`, a primary one comes with `x-ratelimit-remaining: 0` and the time at which it
/// is reset. A 403 with neither is a missing permission; a 429 is always a limit.
#[must_use]
pub fn wait(status: StatusCode, headers: &HeaderMap, message: &str, now_seconds: u64) -> Option<Duration> {
    if !matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) {
        return None;
    }
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    if let Some(seconds) = number("retry-after") {
        return Some(Duration::from_secs(seconds.max(1)));
    }
    if number("x-ratelimit-remaining") == Some(0) {
        let reset = number("x-ratelimit-reset").map(|at| at.saturating_sub(now_seconds) + 1);
        return Some(reset.map_or(UNNAMED_WAIT, Duration::from_secs));
    }
    let limited = status == StatusCode::TOO_MANY_REQUESTS || message.to_lowercase().contains("rate limit");
    limited.then_some(UNNAMED_WAIT)
}

#[cfg(test)]
mod tests {
    use super::{Duration, HeaderMap, StatusCode, UNNAMED_WAIT, wait};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn limits_are_told_from_refusals() {
        let seconds = |n| Some(Duration::from_secs(n));
        let cases = [
            (403, headers(&[("retry-after", "17")]), "", seconds(17)),
            (429, headers(&[("retry-after", "0")]), "", seconds(1)),
            (403, headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1030")]), "", seconds(31)),
            (403, headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "900")]), "", seconds(1)),
            (429, headers(&[]), "", Some(UNNAMED_WAIT)),
            (403, headers(&[]), "You have exceeded a secondary rate limit", Some(UNNAMED_WAIT)),
            (403, headers(&[("x-ratelimit-remaining", "4999")]), "Resource not accessible by integration", None),
            (404, headers(&[("retry-after", "17")]), "", None),
            (503, headers(&[("retry-after", "17")]), "", None),
        ];
        for (status, headers, message, expected) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(wait(status, &headers, message, 1000), expected, "{status} {headers:?} {message}");
        }
    }
}
