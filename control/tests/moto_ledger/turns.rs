//! Turns at services, taken out of buckets that many share.

use std::time::Duration;

use dayfly_control::{
    decide::bucket::{Bucket, Fulls, Limits, Rate, Taken, Takes},
    ledger::Ledger,
};
use futures::future::join_all;

use super::{NOW, server};

fn rate(bucket: Bucket) -> Rate {
    Limits::default().rate(bucket).unwrap()
}

#[tokio::test]
async fn a_bucket_gives_each_token_once() {
    let moto = server::start();
    let ledger = &moto.ledger("buckets").await;
    let rate = rate(Bucket::Ec2);
    let longest = Duration::from_secs(2);
    let takes = |now: u64| async move {
        let takes = Takes { now: now * 1000, of: vec![rate.take(Bucket::Ec2, 1, now, longest)] };
        match ledger.take(&takes).await.unwrap() {
            Taken::Yes(full) => Some((rate.due(full[&Bucket::Ec2], 0) / 1000).saturating_sub(now)),
            Taken::No(_) => None,
        }
    };
    // 5 at once, and 2 a second for 2 s more; 20 ask at the same time.
    let mut given = join_all((0..20).map(|_| takes(NOW))).await;
    given.sort_unstable();
    let expected = [0, 0, 0, 0, 0, 500, 1000, 1500, 2000].map(Some);
    assert_eq!((&given[..11], &given[11..]), (&[None; 11][..], &expected[..]));
    assert_eq!(takes(NOW + 500).await, Some(2000));
    assert_eq!(takes(NOW + 60_000).await, Some(0), "full again");
}

#[tokio::test]
async fn several_buckets_are_taken_from_at_once_or_not_at_all() {
    let moto = server::start();
    let ledger = &moto.ledger("several").await;
    let longest = Duration::from_secs(1);
    let (ec2, ssm, github) = (rate(Bucket::Ec2), rate(Bucket::Ssm), rate(Bucket::GitHub));
    let take = async |now: u64, launches, n, room| {
        let mut of = vec![ec2.take(Bucket::Ec2, launches, now, longest), ssm.take(Bucket::Ssm, n, now, longest)];
        if room > 0 {
            of.push(github.room(Bucket::GitHub, room, now, longest));
        }
        ledger.take(&Takes { now: now * 1000, of }).await.unwrap()
    };
    let start = NOW * 1000;
    // None is there yet; then one is full by then and the other is not.
    let Taken::Yes(full) = take(NOW, 1, 4, 170).await else { panic!("there is room") };
    assert_eq!(full, Fulls::from([(Bucket::Ec2, start + 500_000), (Bucket::Ssm, start + 1_333_334)]));
    let Taken::Yes(full) = take(NOW + 600, 2, 1, 0).await else { panic!("there is room") };
    assert_eq!(full, Fulls::from([(Bucket::Ec2, start + 1_600_000), (Bucket::Ssm, start + 1_666_668)]));
    assert_eq!(take(NOW + 600, 1, 4, 0).await, Taken::No(full.clone()), "SSM has no room, and EC2 keeps its turn");
    assert_eq!(take(NOW + 600, 1, 1, 1000).await, Taken::No(Fulls::default()), "more than ever fits");
}
