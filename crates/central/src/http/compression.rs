//! Compressed answers, so many at a time: each holds the tables of its encoder until its last byte is sent, and anybody may ask
//! for one. Beyond, answers are sent as they are.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use crate::limits::HTTP_COMPRESSIONS_MAX;

/// Places for answers that are compressed. Cheap to clone.
#[derive(Clone)]
pub(super) struct Compressions(Arc<Semaphore>);

impl Default for Compressions {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(HTTP_COMPRESSIONS_MAX)))
    }
}

/// Lets what is behind compress its answer if there is a place.
pub(super) async fn bounded(
    State(Compressions(places)): State<Compressions>,
    mut request: Request,
    next: Next,
) -> Response {
    let place = places.try_acquire_owned().ok();
    if place.is_none() {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    let response = next.run(request).await;
    if !response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _held_until_the_body_is_dropped = &place;
            frame
        }))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::routing::get;
    use axum::{Router, middleware};
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;
    use tower_http::compression::CompressionLayer;

    use super::*;

    #[tokio::test]
    async fn as_many_answers_are_compressed_as_may_be() {
        let compressions = Compressions::default();
        let router = Router::new()
            .route("/", get(async || "text ".repeat(1_000)))
            .layer(CompressionLayer::new())
            .layer(middleware::from_fn_with_state(compressions.clone(), bounded));
        let service = TowerToHyperService::new(router);
        let ask = async || {
            let request = Request::builder().header(header::ACCEPT_ENCODING, "gzip").body(Body::empty()).unwrap();
            service.call(request).await.unwrap()
        };
        let mut unread = Vec::new();
        for _ in 0..HTTP_COMPRESSIONS_MAX {
            unread.push(ask().await);
        }
        assert!(unread.iter().all(|answer| answer.headers().contains_key(header::CONTENT_ENCODING)));
        let plain = ask().await;
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
        assert_eq!(plain.into_body().collect().await.unwrap().to_bytes().len(), 5_000);
        drop(unread.pop());
        assert!(ask().await.headers().contains_key(header::CONTENT_ENCODING));
    }
}
