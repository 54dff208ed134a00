//! What of a body is read, on a clock that stands while anything is left to do.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;

use http_body_util::Full;
use http_body_util::channel::{Channel, Sender};

use super::*;
use crate::server::{Admissions, ServerLimits};

const CHUNK: usize = 1024;

/// A request whose body the test sends, measured.
fn request(bodies: &Bodies) -> (Sender<Bytes, Infallible>, Measured<Channel<Bytes, Infallible>>, Allowance) {
    let (sender, body) = Channel::new(1);
    let (request, allowance) = bodies.measure(Request::new(body));
    (sender, request.into_body(), allowance)
}

async fn send(sender: &mut Sender<Bytes, Infallible>, bytes: usize) {
    sender.send_data(Bytes::from(vec![b'x'; bytes])).await.unwrap();
}

/// A whole body of so many bytes, read.
async fn read(bodies: &Bodies, bytes: usize, raised: Option<usize>) -> Result<usize, BodyError> {
    let (request, allowance) = bodies.measure(Request::new(Full::new(Bytes::from(vec![b'x'; bytes]))));
    if let Some(bytes_max) = raised {
        allowance.raise(bytes_max);
    }
    Ok(request.into_body().collect().await?.to_bytes().len())
}

#[tokio::test]
async fn a_stranger_sends_a_few_kilobytes_and_whoever_is_known_what_the_endpoint_takes() {
    let bodies = Bodies::default();
    for (most, raised) in [(STRANGER_BODY_BYTES_MAX, None), (100_000, Some(100_000))] {
        assert_eq!(read(&bodies, most, raised).await.unwrap(), most);
        assert!(matches!(read(&bodies, most + 1, raised).await, Err(BodyError::TooLarge(at)) if at == most));
    }
}

#[tokio::test]
async fn a_body_that_grows_beyond_its_limit_is_not_held() {
    let bodies = Bodies::default();
    let (mut sender, mut body, _allowance) = request(&bodies);
    for _ in 0..STRANGER_BODY_BYTES_MAX / CHUNK {
        send(&mut sender, CHUNK).await;
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), CHUNK);
    }
    send(&mut sender, 1).await;
    assert!(matches!(body.frame().await, Some(Err(BodyError::TooLarge(_)))));
}

#[tokio::test]
async fn all_bodies_together_have_so_much_room_and_give_it_back() {
    let bodies = Bodies::default();
    let mut strangers = Vec::new();
    for _ in 0..STRANGER_BODIES_BYTES_MAX / STRANGER_BODY_BYTES_MAX {
        let (mut sender, mut body, allowance) = request(&bodies);
        send(&mut sender, STRANGER_BODY_BYTES_MAX).await;
        body.frame().await.unwrap().unwrap();
        strangers.push((sender, body, allowance));
    }
    assert!(matches!(read(&bodies, 1, None).await, Err(BodyError::Busy)));
    // Those who are known have room of their own.
    assert_eq!(read(&bodies, BODIES_BYTES_MAX, Some(BODIES_BYTES_MAX)).await.unwrap(), BODIES_BYTES_MAX);
    let more = BODIES_BYTES_MAX + 1;
    assert!(matches!(read(&bodies, more, Some(more)).await, Err(BodyError::Busy)));
    strangers.pop();
    assert_eq!(read(&bodies, 1, None).await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_not_held_any_more_gives_its_room_back() {
    let bodies = Bodies::default();
    let (mut sender, mut body, allowance) = request(&bodies);
    allowance.raise(2 * BODIES_BYTES_MAX);
    for _ in 0..2 {
        send(&mut sender, BODIES_BYTES_MAX).await;
        body.frame().await.unwrap().unwrap();
        assert!(matches!(read(&bodies, 1, Some(1)).await, Err(BodyError::Busy)));
        allowance.give_back();
    }
    assert_eq!(read(&bodies, 1, Some(1)).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_comes_at_some_rate_or_is_given_up() {
    let bodies = Bodies::default();
    let (_sender, mut body, _allowance) = request(&bodies);
    let start = Instant::now();
    assert!(matches!(body.frame().await, Some(Err(BodyError::TooSlow))));
    assert_eq!(start.elapsed(), BODY_GRACE);

    let (mut sender, mut body, allowance) = request(&bodies);
    allowance.raise(usize::MAX);
    let start = Instant::now();
    let seconds = 3;
    let bytes = usize::try_from(seconds * BODY_BYTES_PER_SEC_MIN).unwrap();
    send(&mut sender, bytes).await;
    body.frame().await.unwrap().unwrap();
    assert!(matches!(body.frame().await, Some(Err(BodyError::TooSlow))));
    assert_eq!(start.elapsed(), BODY_GRACE + Duration::from_secs(seconds));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_read_is_drawn_off_for_a_while() {
    let bodies = Bodies::default();
    let (mut sender, body, _allowance) = request(&bodies);
    drop(body);
    for _ in 0..REFUSED_BODY_BYTES_MAX / CHUNK {
        send(&mut sender, CHUNK).await;
    }
    // One is on its way, one waits in the channel.
    let mut further = 0;
    while sender.send_data(Bytes::from_static(b"x")).await.is_ok() {
        further += 1;
    }
    assert!(further <= 3, "{further}");

    let (mut sender, body, _allowance) = request(&bodies);
    drop(body);
    tokio::time::sleep(REFUSED_BODY_TIMEOUT / 2).await;
    send(&mut sender, CHUNK).await;
    tokio::time::sleep(REFUSED_BODY_TIMEOUT).await;
    assert!(sender.send_data(Bytes::new()).await.is_err());
}

#[tokio::test]
async fn whoever_waits_to_be_asked_for_a_body_is_not() {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
    let expects = Request::builder().header(header::EXPECT, "100-continue").body(body).unwrap();
    drop(Bodies::default().measure(expects));
    assert!(sender.send_data(Bytes::new()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_gives_way_is_counted_at_its_listener() {
    let gave_way = GaveWay::default();
    let admissions = Admissions::counting(ServerLimits::default(), gave_way.clone());
    let admission = admissions.try_enter([192, 0, 2, 1].into()).unwrap();
    let request = |bodies: &Bodies| {
        let (sender, body) = Channel::<Bytes, Infallible>::new(8);
        let request = Request::builder().extension(admission.clone()).body(body).unwrap();
        let (request, allowance) = bodies.measure(request);
        (sender, request.into_body(), allowance)
    };
    let bodies = Bodies { strangers: Arc::new(Semaphore::new(1)), ..Bodies::default() };
    let (mut sender, mut body, _allowance) = request(&bodies);
    send(&mut sender, 2).await;
    assert!(matches!(body.frame().await, Some(Err(BodyError::Busy))));
    let (_sender, mut body, _allowance) = request(&bodies);
    assert!(matches!(body.frame().await, Some(Err(BodyError::TooSlow))));
    let counted: Vec<_> = gave_way.counts().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [(Reason::BodyRoom, 1), (Reason::BodySlow, 1)]);
}
