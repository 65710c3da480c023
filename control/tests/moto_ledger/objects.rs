//! What the keepers do with a bucket, as moto has it.

use dayfly_control::objects::{If, Objects, Upload, Written, s3::S3Objects};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::server;

async fn bucket(moto: &server::Moto) -> (S3Objects, String) {
    let name = format!("dayfly-test-objects-{}", std::process::id());
    moto.bucket(&name).await;
    (S3Objects::new(moto.s3(), &name), name)
}

#[tokio::test]
async fn a_write_is_made_from_the_state_that_was_read_or_not_at_all() {
    let moto = server::start();
    let (objects, _) = bucket(&moto).await;
    assert_eq!(objects.read("a/latest.json").await.unwrap(), None);
    let still = If::Still("\"0123456789abcdef0123456789abcdef\"".into());
    assert_eq!(objects.write("a/latest.json", "0", still).await.unwrap(), Written::Conflict, "nothing is there");
    assert_eq!(objects.write("a/latest.json", "1", If::Absent).await.unwrap(), Written::Yes);
    assert_eq!(objects.write("a/latest.json", "2", If::Absent).await.unwrap(), Written::Conflict);
    let first = objects.read("a/latest.json").await.unwrap().unwrap();
    assert_eq!(first.text, "1");
    assert_eq!(objects.write("a/latest.json", "3", If::Still(first.etag.clone())).await.unwrap(), Written::Yes);
    assert_eq!(objects.write("a/latest.json", "4", If::Still(first.etag)).await.unwrap(), Written::Conflict);
    assert_eq!(objects.read("a/latest.json").await.unwrap().unwrap().text, "3");
    assert_eq!(objects.write("a/latest.json", "5", If::Always).await.unwrap(), Written::Yes);
    for _ in 0..2 {
        objects.delete("a/latest.json").await.unwrap();
    }
    assert_eq!(objects.read("a/latest.json").await.unwrap(), None);
}

#[tokio::test]
async fn an_upload_is_there_once_it_is_complete_and_never_if_it_is_aborted() {
    let moto = server::start();
    let (objects, name) = bucket(&moto).await;
    let mut upload = objects.upload("a/whole").await.unwrap();
    upload.part(vec![1; 5 << 20]).await.unwrap();
    upload.part(vec![2; 10]).await.unwrap();
    assert_eq!(objects.list("a/").await.unwrap(), []);
    upload.complete().await.unwrap();
    let listed = objects.list("a/").await.unwrap();
    assert_eq!(listed.iter().map(|it| (it.key.as_str(), it.size)).collect::<Vec<_>>(), [("a/whole", (5 << 20) + 10)]);
    assert!(listed[0].modified_at > 1_700_000_000_000, "milliseconds since 1970: {listed:?}");
    let whole = moto.s3().get_object().bucket(&name).key("a/whole").send().await.unwrap().body.collect().await.unwrap();
    let whole = whole.into_bytes();
    assert!(whole[..5 << 20].iter().all(|it| *it == 1) && whole[5 << 20..] == [2; 10]);
    let mut upload = objects.upload("a/aborted").await.unwrap();
    upload.part(vec![1; 5 << 20]).await.unwrap();
    upload.abort().await.unwrap();
    assert_eq!(objects.list("a/").await.unwrap().len(), 1);
    let open = moto.s3().list_multipart_uploads().bucket(&name).send().await.unwrap();
    assert_eq!(open.uploads(), []);
}

#[tokio::test]
async fn all_pages_of_a_list_are_read_and_no_other_keys() {
    let moto = server::start();
    let (objects, _) = bucket(&moto).await;
    // A thousand connections at once are more than moto takes on a busy machine.
    let write = async |it| objects.write(&format!("many/{it:04}"), "x", If::Always).await;
    stream::iter(0..1005).map(write).buffer_unordered(32).try_collect::<Vec<_>>().await.unwrap();
    let _yes = objects.write("other", "x", If::Always).await.unwrap();
    assert_eq!(objects.list("many/").await.unwrap().len(), 1005);
    assert_eq!(objects.list("none/").await.unwrap(), []);
    let nowhere = S3Objects::new(moto.s3(), "dayfly-test-nowhere");
    let errors = [
        nowhere.list("a").await.map(drop),
        nowhere.read("a").await.map(drop),
        nowhere.write("a", "x", If::Absent).await.map(drop),
        nowhere.upload("a").await.map(drop),
    ];
    for error in errors {
        let text = dayfly_control::report::Chain(&error.unwrap_err()).to_string();
        assert!(text.contains("s3://dayfly-test-nowhere/a") && text.contains("NoSuchBucket"), "{text}");
    }
}
