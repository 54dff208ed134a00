#![allow(clippy::unwrap_used)]
use super::*;

use std::time::Duration;

use protocol::auth::certificate::Thumbprint;
use testkit::certificates::TestCertificate;

use crate::limits::SCOPE_AUTHORITIES_BYTES_MAX;

/// Answers in turn from a list; `None` stands for a hub that is not reached.
struct Answers(Mutex<Vec<Option<Value>>>);

impl Answers {
    fn next(&self) -> Result<Value, HubApiError> {
        self.0.lock().unwrap().remove(0).ok_or(HubApiError::Answer { act: "test" })
    }
}

impl ScopeSource for Answers {
    fn page<'a>(&'a self, _: &'a Value) -> ScopeAnswer<'a> {
        Box::pin(async { self.next() })
    }

    fn one<'a>(&'a self, _: &'a Value) -> ScopeAnswer<'a> {
        Box::pin(async { self.next() })
    }
}

fn device(id: &str, status: &str) -> Value {
    let keys = json!({ "primaryKey": "cA==", "secondaryKey": "cw==" });
    json!({ "deviceId": id, "status": status, "authentication": { "type": "sas", "symmetricKey": keys } })
}

fn scope(dir: &std::path::Path, answers: Vec<Option<Value>>) -> Scope {
    let edge = Device { hub_host: "hub".into(), device_id: "edge".into() };
    Scope::open(dir.join("scope.json"), Arc::new(Answers(Mutex::new(answers))), &edge).unwrap()
}

fn enabled() -> ScopedIdentity {
    ScopedIdentity { enabled: true, ..ScopedIdentity::default() }
}

/// A device that names these authorities, whose certificates are in the answer.
fn of_authorities(id: &str, named: &[&TestCertificate], sent: &[&TestCertificate]) -> Value {
    let name = |certificate: &&TestCertificate| Thumbprint::sha256_of(certificate.der()).to_string();
    let names: Vec<String> = named.iter().map(name).collect();
    let texts: Vec<String> = sent.iter().map(|certificate| certificate.base64()).collect();
    let authentication = json!({ "type": "certificateAuthority", "certificateAuthorities": names });
    let device = json!({ "deviceId": id, "status": "enabled", "authentication": authentication });
    json!({ "devices": [device], "modules": [], "certificateAuthorities": texts })
}

fn trusted(scope: &Scope, id: &str) -> Vec<Vec<u8>> {
    let named = scope.get(&Identity::from_client_id(id)).unwrap().authorities;
    scope.authorities(&named).iter().map(|authority| authority.der().to_vec()).collect()
}

#[tokio::test]
async fn authorities_come_with_those_who_name_them_and_go_with_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (TestCertificate::root("first"), TestCertificate::root("second"));
    let mut all = of_authorities("a", &[&first], &[&first, &second]);
    all["continuationLink"] = "more".into();
    let mut with_module = of_authorities("b", &[&first], &[]);
    let of = |kind: &str| json!({ "type": kind, "symmetricKey": { "primaryKey": "cA==" } });
    with_module["modules"] = json!([
        { "deviceId": "b", "moduleId": "m", "authentication": of("certificateAuthority") },
        { "deviceId": "b", "moduleId": "keys", "authentication": of("sas") },
    ]);
    scope(dir.path(), vec![Some(all), Some(with_module)]).refresh().await.unwrap();
    let other = of_authorities("a", &[&second], &[&second]);
    let nobody = json!({ "devices": [], "modules": [] });
    let scope = scope(dir.path(), vec![None, Some(other), Some(nobody)]);
    assert!(scope.refresh().await.is_err());
    for id in ["a", "b", "b/m"] {
        assert_eq!(trusted(&scope, id), [first.der()], "{id}: kept on disk");
    }
    assert_eq!(trusted(&scope, "b/keys"), [[0; 0]; 0]);
    let known = || scope.known.lock().unwrap().authorities.texts().len();
    assert_eq!(known(), 1, "nobody names the second");
    scope.look_up(&Identity::device("a")).await;
    assert_eq!((trusted(&scope, "a"), trusted(&scope, "b")), (vec![second.der().to_vec()], vec![first.der().to_vec()]));
    scope.refresh().await.unwrap();
    assert_eq!(known(), 0);
}

#[tokio::test]
async fn of_more_authorities_than_are_kept_those_of_who_connects_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let largest: Vec<_> = (0..).map(|n| TestCertificate::large_root(&n.to_string())).take(220).collect();
    let all = largest.iter().enumerate().map(|(n, root)| of_authorities(&format!("d{n}"), &[root], &[root]));
    let all = all.reduce(|mut all, mut one| {
        for list in ["devices", "certificateAuthorities"] {
            all[list].as_array_mut().unwrap().append(one[list].as_array_mut().unwrap());
        }
        all
    });
    let bytes: usize = largest.iter().map(|root| root.der().len()).sum();
    assert!(bytes > SCOPE_AUTHORITIES_BYTES_MAX, "{bytes}");
    let known =
        |scope: &Scope| -> Vec<_> { (0..220).filter(|n| !trusted(scope, &format!("d{n}")).is_empty()).collect() };
    scope(dir.path(), vec![all]).refresh().await.unwrap();
    let first = known(&scope(dir.path(), vec![]));
    let room = SCOPE_AUTHORITIES_BYTES_MAX - first.iter().map(|n| largest[*n].der().len()).sum::<usize>();
    assert!(room < largest[0].der().len(), "{room} bytes are left");
    let left_out = (0..220).find(|n| !first.contains(n)).unwrap();
    let (id, root) = (format!("d{left_out}"), &largest[left_out]);
    let scope = scope(dir.path(), vec![Some(of_authorities(&id, &[root], &[root]))]);
    scope.look_up(&Identity::device(&id)).await;
    assert_eq!(trusted(&scope, &id), [root.der()]);
    assert_eq!(known(&scope).len(), first.len());
}

#[test]
fn an_identity_proves_itself_with_what_it_is_said_to_and_with_nothing_else() {
    let both = |kind: &str| {
        let keys = json!({ "primaryKey": "cA==", "secondaryKey": null });
        let thumbprints = json!({ "primaryThumbprint": "", "secondaryThumbprint": "AB" });
        json!({ "authentication": { "type": kind, "symmetricKey": keys, "x509Thumbprint": thumbprints } })
    };
    let known = |keys: &[&str], thumbprints: &[&str]| {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        ScopedIdentity { keys: texts(keys), thumbprints: texts(thumbprints), ..enabled() }
    };
    assert_eq!(scoped(&both("sas"), true), known(&["cA=="], &[]));
    assert_eq!(scoped(&both("SelfSigned"), true), known(&[], &["AB"]));
    assert_eq!(scoped(&both("certificateAuthority"), true), known(&[], &[]));
    let earlier: ScopedIdentity = serde_json::from_value(json!({ "keys": ["cA=="], "enabled": true })).unwrap();
    assert_eq!(earlier, known(&["cA=="], &[]));
}

#[tokio::test]
async fn pages_are_put_together_and_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let first = json!({ "devices": [device("a", "enabled")], "modules": [], "continuationLink": "more" });
    let module = json!({ "deviceId": "a", "moduleId": "m", "authentication": {} });
    let second = json!({ "devices": [device("b", "disabled")], "modules": [module], "continuationLink": null });
    assert_eq!(scope(dir.path(), vec![Some(first), Some(second)]).refresh().await.unwrap(), []);
    let again = scope(dir.path(), vec![None]);
    let keys = vec!["cA==".to_owned(), "cw==".to_owned()];
    assert_eq!(again.get(&Identity::device("a")), Some(ScopedIdentity { keys: keys.clone(), ..enabled() }));
    assert_eq!(again.get(&Identity::device("b")), Some(ScopedIdentity { keys, ..ScopedIdentity::default() }));
    assert_eq!(again.get(&Identity::module("a", "m")), Some(enabled()));
    assert!(again.refresh().await.is_err());
    assert!(again.get(&Identity::device("a")).is_some(), "a failed refresh forgets nothing");
}

#[tokio::test]
async fn who_left_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let all = json!({ "devices": [device("a", "enabled"), device("b", "enabled")], "modules": [] });
    let fewer = json!({ "devices": [device("b", "disabled")], "modules": [] });
    let scope = scope(dir.path(), vec![Some(all), Some(fewer)]);
    scope.refresh().await.unwrap();
    assert_eq!(scope.refresh().await.unwrap(), [Identity::device("a"), Identity::device("b")]);
}

#[tokio::test]
async fn a_module_comes_with_its_device_and_goes_alone() {
    let dir = tempfile::tempdir().unwrap();
    let module = json!({ "deviceId": "a", "moduleId": "m", "authentication": {} });
    let found = json!({ "devices": [device("a", "enabled")], "modules": [module] });
    let without = json!({ "devices": [device("a", "enabled")], "modules": [] });
    let (a, m) = (Identity::device("a"), Identity::module("a", "m"));
    assert_eq!(scope(dir.path(), vec![Some(found)]).refresh_one(&m).await, Refreshed::Known);
    let again = scope(dir.path(), vec![Some(without)]);
    assert!(again.get(&a).is_some() && again.get(&m).is_some());
    assert_eq!(again.refresh_one(&m).await, Refreshed::Known);
    assert!(again.get(&a).is_some() && again.get(&m).is_none());
}

#[tokio::test]
async fn one_identity_is_asked_for_once_in_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let answer = json!({ "devices": [device("a", "enabled")], "modules": [] });
    let scope = scope(dir.path(), vec![Some(answer), None]);
    let a = Identity::device("a");
    assert_eq!(scope.refresh_one(&a).await, Refreshed::Known);
    assert!(scope.get(&a).is_some());
    assert_eq!(scope.refresh_one(&a).await, Refreshed::Known, "by what was answered a moment ago");
    assert_eq!(scope.refresh_one(&Identity::device("b")).await, Refreshed::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn one_identity_is_asked_for_again_after_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let scope = scope(dir.path(), vec![None; 3]);
    let (a, b) = (Identity::device("a"), Identity::device("b"));
    assert_eq!(scope.refresh_one(&a).await, Refreshed::Unreachable);
    tokio::time::advance(SCOPE_IDENTITY_REFRESH_MIN - Duration::from_millis(1)).await;
    assert_eq!(scope.refresh_one(&a).await, Refreshed::TooSoon);
    assert_eq!(scope.refresh_one(&b).await, Refreshed::Unreachable, "each has its own time");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(scope.refresh_one(&a).await, Refreshed::Unreachable);
    assert_eq!(scope.refresh_one(&b).await, Refreshed::TooSoon);
}

/// A hub above with so many devices, which brings as many on a page as it is asked for.
struct Many(usize);

impl ScopeSource for Many {
    fn page<'a>(&'a self, body: &'a Value) -> ScopeAnswer<'a> {
        let first = body["continuationLink"].as_str().map_or(0, |link| link.parse().unwrap());
        let end = self.0.min(first + body["pageSize"].as_u64().unwrap() as usize);
        let devices: Vec<_> = (first..end).map(|number| device(&format!("d{number}"), "enabled")).collect();
        let link = (end < self.0).then(|| end.to_string());
        Box::pin(async move { Ok(json!({ "devices": devices, "modules": [], "continuationLink": link })) })
    }

    fn one<'a>(&'a self, body: &'a Value) -> ScopeAnswer<'a> {
        let id = body["targetDeviceId"].as_str().unwrap();
        Box::pin(async move { Ok(json!({ "devices": [device(id, "enabled")], "modules": [] })) })
    }
}

#[tokio::test]
async fn of_a_scope_larger_than_is_fetched_nobody_is_forgotten() {
    const ALL: usize = SCOPE_PAGES_MAX * SCOPE_PAGE_SIZE;
    let dir = tempfile::tempdir().unwrap();
    let edge = Device { hub_host: "hub".into(), device_id: "edge".into() };
    let open = |devices| Scope::open(dir.path().join("scope.json"), Arc::new(Many(devices)), &edge).unwrap();
    let knows = |scope: &Scope, number: usize| scope.get(&Identity::device(&format!("d{number}"))).is_some();
    let scope = open(ALL);
    assert_eq!(scope.refresh().await.unwrap(), []);
    assert!(knows(&scope, ALL - 1), "the last of so many is fetched");
    let scope = open(ALL + 2);
    scope.refresh().await.unwrap();
    assert!(!knows(&scope, ALL), "one more is not");
    assert_eq!(scope.refresh_one(&Identity::device(&format!("d{ALL}"))).await, Refreshed::Known);
    assert_eq!(scope.refresh().await.unwrap(), [], "it was on no page, which does not mean that it left");
    assert!(knows(&scope, ALL) && !knows(&scope, ALL + 1));
    let scope = open(ALL);
    assert_eq!(scope.refresh().await.unwrap(), [Identity::device(&format!("d{ALL}"))], "now it did leave");
}

#[tokio::test]
async fn an_answer_of_another_shape_ends_nobodys_session() {
    let dir = tempfile::tempdir().unwrap();
    let all = json!({ "devices": [device("a", "enabled")], "modules": null });
    let shapes = [json!({}), json!({ "devices": [] }), json!({ "devices": "none", "modules": [] }), Value::Null];
    let answers = std::iter::once(all).chain(shapes.clone()).map(Some).collect();
    let scope = scope(dir.path(), answers);
    assert_eq!(scope.refresh().await.unwrap(), []);
    for shape in shapes {
        let refused = scope.refresh().await;
        assert!(matches!(refused, Err(HubApiError::Answer { .. })), "{shape}: {refused:?}");
        assert!(scope.get(&Identity::device("a")).is_some(), "{shape}");
    }
}

/// Refuses with this status.
struct Refuses(u16);

impl ScopeSource for Refuses {
    fn page<'a>(&'a self, body: &'a Value) -> ScopeAnswer<'a> {
        self.one(body)
    }

    fn one<'a>(&'a self, _: &'a Value) -> ScopeAnswer<'a> {
        Box::pin(async { Err(HubApiError::Refused { act: "test", status: self.0, message: String::new() }) })
    }
}

#[tokio::test]
async fn an_identity_is_gone_when_the_hub_says_so_and_not_when_it_refuses_us() {
    let a = Identity::device("a");
    for (status, expected) in [
        (400, Refreshed::Unreachable),
        (404, Refreshed::Known),
        (401, Refreshed::Unreachable),
        (403, Refreshed::Unreachable),
        (429, Refreshed::Unreachable),
        (503, Refreshed::Unreachable),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let all = json!({ "devices": [device("a", "enabled")], "modules": [] });
        scope(dir.path(), vec![Some(all)]).refresh().await.unwrap();
        let edge = Device { hub_host: "hub".into(), device_id: "edge".into() };
        let scope = Scope::open(dir.path().join("scope.json"), Arc::new(Refuses(status)), &edge).unwrap();
        assert_eq!(scope.refresh_one(&a).await, expected, "{status}");
        assert_eq!(scope.get(&a).is_some(), expected == Refreshed::Unreachable, "{status}");
    }
}

/// A source that says of nobody that it is there, and counts.
#[derive(Default)]
struct Counts(std::sync::atomic::AtomicUsize, u16);

impl Counts {
    fn asked(&self) -> usize {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl ScopeSource for Counts {
    fn page<'a>(&'a self, _: &'a Value) -> ScopeAnswer<'a> {
        let devices: Vec<_> =
            (0..=SCOPE_IDENTITIES_ASKED_MAX).map(|number| device(&format!("d{number}"), "enabled")).collect();
        Box::pin(async move { Ok(json!({ "devices": devices, "modules": [] })) })
    }

    fn one<'a>(&'a self, _: &'a Value) -> ScopeAnswer<'a> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Box::pin(async { Err(HubApiError::Refused { act: "test", status: self.1, message: String::new() }) })
    }
}

fn counted(dir: &std::path::Path, status: u16) -> (Arc<Counts>, Scope) {
    let edge = Device { hub_host: "hub".into(), device_id: "edge".into() };
    let counts = Arc::new(Counts(0.into(), status));
    let scope = Scope::open(dir.join("scope.json"), Arc::clone(&counts) as Arc<dyn ScopeSource>, &edge).unwrap();
    (counts, scope)
}

#[tokio::test(start_paused = true)]
async fn unknown_names_cost_the_hub_above_few_calls_and_keep_out_nobody_who_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let (counts, scope) = counted(dir.path(), 404);
    scope.refresh().await.unwrap();
    let stranger = |number: usize| Identity::device(&format!("stranger{number}"));
    for number in 0..10 * SCOPE_STRANGERS_ASKED_MAX {
        let expected = if number < SCOPE_STRANGERS_ASKED_MAX { Refreshed::Known } else { Refreshed::TooSoon };
        assert_eq!(scope.refresh_one(&stranger(number)).await, expected);
    }
    assert_eq!(counts.asked(), SCOPE_STRANGERS_ASKED_MAX);
    // Those that are known have their own share.
    for number in 0..SCOPE_IDENTITIES_ASKED_MAX {
        scope.refresh_one(&Identity::device(&format!("d{number}"))).await;
    }
    assert_eq!(counts.asked(), SCOPE_STRANGERS_ASKED_MAX + SCOPE_IDENTITIES_ASKED_MAX);
    let one_more = Identity::device(&format!("d{SCOPE_IDENTITIES_ASKED_MAX}"));
    assert_eq!(scope.refresh_one(&one_more).await, Refreshed::TooSoon);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_there_is_not_asked_for_again_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let (counts, scope) = counted(dir.path(), 404);
    let stranger = Identity::device("stranger");
    assert_eq!(scope.refresh_one(&stranger).await, Refreshed::Known);
    tokio::time::advance(SCOPE_ABSENT_TIME - Duration::from_millis(1)).await;
    assert_eq!(scope.refresh_one(&stranger).await, Refreshed::Known);
    assert_eq!(counts.asked(), 1);
    tokio::time::advance(Duration::from_millis(1)).await;
    scope.refresh_one(&stranger).await;
    assert_eq!(counts.asked(), 2);
    for number in 0..=SCOPE_ABSENT_KEPT_MAX {
        scope.look_up(&Identity::device(&format!("s{number}"))).await;
        assert!(scope.absent.lock().unwrap().len() <= SCOPE_ABSENT_KEPT_MAX);
    }
}

#[tokio::test]
async fn of_an_answer_without_the_device_nothing_follows() {
    let dir = tempfile::tempdir().unwrap();
    let all = json!({ "devices": [device("a", "enabled")], "modules": [] });
    let nobody = json!({ "devices": [], "modules": [] });
    let scope = scope(dir.path(), vec![Some(all), Some(nobody)]);
    scope.refresh().await.unwrap();
    assert_eq!(scope.look_up(&Identity::device("a")).await, Refreshed::Unreachable);
    assert!(scope.get(&Identity::device("a")).is_some());
}

#[tokio::test]
async fn whose_key_was_changed_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut changed = device("a", "enabled");
    changed["authentication"]["symmetricKey"]["primaryKey"] = "bmV3".into();
    let page = |first: Value| json!({ "devices": [first, device("b", "enabled")], "modules": [] });
    let scope = scope(dir.path(), vec![Some(page(device("a", "enabled"))), Some(page(changed))]);
    scope.refresh().await.unwrap();
    assert_eq!(scope.refresh().await.unwrap(), [Identity::device("a")]);
}
