//! `dayfly drain`, `retire`, `report`, `reconcile` and `doctor`, as they are shipped, against moto; and a GitHub that says
//! what the test says.

use std::{
    collections::BTreeMap,
    process::{Command, Output},
};

use dayfly_control::{
    decide::{
        events::{self, Terms},
        jobs::JobState,
        lives,
        plan::plan,
    },
    ledger::{Committed, Ledger, Marker, Runner, Write},
};
use serde_json::{Value, json};

use super::{
    NOW, TERMS,
    deployed::{Deployment, SECRET, deploy, github},
    event, fleet, instance, reserve, server, tell,
};
use crate::server::Moto;

fn dayfly(moto: &Moto, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dayfly"));
    command.args(arguments).env_clear().env("AWS_ENDPOINT_URL", &moto.endpoint).env("AWS_REGION", "eu-west-1");
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    command.output().unwrap()
}

/// The same, while this test's own servers answer.
fn beside(moto: &Moto, arguments: &[&str]) -> Output {
    tokio::task::block_in_place(|| dayfly(moto, arguments))
}

fn answer(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refusal(output: &Output) -> String {
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn now() -> u64 {
    dayfly_control::clock::Clock::now(&dayfly_control::clock::SystemClock)
}

#[tokio::test]
async fn a_drained_fleet_is_told_everywhere_and_launches_nothing_until_it_is_undone() {
    let moto = server::start();
    let ledger = &moto.ledger("drain").await;
    let table = &format!("dayfly-test-drain-{}", std::process::id());
    let queue = format!("{}/123456789012/nobodys", moto.endpoint);
    let unknown = refusal(&dayfly(&moto, &["drain", "linux-x64", "--table", table]));
    assert!(
        unknown.contains("the ledger knows no fleet yet") && unknown.contains("dayfly drain linux-x64 --new"),
        "{unknown}"
    );
    tell(ledger, &event(7, JobState::Queued, None), None).await.unwrap();
    assert_eq!(reserve(ledger, &fleet(1), 0).await.unwrap(), 1);
    tell(ledger, &event(8, JobState::Queued, None), None).await.unwrap();

    let said = answer(&dayfly(&moto, &["drain", "linux-x64", "--table", table]));
    assert!(said.contains("is drained since") && said.contains("1 is on its way") && said.contains("2 jobs"), "{said}");
    let view = ledger.view("linux-x64").await.unwrap();
    let since = view.meta.drained_at.unwrap();
    assert_eq!(plan(&fleet(5), &view, NOW).launched(), 0);
    answer(&dayfly(&moto, &["drain", "linux-x64", "--table", table]));
    assert_eq!(ledger.meta("linux-x64").await.unwrap().drained_at, Some(since), "since the first time");

    // Also where it has nothing that is listed.
    for list in [&["runners", "--fleet", "linux-x64"][..], &["runners"], &["jobs"], &["jobs", "--state", "done"]] {
        let text = answer(&dayfly(&moto, &[list, &["--table", table]].concat()));
        assert!(text.contains("Fleet linux-x64 is drained since"), "{text}");
    }
    let json: Value = serde_json::from_str(&answer(&dayfly(&moto, &["jobs", "--json", "--table", table]))).unwrap();
    assert_eq!(json[0]["fleet_drained_at"], since);
    let why = answer(&dayfly(&moto, &["explain", "8", "--table", table]));
    assert!(why.contains("was drained") && why.contains("dayfly drain linux-x64 --undo"), "{why}");

    let undo = ["drain", "linux-x64", "--undo", "--table", table, "--wake-queue-url", &queue];
    let said = answer(&dayfly(&moto, &undo));
    assert!(said.contains("launches again") && said.contains("which reconcile does within a minute"), "{said}");
    let view = ledger.view("linux-x64").await.unwrap();
    assert_eq!((view.meta.drained_at, view.meta.alive), (None, 1));
    assert!(plan(&fleet(5), &view, NOW).launched() > 0);
}

/// A runner of `linux-x64` that ran job 7, or has it still.
async fn a_runner(ledger: &dayfly_control::ledger::dynamo::DynamoLedger, at: u64) -> Runner {
    let reservation = ledger.view("linux-x64").await.unwrap().reservations.remove(0);
    let terms = Terms { now: at, ..TERMS };
    let types = BTreeMap::from([(instance(1), "c7i.large".to_owned())]);
    let (writes, _) = lives::typed(events::resolved(&reservation, &[instance(1)], &[], terms), &types);
    assert_eq!(ledger.commit(writes).await.unwrap(), Committed::Yes);
    let runner = ledger.runner("linux-x64", &instance(1)).await.unwrap().unwrap();
    let registered = events::registered(runner, Some(23), at).unwrap();
    assert_eq!(ledger.commit(vec![registered]).await.unwrap(), Committed::Yes);
    ledger.runner("linux-x64", &instance(1)).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_life_is_kept_with_its_type_and_reported_with_its_job() {
    let moto = server::start();
    let ledger = &moto.ledger("report").await;
    let table = &format!("dayfly-test-report-{}", std::process::id());
    let began = now() - 10 * 60_000;
    tell(ledger, &event(7, JobState::Queued, None), None).await.unwrap();
    assert_eq!(reserve(ledger, &fleet(1), 0).await.unwrap(), 1);
    a_runner(ledger, began).await;
    let name = format!("linux-x64-{}", instance(1));
    // As the webhooks told it, at times of this hour.
    let mut job = ledger.job(7).await.unwrap().unwrap();
    (job.state, job.runner_name) = (JobState::Done, Some(name));
    (job.queued_at, job.running_at, job.done_at) = (Some(began), Some(began + 5000), Some(began + 300_000));
    job.repository = "octo-org/<b>".into();
    let mut runner = ledger.runner("linux-x64", &instance(1)).await.unwrap().unwrap();
    assert_eq!(runner.instance_type.as_deref(), Some("c7i.large"));
    (runner.launched_at, runner.market) = (began, Some(dayfly_control::fleets::Market::OnDemand));
    let writes = vec![Write::PutJob(job), Write::PutRunner(runner)];
    assert_eq!(ledger.commit(writes).await.unwrap(), Committed::Yes);
    let runner = ledger.runner("linux-x64", &instance(1)).await.unwrap().unwrap();
    let writes = lives::kept(events::given_up(runner.clone()), Some(&runner), began + 360_000);
    assert_eq!(ledger.commit(writes).await.unwrap(), Committed::Yes);
    let (kept, unread) = ledger.lives().await.unwrap();
    assert_eq!((kept.len(), unread, kept[0].ended_at), (1, 0, began + 360_000));

    let prices = std::env::temp_dir().join(format!("dayfly-prices-{}.json", std::process::id()));
    std::fs::write(&prices, r#"{"on_demand": {"c7i.large": 0.6}}"#).unwrap();
    let prices = prices.to_str().unwrap();
    let of = ["report", "--table", table, "--since", "1h"];
    let json: Value =
        serde_json::from_str(&answer(&dayfly(&moto, &[&of[..], &["--json", "--prices", prices]].concat()))).unwrap();
    let all = &json["all"];
    assert_eq!(
        (&all["jobs"], &all["instances"], &all["wait_ms"]["p50"]),
        (&1.into(), &1.into(), &5000.into()),
        "{json}"
    );
    let near = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-6;
    assert!(near(&all["minutes"], 6.0) && near(&json["repositories"]["octo-org/<b>"]["usd"], 0.06), "{json}");
    let text = answer(&dayfly(&moto, &of));
    assert!(
        text.contains("Without a price (--prices), and so not in the costs: c7i.large on-demand (6 min)."),
        "{text}"
    );

    let page = std::env::temp_dir().join(format!("dayfly-report-{}.html", std::process::id()));
    answer(&dayfly(&moto, &[&of[..], &["--html", page.to_str().unwrap()]].concat()));
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("octo-org/&lt;b&gt;") && !html.contains("<b>") && html.contains("<svg"), "{html}");
    for file in [page.as_path(), std::path::Path::new(prices)] {
        std::fs::remove_file(file).unwrap();
    }
    let wrong = refusal(&dayfly(&moto, &["report", "--table", table, "--since", "soon"]));
    assert!(wrong.contains("--since: found \"soon\", expected a span"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_runner_is_retired_by_githubs_word_and_a_busy_one_is_not() {
    let name = format!("linux-x64-{}", instance(1));
    let token = json!({"token": "t1", "expires_at": "2036-11-20T15:00:00Z"});
    let (github, asked) = github(&[
        ("POST /app/installations/77/access_tokens", 201, token),
        (
            "GET /orgs/octo-org/actions/runners",
            200,
            json!({"total_count": 1, "runners": [
            {"id": 23, "name": name, "status": "online", "busy": false}]}),
        ),
        ("DELETE /orgs/octo-org/actions/runners/23", 204, Value::Null),
    ])
    .await;
    let Deployment { moto, name, ledger } = deploy("retire", &github).await;
    tell(&ledger, &event(7, JobState::Queued, None), None).await.unwrap();
    assert_eq!(reserve(&ledger, &fleet(1), 0).await.unwrap(), 1);
    a_runner(&ledger, NOW).await;
    let retire = ["retire", &instance(1), "--deployment", &name];
    let said = answer(&beside(&moto, &retire));
    assert!(said.contains("it gets no job") && said.contains(&instance(1)), "{said}");
    let deletes = || asked.lock().unwrap().iter().filter(|it| it.starts_with("DELETE")).count();
    assert_eq!(deletes(), 1);

    tell(&ledger, &event(7, JobState::Running, Some(&instance(1))), Some(&instance(1))).await.unwrap();
    let busy = refusal(&beside(&moto, &retire));
    assert!(busy.contains("has job 7, and is left alone"), "{busy}");
    let by_name = refusal(&beside(&moto, &["retire", &format!("linux-x64-{}", instance(1)), "--deployment", &name]));
    assert_eq!(by_name, busy);
    assert_eq!(deletes(), 1, "GitHub is not asked");
    let gone = refusal(&beside(&moto, &["retire", &instance(2), "--deployment", &name]));
    assert!(gone.contains("the ledger has no runner on"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_of_reconcile_tells_what_it_would_do_and_writes_nothing() {
    let (github, _) = github(&[("GET /app/hook/deliveries", 200, json!([]))]).await;
    let Deployment { moto, name, ledger } = deploy("dry", &github).await;
    let expires = now() / 1000 + 3600;
    let marker = Marker {
        fleet: "linux-x64".into(),
        job: 7,
        queued_at: now(),
        installation: Some(77),
        repository: "octo-org/octo-repo".into(),
        asks: vec![],
        on_demand: false,
        expires,
    };
    assert_eq!(ledger.commit(vec![Write::PutMarker(marker)]).await.unwrap(), Committed::Yes);
    let items = async || moto.client().scan().table_name(format!("dayfly-{name}-ledger")).send().await.unwrap().items;
    let sorted = async || {
        let mut all: Vec<String> =
            items().await.unwrap().iter().map(|it| format!("{:?}", it.iter().collect::<BTreeMap<_, _>>())).collect();
        all.sort();
        all
    };
    let before = sorted().await;
    let said = answer(&beside(&moto, &["reconcile", "--dry-run", "--deployment", &name]));
    // The job is queued in a fleet that has nothing.
    let expected = "Reconcile would do 1 thing. Nothing was changed.\n\n\
                    Fleet linux-x64 has something to do (wake.reason: missing)\n  wake          wake fleet linux-x64\n";
    assert_eq!(said, expected);
    let json: Value =
        serde_json::from_str(&answer(&beside(&moto, &["reconcile", "--dry-run", "--json", "--deployment", &name])))
            .unwrap();
    assert!(json["would"].as_array().unwrap().iter().any(|it| it["kind"] == "wake"), "{json}");
    assert_eq!(sorted().await, before);
    let url = moto.sqs().get_queue_url().queue_name(format!("dayfly-{name}-wake")).send().await.unwrap().queue_url;
    let sent = moto.sqs().receive_message().set_queue_url(url).send().await.unwrap();
    assert!(sent.messages().is_empty(), "nobody was woken");
    let neither = refusal(&dayfly(&moto, &["reconcile", "--deployment", &name]));
    assert!(neither.contains("--dry-run tells what would be done"), "{neither}");
    let nowhere = refusal(&dayfly(&moto, &["reconcile", "--dry-run", "--deployment", "nowhere"]));
    assert!(nowhere.contains("there is no function dayfly-nowhere-reconcile"), "{nowhere}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_what_is_well_and_what_is_not() {
    let permissions = json!({"organization_self_hosted_runners": "write", "metadata": "read"});
    let (github, asked) = github(&[
        ("GET /app", 200, json!({"name": "Dayfly", "permissions": permissions, "events": ["workflow_job"]})),
        (
            "GET /app/installations",
            200,
            json!([{"id": 77, "account": {"login": "octo-org"}, "permissions": permissions,
            "events": ["workflow_job"], "repository_selection": "all", "suspended_at": null}]),
        ),
        ("GET /app/hook/config", 200, json!({"url": "https://elsewhere.example/webhook", "content_type": "json"})),
        ("GET /app/hook/deliveries", 200, json!([])),
    ])
    .await;
    let Deployment { moto, name, ledger } = deploy("doctor", &github).await;
    let url = moto.sqs().get_queue_url().queue_name(format!("dayfly-{name}-lifecycle-dlq")).send().await.unwrap();
    moto.sqs().send_message().set_queue_url(url.queue_url).message_body("{}").send().await.unwrap();
    dayfly_control::ledger::Census::note_text(&ledger, "reconcile#ran", &now().to_string(), now()).await.unwrap();
    let webhook = format!("{github}/webhook");
    let arguments = ["doctor", "--json", "--deployment", &name, "--webhook-url", &webhook];
    let output = beside(&moto, &arguments);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["ok"], false);
    let all = told["findings"].as_array().unwrap();
    let level = |check: &str, says: &str| {
        let found = all.iter().find(|it| it["check"] == check && it["what"].as_str().unwrap().contains(says));
        found.unwrap_or_else(|| panic!("no {check} with {says:?} in {told:#}"))["level"].as_str().unwrap().to_owned()
    };
    let parameter = |what: &str| format!("parameter /dayfly/{name}/github/{what}");
    for (check, says, expected) in [
        ("function webhook", "is there", "ok"),
        ("function reconcile", "its environment is whole", "ok"),
        ("function housekeep", "need not be", "ok"),
        ("role scale-up", "is there", "ok"),
        ("ledger", "the table", "ok"),
        ("ledger", "is not deleted", "warn"),
        ("reconcile", "it last ran", "ok"),
        (&format!("queue dayfly-{name}-wake"), "empty", "ok"),
        (&format!("queue dayfly-{name}-lifecycle-dlq"), "1 dead letter", "bad"),
        ("schedule", "has no rule", "bad"),
        ("fleets document", "1 fleet", "ok"),
        (&parameter("webhook-secret"), "well-formed", "ok"),
        (&parameter("app-key"), "well-formed", "ok"),
        ("webhook ping", "took a ping", "ok"),
        ("clock against GitHub", "within", "ok"),
        ("clock against AWS", "within", "ok"),
        ("app 123456 permissions", "lacks Actions", "warn"),
        ("app 123456 events", "workflow_job", "ok"),
        ("app 123456 at octo-org", "lacks Actions", "warn"),
        ("app 123456 webhook", "elsewhere.example", "bad"),
        ("app 123456 deliveries", "nothing for a day", "warn"),
        ("fleet linux-x64 template", "is not there", "bad"),
        ("fleet linux-x64 image", "leads to no image", "bad"),
        ("quota on-demand", "may need 10 vCPUs", "unknown"),
    ] {
        assert_eq!(level(check, says), expected, "{check} {says}");
    }
    let well = |it: &&Value| it["level"] != "ok" && it["todo"].as_str().unwrap().is_empty();
    assert_eq!(all.iter().filter(well).count(), 0, "what to do is always said");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(!shown.contains(SECRET) && !shown.contains("BEGIN"), "no secret is shown");
    assert_eq!(asked.lock().unwrap().iter().filter(|it| *it == "POST /webhook").count(), 2);

    // Where nothing is deployed, each check says so, and none fails the others.
    let output = beside(&moto, &["doctor", "--deployment", "nowhere"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains("there is no function dayfly-nowhere-webhook") && text.contains("could not be looked at"),
        "{text}"
    );
    assert!(String::from_utf8(output.stderr).unwrap().is_empty());
}
