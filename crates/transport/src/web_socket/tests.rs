#![allow(clippy::unwrap_used)]

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Duration, timeout};

use super::*;
use crate::limits::READ_BYTES_MAX;
use crate::stream::read_burst;

const PIPE_BYTES: usize = 1024 * 1024;

/// A server's end, and the bare stream of its client.
fn server() -> (WebSocket<DuplexStream>, DuplexStream) {
    let (near, far) = duplex(PIPE_BYTES);
    (WebSocket::new(near, Role::Server), far)
}

fn masked(sent: Sent<'_>) -> BytesMut {
    let mut out = BytesMut::new();
    encode(sent, Some([9, 8, 7, 6]), &mut out);
    out
}

async fn read_all(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test]
async fn both_roles_carry_bytes_both_ways_and_close_in_order() {
    let (near, far) = duplex(1000);
    let (mut client, mut server) = (WebSocket::new(near, Role::Client), WebSocket::new(far, Role::Server));
    let bytes: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
    let sent = bytes.clone();
    let echo = tokio::spawn(async move {
        let mut received = vec![0; sent.len()];
        server.read_exact(&mut received).await.unwrap();
        server.write_all(&received).await.unwrap();
        server.flush().await.unwrap();
        assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0, "the client closes");
        assert_eq!(server.decoder.closed(), Some(Some(NORMAL)));
        server.shutdown().await.unwrap();
        assert_eq!(server.write(b"late").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    });
    client.write_all(&bytes).await.unwrap();
    client.flush().await.unwrap();
    let mut received = vec![0; bytes.len()];
    client.read_exact(&mut received).await.unwrap();
    assert_eq!(received, bytes);
    client.shutdown().await.unwrap();
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(client.decoder.closed(), Some(Some(NORMAL)), "the answer to our close");
    echo.await.unwrap();
}

#[tokio::test]
async fn one_burst_takes_what_many_frames_hold() {
    let (mut server, mut client) = server();
    let mut wire = BytesMut::new();
    for _ in 0..1_000 {
        wire.extend_from_slice(&masked(Sent::Bytes(b"0123456789")));
    }
    assert!(wire.len() < READ_BYTES_MAX);
    client.write_all(&wire).await.unwrap();
    let mut input = BytesMut::new();
    assert_eq!(read_burst(&mut server, &mut input).await.unwrap(), 10_000);
}

#[tokio::test]
async fn a_ping_is_answered_while_somebody_reads() {
    let (mut server, mut client) = server();
    client.write_all(&masked(Sent::Ping(b"there?"))).await.unwrap();
    // Nothing to read, and still the answer goes out.
    assert!(timeout(Duration::from_millis(1), server.read(&mut [0; 8])).await.is_err());
    let mut pong = [0; 8];
    client.read_exact(&mut pong).await.unwrap();
    assert_eq!(pong, *b"\x8A\x06there?");
}

#[tokio::test]
async fn who_pings_and_does_not_read_holds_one_answer() {
    let (near, mut client) = duplex(256);
    let mut server = WebSocket::new(near, Role::Server);
    let served = tokio::spawn(async move {
        let read = read_burst(&mut server, &mut BytesMut::new()).await.unwrap();
        (server, read)
    });
    for _ in 0..1_000 {
        client.write_all(&masked(Sent::Ping(&[7; 125]))).await.unwrap();
    }
    client.write_all(&masked(Sent::Bytes(b"x"))).await.unwrap();
    let (server, read) = served.await.unwrap();
    assert_eq!(read, 1);
    assert!(server.out.len() <= 127, "{}", server.out.len());
}

#[tokio::test]
async fn what_may_not_be_sent_is_an_error_and_told_with_its_code() {
    for (frame, code) in [
        (vec![0x81, 0x80, 0, 0, 0, 0], 1003_u16),
        (vec![0x82, 0x00], 1002),
        ([&[0x82, 0xFF][..], &(WEB_SOCKET_FRAME_BYTES_MAX + 1).to_be_bytes(), &[0; 4]].concat(), 1009),
    ] {
        let (mut server, mut client) = server();
        client.write_all(&masked(Sent::Bytes(b"before"))).await.unwrap();
        client.write_all(&frame).await.unwrap();
        client.write_all(&[0; 100]).await.unwrap();
        let mut input = BytesMut::new();
        let error = loop {
            if let Err(error) = read_burst(&mut server, &mut input).await {
                break error;
            }
        };
        assert_eq!(error.downcast::<Violation>().unwrap().code(), code);
        server.shutdown().await.unwrap();
        // What the client sends still can be drawn off.
        drop(tokio::io::split(&mut client));
        client.shutdown().await.unwrap();
        while read_burst(&mut server, &mut input).await.unwrap() > 0 {}
        drop(server);
        assert_eq!(read_all(client).await, [&[0x88, 2][..], &code.to_be_bytes()].concat());
    }
}

#[tokio::test]
async fn the_longest_frame_is_taken_and_written_ones_are_shorter() {
    let (mut server, mut client) = server();
    let head = [&[0x82, 0xFF][..], &WEB_SOCKET_FRAME_BYTES_MAX.to_be_bytes(), &[0; 4], b"first"].concat();
    client.write_all(&head).await.unwrap();
    let mut input = BytesMut::new();
    assert_eq!(read_burst(&mut server, &mut input).await.unwrap(), 5);
    let bytes = vec![1; WEB_SOCKET_WRITE_BYTES_MAX + 1];
    assert_eq!(server.write(&bytes).await.unwrap(), WEB_SOCKET_WRITE_BYTES_MAX);
}
