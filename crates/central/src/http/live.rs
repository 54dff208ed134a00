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
//! A reader that is too slow gets `event: lagged` and the end of the stream; it reads what it shows again and reconnects.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use events::live::LiveStream;
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::guard::Caller;
use super::listing::Listing;
use crate::app::{App, AppError};

/// Time without events after which the connection is shown to live.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// Events between the subscription, which has a bounded queue of its own, and the socket.
const FRAMES_MAX: usize = 4;

pub(super) async fn stream(
    State(app): State<App>,
    Caller(access): Caller,
    listing: Listing,
) -> Result<Response, AppError> {
    let device = listing.get("device").filter(|device| !device.is_empty()).map(str::to_owned);
    if let Some(device) = &device {
        app.device(&access, device, false).await?;
    }
    let events = app.live().subscribe(access.application(), device).map_err(|_| AppError::TooManyRequests)?;
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::new(EventBody(start(events)))).into_response())
}

/// Runs a task that writes the events of a subscription as text. It ends with the subscription, or when nobody reads.
fn start(mut events: LiveStream) -> mpsc::Receiver<Bytes> {
    let (frames, receiver) = mpsc::channel(FRAMES_MAX);
    tokio::spawn(async move {
        // Headers alone may be held back by what is in between; the first bytes show that the stream is open.
        let mut text = Bytes::from_static(b": open\n\n");
        while frames.send(text).await.is_ok() {
            text = match tokio::time::timeout(PING_INTERVAL, events.next()).await {
                Err(_) => Bytes::from_static(b"event: ping\ndata: {}\n\n"),
                Ok(Some(event)) => Bytes::from(format!("event: {}\ndata: {}\n\n", event.name(), event.data())),
                Ok(None) => break,
            };
        }
        if events.lagged() {
            // Whoever does not read is gone soon; then this fails, and nothing is lost by it.
            let _ = frames.send(Bytes::from_static(b"event: lagged\ndata: {}\n\n")).await;
        }
    });
    receiver
}

/// The body of the answer: frames until the task ends.
struct EventBody(mpsc::Receiver<Bytes>);

impl hyper::body::Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.0.poll_recv(context).map(|frame| frame.map(|bytes| Ok(Frame::data(bytes))))
    }
}
