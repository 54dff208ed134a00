//! The letters of header names: a message's properties come as headers, and `Zone` is not `zone`.
//!
//! Header names have no case, so every library reads them in small letters. hyper remembers how they were written, in an
//! extension of the request, for proxies: nobody can look into it, but whoever writes a request with that extension writes the
//! names as they were. So a head with such names is written into memory, and read from there.

use axum::body::Body;
use http::{Extensions, HeaderMap, Request, Version};
use hub::device_http::{HeaderNames, is_application_property};
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;

use crate::limits::HTTP_NAMES_BUFFER_BYTES;

/// The request, with the names of its headers as they were written if one of them is that of a property.
pub(super) async fn keep(mut request: Request<Body>) -> Request<Body> {
    let has_properties = request.headers().keys().any(|name| is_application_property(name.as_str()));
    if has_properties && request.version() < Version::HTTP_2 {
        // Without them the message has its properties all the same, in small letters.
        let (headers, extensions) = (request.headers().clone(), request.extensions().clone());
        let names = as_written(headers, extensions).await.unwrap_or_default();
        request.extensions_mut().insert(HeaderNames(names));
    }
    request
}

async fn as_written(headers: HeaderMap, extensions: Extensions) -> Option<Vec<String>> {
    let mut head = Request::get("/").body(Body::empty()).ok()?;
    (*head.headers_mut(), *head.extensions_mut()) = (headers, extensions);
    let (near, mut far) = tokio::io::duplex(HTTP_NAMES_BUFFER_BYTES);
    let (mut sender, connection) = Builder::new().handshake::<_, Body>(TokioIo::new(near)).await.ok()?;
    let written = async move {
        let mut text = Vec::new();
        while !text.windows(4).any(|end| end == b"\r\n\r\n") && far.read_buf(&mut text).await.is_ok_and(|read| read > 0)
        {
        }
        text
    };
    let text = tokio::select! {
        // Neither ends before the head is written: there is nobody to answer.
        biased;
        text = written => text,
        _ = async { tokio::join!(connection, sender.send_request(head)) } => return None,
    };
    let lines = String::from_utf8_lossy(&text).into_owned();
    Some(lines.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect())
}
