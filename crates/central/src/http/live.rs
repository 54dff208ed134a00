//! The live stream: server-sent events.
//!
//! ```text
//! event: telemetry
//! data: {"device":"pump-07","ts":1714557600123,"values":{"flow":12.5},"offset":42}
//!
//! event: ping
//! data: {}
//! ```
//!
//! `ping` comes when nothing else did for a while. It is an event and not a comment, because a browser hides comments from the
//! page: one that heard nothing for much longer knows that the stream is dead, also where the connection was never closed.
//!
//! The stream ends when its caller would no longer be let in: the token or session is over, deleted, or may do less.
//!
//! A reader that is too slow gets `event: lagged` and the end of the stream; it reads what it shows again and reconnects.

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::header;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};

use super::guard::Caller;
use super::listing::Listing;
use crate::app::live::{Opening, WatchedStream};
use crate::app::{App, AppError};

/// Time without events after which the connection is shown to live.
const PING_INTERVAL: Duration = Duration::from_secs(15);

pub(super) async fn stream(
    State(app): State<App>,
    Caller(access): Caller,
    Extension(opening): Extension<Opening>,
    listing: Listing,
) -> Result<Response, AppError> {
    let device = listing.get("device").filter(|device| !device.is_empty()).map(str::to_owned);
    let events = app.live_stream(&access, opening, device).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Sse::new(follow(events))).into_response())
}

/// The events of a subscription until it ends. The subscription's queue is bounded; nothing is buffered here.
fn follow(events: WatchedStream) -> impl Stream<Item = Result<Event, Infallible>> {
    // Headers alone may be held back by what is in between; the first bytes show that the stream is open.
    let open = stream::once(ready(Event::default().comment("open")));
    let told = stream::unfold(Some(events), |events| async move {
        let mut events = events?;
        let told = match tokio::time::timeout(PING_INTERVAL, events.next()).await {
            Err(_) => Event::default().event("ping").data("{}"),
            Ok(Some(event)) => Event::default().event(event.name()).data(event.data().to_string()),
            Ok(None) => return events.lagged().then(|| (Event::default().event("lagged").data("{}"), None)),
        };
        Some((told, Some(events)))
    });
    open.chain(told).map(Ok)
}
