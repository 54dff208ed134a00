//! The limits of a socket, as who connects to it meets them.
#![allow(clippy::unwrap_used)]
use super::*;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// Answers with the length of the body.
struct Count;

impl Api for Count {
    async fn call(&self, call: Call) -> Answer {
        reply(StatusCode::OK, &json!(call.body.len()))
    }
}

/// Says that a request is under way, and answers when it may.
struct Slow {
    begun: mpsc::Sender<()>,
    may_end: Notify,
}

impl Api for Slow {
    async fn call(&self, _: Call) -> Answer {
        self.begun.send(()).await.unwrap();
        self.may_end.notified().await;
        empty(StatusCode::NO_CONTENT)
    }
}

fn serve_in(dir: &Path, api: impl Api) -> (PathBuf, Socket) {
    let path = dir.join("s.sock");
    let socket = serve(&path, 0o600, Arc::new(api)).unwrap();
    (path, socket)
}

/// All that comes until the server closes.
async fn rest(stream: &mut UnixStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn the_longest_path_the_kernel_takes_is_served_and_a_longer_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let room = SOCKET_PATH_BYTES_MAX - dir.path().as_os_str().len() - 1;
    let longest = dir.path().join("x".repeat(room));
    let _socket = serve(&longest, 0o600, Arc::new(Count)).unwrap();
    assert_eq!(request(&longest, Method::GET, "/", Bytes::new()).await.unwrap().0, 200);
    let longer = dir.path().join("x".repeat(room + 1));
    let refusal = serve(&longer, 0o600, Arc::new(Count)).unwrap_err();
    assert!(matches!(&refusal, ServeSocketError::PathTooLong { path } if *path == longer), "{refusal}");
}

#[tokio::test(start_paused = true)]
async fn so_many_requests_are_under_way_and_the_next_is_closed_until_one_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (begun, mut beginnings) = mpsc::channel(SOCKET_REQUESTS_MAX);
    let api = Arc::new(Slow { begun, may_end: Notify::new() });
    let path = dir.path().join("s.sock");
    let _socket = serve(&path, 0o600, Arc::clone(&api)).unwrap();
    let mut begin = async || {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        beginnings.recv().await.unwrap();
        stream
    };
    let mut under_way = Vec::new();
    for _ in 0..SOCKET_REQUESTS_MAX {
        under_way.push(begin().await);
    }
    let closed = Instant::now();
    let mut beyond = UnixStream::connect(&path).await.unwrap();
    assert_eq!(rest(&mut beyond).await, "", "closed without an answer");
    assert_eq!(closed.elapsed(), Duration::ZERO, "at once, not because no request came");
    api.may_end.notify_one();
    // They wait in the order in which they came.
    let first = rest(&mut under_way.remove(0)).await;
    assert!(first.starts_with("HTTP/1.1 204"), "{first}");
    under_way.push(begin().await);
    api.may_end.notify_waiters();
    for mut stream in under_way {
        assert!(rest(&mut stream).await.starts_with("HTTP/1.1 204"));
    }
}

#[tokio::test]
async fn a_body_of_the_largest_size_is_taken_and_one_byte_more_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _socket) = serve_in(dir.path(), Count);
    let largest = Bytes::from(vec![b'x'; SOCKET_BODY_BYTES_MAX]);
    let (status, body) = request(&path, Method::POST, "/", largest).await.unwrap();
    assert_eq!((status.as_u16(), &body[..]), (200, SOCKET_BODY_BYTES_MAX.to_string().as_bytes()));
    let larger = Bytes::from(vec![b'x'; SOCKET_BODY_BYTES_MAX + 1]);
    let (status, body) = request(&path, Method::POST, "/", larger).await.unwrap();
    assert_eq!((status.as_u16(), &body[..]), (413, br#"{"message":"the body is too large or broken"}"#.as_slice()));
}

/// Whoever sends nothing, or the head of a request drop by drop, does not keep its place; nor does whoever was answered and
/// asks nothing more.
#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_in_time_ends_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _socket) = serve_in(dir.path(), Count);
    let begun = Instant::now();
    let mut silent = UnixStream::connect(&path).await.unwrap();
    let mut slow = UnixStream::connect(&path).await.unwrap();
    let mut answered = UnixStream::connect(&path).await.unwrap();
    slow.write_all(b"GET / HTTP").await.unwrap();
    answered.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    answered.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    tokio::time::sleep(SOCKET_REQUEST_TIMEOUT - Duration::from_secs(1)).await;
    slow.write_all(b"/1.1\r\nhost: ").await.unwrap();
    for stream in [&mut silent, &mut slow, &mut answered] {
        rest(stream).await;
        let late = begun.elapsed().checked_sub(SOCKET_REQUEST_TIMEOUT);
        assert!(late.is_some_and(|late| late < Duration::from_millis(10)), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_in_time_is_answered_with_408() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _socket) = serve_in(dir.path(), Count);
    let head = b"POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 2\r\n\r\n1";
    // In time, by a second.
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(head).await.unwrap();
    tokio::time::sleep(SOCKET_REQUEST_TIMEOUT - Duration::from_secs(1)).await;
    stream.write_all(b"2").await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // Never.
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(head).await.unwrap();
    let begun = Instant::now();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let late = begun.elapsed().checked_sub(SOCKET_REQUEST_TIMEOUT);
    assert!(late.is_some_and(|late| late < Duration::from_millis(10)), "{:?}", begun.elapsed());
}
