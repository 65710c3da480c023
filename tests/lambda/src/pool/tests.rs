use std::path::PathBuf;

use super::*;
use crate::model::{Environment, Function};

#[derive(Debug, Clone)]
struct Fake {
    name: u32,
    from: Arc<Deployed>,
    gone: bool,
}

impl Pooled for Fake {
    fn deployed(&self) -> &Arc<Deployed> {
        &self.from
    }

    fn is_gone(&self) -> bool {
        self.gone
    }
}

fn deployed(reserved: Option<usize>) -> Arc<Deployed> {
    let function = Function {
        name: "f".to_owned(),
        arn: "arn:aws:lambda:eu-west-1:123456789012:function:f".to_owned(),
        handler: "h".to_owned(),
        timeout: Duration::from_secs(3),
        memory_mb: 128,
        code_sha256: String::new(),
        environment: Environment::default(),
        log_group: String::new(),
        log_format: None,
        log_level: None,
        reserved,
    };
    Arc::new(Deployed { function, folder: PathBuf::new() })
}

fn deployed_with(code: &str) -> Arc<Deployed> {
    let old = deployed(None);
    Arc::new(Deployed {
        function: Function { code_sha256: code.to_owned(), ..old.function.clone() },
        folder: PathBuf::new(),
    })
}

fn pool(reserved: Option<usize>) -> Pool<Fake> {
    Pool::new(deployed(reserved))
}

fn fake(pool: &Pool<Fake>, name: u32) -> Fake {
    Fake { name, from: Arc::clone(&pool.deployed), gone: false }
}

fn is_cold(admission: &Admission<Fake>) -> bool {
    matches!(admission, Admission::Cold(_))
}

#[test]
fn a_reservation_is_a_ceiling_and_a_floor() {
    let mut pool = pool(Some(2));
    // Others having used up the account does not matter to it.
    assert!(is_cold(&pool.admit(0, false)));
    assert!(is_cold(&pool.admit(0, false)));
    assert!(matches!(pool.admit(99, false), Admission::Throttled));
    pool.done(None, Instant::now());
    assert!(is_cold(&pool.admit(0, false)));
    assert_eq!(pool.running(), 2);
}

#[test]
fn a_reservation_of_nothing_switches_off() {
    assert!(matches!(pool(Some(0)).admit(99, false), Admission::Throttled));
}

#[test]
fn without_a_reservation_the_account_is_the_ceiling() {
    let mut pool = pool(None);
    assert!(matches!(pool.admit(0, false), Admission::Throttled));
    assert!(is_cold(&pool.admit(1, false)));
}

#[test]
fn the_last_used_is_used_again_and_the_dead_are_passed_over() {
    let mut pool = pool(None);
    let now = Instant::now();
    for name in 1..=3 {
        assert!(is_cold(&pool.admit(9, false)));
        let mut sandbox = fake(&pool, name);
        sandbox.gone = name == 3;
        // Given back after all were let in, so none is warm yet.
        if name < 3 {
            continue;
        }
        assert!(pool.done(Some(fake(&pool, 1)), now).is_none());
        assert!(pool.done(Some(fake(&pool, 2)), now).is_none());
        assert!(pool.done(Some(sandbox), now).is_none());
    }
    let Admission::Warm(sandbox) = pool.admit(9, false) else { panic!("2 waits") };
    assert_eq!(sandbox.name, 2);
    assert!(is_cold(&pool.admit(9, true)), "a fresh one was asked for");
    let Admission::Warm(sandbox) = pool.admit(9, false) else { panic!("1 waits") };
    assert_eq!(sandbox.name, 1);
    assert!(is_cold(&pool.admit(9, false)));
}

#[test]
fn a_new_version_ends_the_idle_now_and_the_busy_when_done() {
    let mut pool = pool(None);
    let busy = fake(&pool, 1);
    let idle = fake(&pool, 2);
    assert!(is_cold(&pool.admit(9, false)) && is_cold(&pool.admit(9, false)));
    assert!(pool.done(Some(idle), Instant::now()).is_none());
    let ended: Vec<u32> = pool.deploy(deployed_with("new")).iter().map(|sandbox| sandbox.name).collect();
    assert_eq!(ended, [2]);
    let old = pool.done(Some(busy), Instant::now());
    assert_eq!(old.map(|sandbox| sandbox.name), Some(1));
    assert_eq!(pool.running(), 0);
}

#[test]
fn a_new_reservation_alone_ends_nothing() {
    let mut pool = pool(None);
    assert!(is_cold(&pool.admit(9, false)));
    assert!(pool.done(Some(fake(&pool, 1)), Instant::now()).is_none());
    assert!(pool.deploy(deployed(Some(1))).is_empty());
    assert!(matches!(pool.admit(0, false), Admission::Warm(_)));
    assert!(matches!(pool.admit(9, false), Admission::Throttled));
}

#[test]
fn the_idle_expire() {
    let mut pool = pool(None);
    let start = Instant::now();
    let second = Duration::from_secs(1);
    assert!(is_cold(&pool.admit(9, false)) && is_cold(&pool.admit(9, false)));
    pool.done(Some(fake(&pool, 1)), start);
    pool.done(Some(fake(&pool, 2)), start + second);
    assert!(pool.expire(start + second, 2 * second).is_empty());
    let ended: Vec<u32> = pool.expire(start + 2 * second, 2 * second).iter().map(|sandbox| sandbox.name).collect();
    assert_eq!(ended, [1]);
    assert_eq!(pool.expire(start + 3 * second, 2 * second).len(), 1);
}

#[test]
fn a_deleted_function_lets_its_last_invocation_end() {
    let mut pool = pool(None);
    assert!(is_cold(&pool.admit(9, false)));
    let busy = fake(&pool, 1);
    assert!(pool.delete().is_empty() && pool.is_deleted());
    assert_eq!(pool.running(), 1);
    assert_eq!(pool.done(Some(busy), Instant::now()).map(|sandbox| sandbox.name), Some(1));
    pool.deploy(deployed(None));
    assert!(!pool.is_deleted());
}
