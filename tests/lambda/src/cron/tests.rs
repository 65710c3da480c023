use super::*;

/// The first `count` times after 2026-11-20T12:00Z (a Friday), in UTC.
fn times(text: &str, count: usize) -> Vec<String> {
    times_in(text, "2026-11-20T12:00:00Z", &TimeZone::UTC, count)
}

fn times_in(text: &str, after: &str, zone: &TimeZone, count: usize) -> Vec<String> {
    let cron = Cron::parse(text).unwrap();
    let after: Timestamp = after.parse().unwrap();
    std::iter::successors(cron.next(after, zone), |last| cron.next(*last, zone))
        .take(count)
        .map(|time| time.to_string())
        .collect()
}

#[test]
fn the_documents_examples() {
    // From "Cron expressions reference", examples.
    assert_eq!(times("0 10 * * ? *", 2), ["2026-11-21T10:00:00Z", "2026-11-22T10:00:00Z"]);
    assert_eq!(times("15 12 * * ? *", 1), ["2026-11-20T12:15:00Z"]);
    assert_eq!(times("0 18 ? * MON-FRI *", 2), ["2026-11-20T18:00:00Z", "2026-11-23T18:00:00Z"]);
    assert_eq!(times("0 8 1 * ? *", 2), ["2026-12-01T08:00:00Z", "2027-01-01T08:00:00Z"]);
    assert_eq!(times("0/15 * * * ? *", 3), ["2026-11-20T12:15:00Z", "2026-11-20T12:30:00Z", "2026-11-20T12:45:00Z"]);
    assert_eq!(times("0/5 8-17 ? * MON-FRI *", 1), ["2026-11-20T12:05:00Z"]);
    assert_eq!(times("0 9 ? * 2#1 *", 2), ["2026-12-07T09:00:00Z", "2027-01-04T09:00:00Z"]);
    assert_eq!(times("15 10 ? * 6L 2026-2027", 2), ["2026-11-27T10:15:00Z", "2026-12-25T10:15:00Z"]);
}

#[test]
fn the_days_with_letters() {
    assert_eq!(times("0 0 L * ? *", 3), ["2026-11-30T00:00:00Z", "2026-12-31T00:00:00Z", "2027-01-31T00:00:00Z"]);
    assert_eq!(times("0 0 ? * L *", 1), ["2026-11-21T00:00:00Z"]);
    // 2026-11-22 is a Sunday, 2026-12-05 a Saturday.
    assert_eq!(times("0 0 22W * ? *", 1), ["2026-11-23T00:00:00Z"]);
    assert_eq!(times("0 0 5W 12 ? *", 1), ["2026-12-04T00:00:00Z"]);
    // 2027-05-01 is a Saturday: not back into April. 2027-01-31 is a Sunday: not on into February.
    assert_eq!(times("0 0 1W 5 ? *", 1), ["2027-05-03T00:00:00Z"]);
    assert_eq!(times("0 0 31W 1 ? *", 1), ["2027-01-29T00:00:00Z"]);
    assert_eq!(times("0 0 LW 1 ? *", 1), ["2027-01-29T00:00:00Z"]);
    // June has no 31st, so 31W is not in June at all.
    assert_eq!(times("0 0 31W 6,7 ? *", 1), ["2027-07-30T00:00:00Z"]);
}

#[test]
fn lists_ranges_and_wraps() {
    assert_eq!(times("0 0 29 2 ? *", 1), ["2028-02-29T00:00:00Z"]);
    assert_eq!(times("0 0 ? * FRI-SUN *", 2), ["2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"]);
    assert_eq!(times("0 0 ? * SAT-MON *", 3), ["2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"]);
    assert_eq!(times("10,40 12 20 nov ? *", 2), ["2026-11-20T12:10:00Z", "2026-11-20T12:40:00Z"]);
    assert_eq!(times("0 0 1 1 ? 2199", 2), ["2199-01-01T00:00:00Z"]);
}

#[test]
fn what_never_comes() {
    assert_eq!(times("0 0 30 2 ? *", 1), Vec::<String>::new());
    assert_eq!(times("0 0 1 1 ? 2020", 1), Vec::<String>::new());
}

#[test]
fn the_zone_moves_with_daylight_saving() {
    // The end of daylight saving in the Netherlands in 2026 is on 25 October.
    let zone: TimeZone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    assert_eq!(
        times_in("0 14 * * ? *", "2026-10-24T00:00:00Z", &zone, 2),
        ["2026-10-24T12:00:00Z", "2026-10-25T13:00:00Z"]
    );
    // 02:30 is skipped on 29 March 2026 and repeated on 25 October.
    assert_eq!(
        times_in("30 2 * * ? *", "2026-03-28T12:00:00Z", &zone, 2),
        ["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]
    );
    assert_eq!(
        times_in("30 2 * * ? *", "2026-10-24T12:00:00Z", &zone, 2),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
}

#[test]
fn mistakes_name_field_value_and_what_is_allowed() {
    for (text, says) in [
        ("0 10 * * *", "5 fields"),
        ("60 10 * * ? *", "minutes is \"60\""),
        ("0 x * * ? *", "hours is \"x\""),
        ("0 0 * * * *", "exactly one"),
        ("0 0 ? * ? *", "exactly one"),
        ("0 0 32 * ? *", "day-of-month is \"32\""),
        ("0 0 ? * 8 *", "day-of-week is \"8\""),
        ("0 0 ? * 2#6 *", "allowed is 1 to 5"),
        ("0/0 0 * * ? *", "minutes is \"0\""),
        ("0 0 * * ? 1969", "year"),
    ] {
        let error = Cron::parse(text).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}
