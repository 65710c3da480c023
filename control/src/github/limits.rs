//! GitHub's rate limits, as its answers tell of them.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::usage::Left;

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
    if let Some(seconds) = number(headers, "retry-after") {
        return Some(Duration::from_secs(seconds.max(1)));
    }
    if number(headers, "x-ratelimit-remaining") == Some(0) {
        let reset = number(headers, "x-ratelimit-reset").map(|at| at.saturating_sub(now_seconds) + 1);
        return Some(reset.map_or(UNNAMED_WAIT, Duration::from_secs));
    }
    let limited = status == StatusCode::TOO_MANY_REQUESTS || message.to_lowercase().contains("rate limit");
    limited.then_some(UNNAMED_WAIT)
}

/// What an answer tells of the primary limit it counted against, and that limit's name: GitHub counts registrations of
/// runners apart from the rest.
#[must_use]
pub fn left(headers: &HeaderMap) -> Option<(String, Left)> {
    let requests = number(headers, "x-ratelimit-remaining")?;
    let reset_at = number(headers, "x-ratelimit-reset")?.saturating_mul(1000);
    let resource = headers.get("x-ratelimit-resource").and_then(|name| name.to_str().ok()).unwrap_or("core");
    Some((resource.to_owned(), Left { requests, reset_at }))
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Duration, HeaderMap, Left, StatusCode, UNNAMED_WAIT, left, wait};

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
            // Both are named: the longer a secondary limit lasts, the worse it is to come back early.
            (
                403,
                headers(&[("retry-after", "60"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1030")]),
                "",
                seconds(60),
            ),
            (429, headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1001")]), "", seconds(2)),
            (403, headers(&[("x-ratelimit-remaining", "0")]), "", Some(UNNAMED_WAIT)),
            (429, headers(&[("retry-after", "Sat, 21 Nov 2026 01:00:00 GMT")]), "", Some(UNNAMED_WAIT)),
            (403, headers(&[("x-ratelimit-remaining", "12")]), "API rate limit exceeded", Some(UNNAMED_WAIT)),
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

    #[test]
    fn what_is_left_is_read_where_all_of_it_is_told() {
        let all = [("x-ratelimit-remaining", "4990"), ("x-ratelimit-reset", "1030")];
        let expected = Left { requests: 4990, reset_at: 1_030_000 };
        assert_eq!(left(&headers(&all)), Some(("core".to_owned(), expected)));
        let apart = [all[0], all[1], ("x-ratelimit-resource", "actions_runner_registration")];
        assert_eq!(left(&headers(&apart)), Some(("actions_runner_registration".to_owned(), expected)));
        assert_eq!(left(&headers(&all[..1])), None);
        assert_eq!(left(&headers(&[("x-ratelimit-remaining", "many"), all[1]])), None);
    }
}
