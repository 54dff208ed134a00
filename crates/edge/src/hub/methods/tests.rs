#![allow(clippy::unwrap_used)]
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::hub::ScopeSource;
use crate::hub::scope::ScopeAnswer;
use crate::hub::tests::alone::Alone;

/// Notes when the whole scope was asked for.
#[derive(Default)]
struct Noted(Mutex<Vec<Instant>>);

impl ScopeSource for Noted {
    fn page<'a>(&'a self, _: &'a Value) -> ScopeAnswer<'a> {
        self.0.lock().unwrap().push(Instant::now());
        Box::pin(async { Ok(json!({})) })
    }

    fn one<'a>(&'a self, _: &'a Value) -> ScopeAnswer<'a> {
        Box::pin(async { Ok(json!({})) })
    }
}

#[tokio::test(start_paused = true)]
async fn the_scope_is_fetched_again_after_its_time_and_with_each_desired_section() {
    let noted = Arc::new(Noted::default());
    let alone = Alone::with_scope(Arc::clone(&noted) as Arc<dyn ScopeSource>);
    let (sections, desired) = mpsc::channel(1);
    let began = Instant::now();
    let following = tokio::spawn(Arc::clone(&alone.hub).follow_desired(desired));
    tokio::time::sleep(2 * SCOPE_REFRESH_INTERVAL + SCOPE_REFRESH_INTERVAL / 2).await;
    sections.send(Deployment { version: 1, section: json!({}) }).await.unwrap();
    tokio::time::sleep(SCOPE_REFRESH_INTERVAL + Duration::from_secs(1)).await;
    drop(sections);
    following.await.unwrap();
    let halves = noted.0.lock().unwrap().iter().map(|at| (*at - began).as_secs_f64() * 2.0).collect::<Vec<_>>();
    let expected = [2.0, 4.0, 5.0, 7.0].map(|halves| halves * SCOPE_REFRESH_INTERVAL.as_secs_f64());
    assert_eq!(halves.len(), expected.len(), "{halves:?}");
    assert!(halves.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 0.1), "{halves:?}");
}

/// Nobody is known, whoever asks is counted.
#[derive(Default)]
struct Looked(Mutex<(usize, usize)>);

impl ScopeSource for Looked {
    fn page<'a>(&'a self, _: &'a Value) -> ScopeAnswer<'a> {
        self.0.lock().unwrap().0 += 1;
        Box::pin(async { Ok(json!({ "devices": [], "modules": [] })) })
    }

    fn one<'a>(&'a self, _: &'a Value) -> ScopeAnswer<'a> {
        self.0.lock().unwrap().1 += 1;
        Box::pin(async { Ok(json!({})) })
    }
}

#[tokio::test(start_paused = true)]
async fn few_in_doubt_are_looked_up_at_once_and_many_with_one_question() {
    let looked = Arc::new(Looked::default());
    let alone = Alone::with_scope(Arc::clone(&looked) as Arc<dyn ScopeSource>);
    let doubt = |number: usize| (0..number).for_each(|n| alone.hub.scope.doubt(&Identity::device(&format!("d{n}"))));
    let settled = || tokio::time::sleep(Duration::from_millis(1));
    doubt(SCOPE_DOUBTED_ASKED_MAX);
    settled().await;
    assert_eq!(*looked.0.lock().unwrap(), (0, SCOPE_DOUBTED_ASKED_MAX));
    doubt(SCOPE_DOUBTED_ASKED_MAX + 1);
    settled().await;
    assert_eq!(*looked.0.lock().unwrap(), (0, SCOPE_DOUBTED_ASKED_MAX), "not more often than that");
    tokio::time::sleep(SCOPE_DOUBT_INTERVAL).await;
    assert_eq!(*looked.0.lock().unwrap(), (1, SCOPE_DOUBTED_ASKED_MAX));
}
