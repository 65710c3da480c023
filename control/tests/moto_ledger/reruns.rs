//! What is noted of runs with interrupted jobs.

use dayfly_control::{
    decide::rerun::{Fate, Interrupted, Note, Place},
    ledger::{Committed, Reruns},
};
use futures::future::join_all;

use super::{NOW, server};

fn note(before: Option<Note>, runner: &str) -> Note {
    let place = Place { run: 5, repository: "octo-org/octo-repo".into(), installation: Some(77) };
    let job = Interrupted {
        fleet: "linux-x64".into(),
        runner: runner.into(),
        name: "build (1.95, x86_64)".into(),
        id: Some(7),
        reason: "spot_interruption".into(),
        at: NOW,
        fate: Fate::Waiting,
    };
    Note::with(before, place, Interrupted { id: None, ..job }).unwrap()
}

#[tokio::test]
async fn a_note_is_changed_by_one_of_those_who_read_it() {
    let moto = server::start();
    let ledger = &moto.ledger("reruns").await;
    assert_eq!(ledger.rerun(5).await.unwrap(), None);
    let first = note(None, "linux-x64-i-1");
    let won = join_all((0..8).map(|_| ledger.put_rerun(&first, NOW))).await;
    assert_eq!(won.into_iter().filter(|it| matches!(it, Ok(Committed::Yes))).count(), 1);
    let read = ledger.rerun(5).await.unwrap().unwrap();
    assert_eq!(read, Note { version: 1, ..first });
    let mut second = note(Some(read.clone()), "linux-x64-i-2");
    assert!(second.claim(1, &[0], vec!["build".into()], NOW, NOW + 1));
    assert_eq!(ledger.put_rerun(&second, NOW).await.unwrap(), Committed::Yes);
    assert_eq!(ledger.put_rerun(&read, NOW).await.unwrap(), Committed::Conflict, "it was read before");
    assert_eq!(ledger.rerun(5).await.unwrap().unwrap(), Note { version: 2, ..second });
}
