//! What was asked for once and need not be asked for again.

use super::LedgerError;

/// Small facts by key: which installation an owner has, whether a run is a fork's. They are kept in the ledger's table,
/// so that a process that has just started knows them.
///
/// DynamoDB deletes what has expired when it gets to it, within days; until then it may still be recalled. So a note must
/// be one that does no harm when it is old.
pub trait Notes {
    /// What is noted under `key`.
    fn recall(&self, key: &str) -> impl Future<Output = Result<Option<u64>, LedgerError>>;
    /// Notes `value` under `key`, until `expires` (seconds since 1970). What was noted there before is gone.
    fn remember(&self, key: &str, value: u64, expires: u64) -> impl Future<Output = Result<(), LedgerError>>;
    /// Notes under `key` that somebody is at it, from `now` until `expires` (seconds since 1970). Of several that try, one
    /// is answered `true`; so is who tries after that time.
    fn claim(&self, key: &str, now: u64, expires: u64) -> impl Future<Output = Result<bool, LedgerError>>;
}
