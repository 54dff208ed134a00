//! A proxy of HTTP on this machine: takes `CONNECT`, with credentials if it wants some.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// A proxy; connects whoever asks to this machine, whatever the name.
pub struct TestProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl TestProxy {
    /// Starts one. `credentials` are `USER:PASSWORD`.
    pub async fn start(credentials: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let wanted = credentials.map(|plain| format!("Proxy-Authorization: Basic {}", STANDARD.encode(plain)));
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, wanted.clone(), Arc::clone(&seen)));
            }
        });
        Self { address, asked }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `HOST:PORT` of all it was asked to connect to, those it refused for want of credentials with `!` in front.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(stream: TcpStream, wanted: Option<String>, asked: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let target = lines.first()?.strip_prefix("CONNECT ")?.strip_suffix(" HTTP/1.1")?.to_owned();
    // Names of headers have no case, what they hold has.
    let is_same = |line: &String, wanted: &String| {
        let name = wanted.find(':').unwrap_or_default();
        line.len() == wanted.len()
            && line[..name].eq_ignore_ascii_case(&wanted[..name])
            && line[name..] == wanted[name..]
    };
    let is_let_in = wanted.is_none_or(|wanted| lines.iter().any(|line| is_same(line, &wanted)));
    let mark = if is_let_in { "" } else { "!" };
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{mark}{target}"));
    if !is_let_in {
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"test\"\r\ncontent-length: 0\r\n\r\n";
        return stream.write_all(refusal).await.ok();
    }
    let port = target.rsplit(':').next()?.parse::<u16>().ok()?;
    let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else {
        return stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await.ok();
    };
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
    copy_bidirectional(&mut stream, &mut far).await.ok().map(drop)
}
