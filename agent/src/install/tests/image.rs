//! An image that has a runner, or not.

use super::*;

fn image(folder: &TempDir) {
    let listener = folder.path().join("bin/Runner.Listener");
    fs::create_dir(folder.path().join("bin")).unwrap();
    fs::write(&listener, "old").unwrap();
    fs::set_permissions(&listener, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn the_images_runner_is_used_where_it_will_do() {
    let folder = tempfile::tempdir().unwrap();
    image(&folder);
    let mut wanted = wanted(folder.path());
    let as_is = ready(&wanted, None, unasked()).await.unwrap();
    assert_eq!(as_is, Ready { version: None, installed: None });
    wanted.minimum_version = Some("2.300.0".to_owned());
    let told = ready(&wanted, None, async { Some("2.300.1".to_owned()) }).await.unwrap();
    assert_eq!(told.version.as_deref(), Some("2.300.1"));
    fs::write(folder.path().join(MARKER), marker("2.301.0")).unwrap();
    let marked = ready(&wanted, None, unasked()).await.unwrap();
    assert_eq!(marked.version.as_deref(), Some("2.301.0"));
}

#[tokio::test]
async fn the_images_runner_is_replaced_where_it_is_too_old_or_unknown() {
    for version in [None, Some("2.299.9".to_owned())] {
        let folder = tempfile::tempdir().unwrap();
        image(&folder);
        fs::write(folder.path().join(".env"), "LANG=C").unwrap();
        let mut wanted = wanted(folder.path());
        wanted.minimum_version = Some("2.300.0".to_owned());
        let objects: Arc<dyn Objects> = Arc::new(bucket(whole));
        let ready = ready_under(conditions(), &wanted, Some(objects), now(version)).await.unwrap();
        assert!(ready.installed.is_some());
        assert_eq!(fs::read(folder.path().join("bin/Runner.Listener")).unwrap(), b"program");
        assert_eq!(fs::read(folder.path().join(".env")).unwrap(), b"LANG=C");
    }
}

#[tokio::test]
async fn without_a_source_it_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let mut wanted = wanted(folder.path());
    wanted.source = None;
    let directory = folder.path().display().to_string();
    let told = async |wanted: &Wanted, version: Option<&str>| {
        let error = ready(wanted, None, now(version.map(str::to_owned))).await.unwrap_err();
        chain(&error).replace(&directory, "DIR")
    };
    let end = "and there is no runner.source to install one from";
    assert_eq!(told(&wanted, None).await, format!("runner.directory DIR: found no program bin/Runner.Listener, {end}"));
    image(&folder);
    wanted.minimum_version = Some("2.300.0".to_owned());
    assert_eq!(
        told(&wanted, Some("2.1.0")).await,
        format!(
            "runner.directory DIR: found a runner of version 2.1.0, runner.minimum_version asks for 2.300.0 or newer, {end}"
        )
    );
    assert!(told(&wanted, None).await.contains("a runner that can't tell its version"));
}
