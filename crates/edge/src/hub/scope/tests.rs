#![allow(clippy::unwrap_used)]
use super::*;

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

#[tokio::test]
async fn pages_are_put_together_and_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let first = json!({ "devices": [device("a", "enabled")], "modules": [], "continuationLink": "more" });
    let module = json!({ "deviceId": "a", "moduleId": "m", "authentication": {} });
    let second = json!({ "devices": [device("b", "disabled")], "modules": [module], "continuationLink": null });
    assert_eq!(scope(dir.path(), vec![Some(first), Some(second)]).refresh().await.unwrap(), []);
    let again = scope(dir.path(), vec![None]);
    let keys = vec!["cA==".to_owned(), "cw==".to_owned()];
    assert_eq!(again.get(&Identity::device("a")), Some(ScopedIdentity { keys: keys.clone(), enabled: true }));
    assert_eq!(again.get(&Identity::device("b")), Some(ScopedIdentity { keys, enabled: false }));
    assert_eq!(again.get(&Identity::module("a", "m")), Some(ScopedIdentity { keys: vec![], enabled: true }));
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
    assert_eq!(scope.refresh_one(&a).await, Refreshed::TooSoon);
    assert_eq!(scope.refresh_one(&Identity::device("b")).await, Refreshed::Unreachable);
}
