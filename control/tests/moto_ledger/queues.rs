//! Queues as a real SQS API has them.

use std::time::Duration;

use aws_sdk_sqs::types::Message;
use dayfly_control::wake::{Wake, WakeUp, sqs::SqsWake};

use super::server::{self, Moto};

async fn queue(moto: &Moto, name: &str) -> String {
    let name = format!("{name}-{}", std::process::id());
    moto.sqs().create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap()
}

async fn receive(moto: &Moto, url: &str) -> Option<Message> {
    let asked = moto.sqs().receive_message().queue_url(url).message_attribute_names("All").wait_time_seconds(0);
    asked.send().await.unwrap().messages.unwrap_or_default().pop()
}

#[tokio::test]
async fn what_nobody_can_act_upon_is_kept_with_its_reason() {
    let moto = server::start();
    let (wake, dead) = (queue(&moto, "wake").await, queue(&moto, "wake-dlq").await);
    let without = SqsWake::new(moto.sqs(), &wake);
    assert!(!without.put_aside("{", "unreadable").await.unwrap(), "there is no such queue");
    let with = without.with_dead_letters(Some(dead.clone()));
    for body in ["{", ""] {
        assert!(with.put_aside(body, "unreadable: at line 1\u{7}").await.unwrap());
        let kept = receive(&moto, &dead).await.unwrap();
        assert_eq!(kept.body.as_deref(), Some(if body.is_empty() { "(empty)" } else { body }));
        let reason = kept.message_attributes.unwrap()["reason"].string_value.clone();
        assert_eq!(reason.as_deref(), Some("unreadable: at line 1 "));
    }
    with.send(&WakeUp::new("linux-x64").after(9), Duration::ZERO).await.unwrap();
    let woken = receive(&moto, &wake).await.unwrap().body;
    assert_eq!(woken.as_deref(), Some(r#"{"version":1,"fleet":"linux-x64","attempts":9}"#));
    with.wake("linux-x64", Duration::ZERO).await.unwrap();
    let woken = receive(&moto, &wake).await.unwrap().body;
    assert_eq!(woken.as_deref(), Some(r#"{"version":1,"fleet":"linux-x64"}"#));
}
