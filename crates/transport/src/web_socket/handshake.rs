//! What client and server say before the first frame.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version};
use protocol::web_socket::MQTT;

/// The standard's number of the protocol.
const VERSION: &str = "13";

/// Appended to the client's key: who answers with the digest has understood the request.
const ACCEPT_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a client may speak over a WebSocket. AMQP's (`AMQPWSB10`) would stand beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subprotocol {
    Mqtt,
}

impl Subprotocol {
    fn named(name: &str) -> Option<Self> {
        name.eq_ignore_ascii_case(MQTT).then_some(Self::Mqtt)
    }
}

/// A request for a WebSocket that can be had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The answer to the client's key.
    pub(crate) accept: HeaderValue,
    pub(crate) subprotocol: Subprotocol,
    /// Its name, as the client writes it.
    pub(crate) name: HeaderValue,
}

/// A request for one that cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) reason: &'static str,
}

/// Whether a request asks for a WebSocket at all.
pub(crate) fn is_asked_for(headers: &HeaderMap) -> bool {
    names(headers, UPGRADE).any(|name| name.eq_ignore_ascii_case("websocket"))
}

/// Judges a request for a WebSocket.
pub(crate) fn check<B>(request: &Request<B>) -> Result<Offer, Refused> {
    let bad = |reason| Refused { status: StatusCode::BAD_REQUEST, reason };
    let headers = request.headers();
    if !is_asked_for(headers) {
        return Err(Refused { status: StatusCode::UPGRADE_REQUIRED, reason: "only WebSockets are taken here" });
    }
    if request.method() != Method::GET || request.version() != Version::HTTP_11 {
        return Err(bad("a WebSocket is asked for with GET of HTTP/1.1"));
    }
    if !names(headers, CONNECTION).any(|name| name.eq_ignore_ascii_case("upgrade")) {
        return Err(bad("the header Connection does not name Upgrade"));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        return Err(Refused { status: StatusCode::UPGRADE_REQUIRED, reason: "only version 13 of WebSocket is spoken" });
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok()).unwrap_or_default();
    if !STANDARD.decode(key).is_ok_and(|key| key.len() == 16) {
        return Err(bad("the header Sec-WebSocket-Key is not the base64 of 16 bytes"));
    }
    let spoken = names(headers, SEC_WEBSOCKET_PROTOCOL).find_map(|name| Some((name, Subprotocol::named(name)?)));
    let (name, subprotocol) = spoken.ok_or(bad("the header Sec-WebSocket-Protocol names none that is spoken: mqtt"))?;
    let name = HeaderValue::from_str(name).map_err(|_| bad("the header Sec-WebSocket-Protocol cannot be read"))?;
    Ok(Offer { accept: accept(key), subprotocol, name })
}

/// What the server answers to a client's key.
pub(crate) fn accept(key: &str) -> HeaderValue {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{ACCEPT_SUFFIX}").as_bytes());
    HeaderValue::from_str(&STANDARD.encode(digest)).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A key nobody can guess, for a client.
pub(crate) fn key() -> String {
    let mut key = [0; 16];
    // Without random numbers there is no TLS either; the key need only differ.
    let _ = getrandom::fill(&mut key);
    STANDARD.encode(key)
}

/// The headers with which a client asks for MQTT.
pub(crate) fn asking(key: &str) -> [(HeaderName, HeaderValue); 5] {
    let key = HeaderValue::from_str(key).unwrap_or_else(|_| HeaderValue::from_static(""));
    [
        (CONNECTION, HeaderValue::from_static("Upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION)),
        (SEC_WEBSOCKET_KEY, key),
        (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(MQTT)),
    ]
}

/// The headers of the answer to an offer.
pub(crate) fn granting(offer: Offer) -> [(HeaderName, HeaderValue); 4] {
    [
        (CONNECTION, HeaderValue::from_static("Upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_ACCEPT, offer.accept),
        (SEC_WEBSOCKET_PROTOCOL, offer.name),
    ]
}

/// What is wrong with the headers of an answer to [`asking`].
pub(crate) fn objection(headers: &HeaderMap, key: &str) -> Option<&'static str> {
    if !is_asked_for(headers) || !names(headers, CONNECTION).any(|name| name.eq_ignore_ascii_case("upgrade")) {
        return Some("the answer does not say that the connection is a WebSocket now");
    }
    if headers.get(SEC_WEBSOCKET_ACCEPT) != Some(&accept(key)) {
        return Some("the answer is not to our request");
    }
    let is_mqtt =
        headers.get(SEC_WEBSOCKET_PROTOCOL).is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(MQTT.as_bytes()));
    (!is_mqtt).then_some("MQTT is not spoken there")
}

/// The names in all headers of a kind.
fn names(headers: &HeaderMap, header: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn request(change: impl FnOnce(&mut Request<()>)) -> Request<()> {
        let mut request = Request::get("/$iothub/websocket?iothub-no-client-cert=true").body(()).unwrap();
        request.headers_mut().extend(asking(KEY));
        change(&mut request);
        request
    }

    #[test]
    fn the_example_of_the_standard() {
        assert_eq!(accept(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_request_is_granted_with_the_name_the_client_gave() {
        for (names, granted) in
            [("mqtt", "mqtt"), ("MQTT", "MQTT"), ("AMQPWSB10, mqtt", "mqtt"), ("mqttv3.1 ,mqtt", "mqtt")]
        {
            let request = request(|request| {
                request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(names).unwrap());
                request.headers_mut().insert(CONNECTION, HeaderValue::from_static("keep-alive, UPGRADE"));
                request
                    .headers_mut()
                    .insert("sec-websocket-extensions", HeaderValue::from_static("permessage-deflate"));
            });
            let offer = check(&request).unwrap();
            assert_eq!((offer.subprotocol, offer.name.to_str().unwrap()), (Subprotocol::Mqtt, granted));
            let answer: HeaderMap = granting(offer).into_iter().collect();
            assert_eq!(objection(&answer, KEY), None);
            assert!(!answer.contains_key("sec-websocket-extensions"));
            assert_eq!(objection(&answer, &key()), Some("the answer is not to our request"));
        }
    }

    #[test]
    fn a_request_that_is_none_is_refused() {
        let with = |name: &'static str, value: &'static str| {
            request(|request| drop(request.headers_mut().insert(name, HeaderValue::from_static(value))))
        };
        let without = |name: &'static str| request(|request| drop(request.headers_mut().remove(name)));
        let table = [
            ("no upgrade", without("upgrade"), 426),
            ("another upgrade", with("upgrade", "h2c"), 426),
            ("no connection", without("connection"), 400),
            ("another connection", with("connection", "close"), 400),
            ("no version", without("sec-websocket-version"), 426),
            ("an old version", with("sec-websocket-version", "8"), 426),
            ("no key", without("sec-websocket-key"), 400),
            ("a short key", with("sec-websocket-key", "c2hvcnQ="), 400),
            ("a key that is no base64", with("sec-websocket-key", "!"), 400),
            ("no subprotocol", without("sec-websocket-protocol"), 400),
            ("an unknown subprotocol", with("sec-websocket-protocol", "chat"), 400),
            ("one that is not built", with("sec-websocket-protocol", "AMQPWSB10"), 400),
            ("POST", request(|request| *request.method_mut() = Method::POST), 400),
            ("HTTP/1.0", request(|request| *request.version_mut() = Version::HTTP_10), 400),
            ("HTTP/2", request(|request| *request.version_mut() = Version::HTTP_2), 400),
        ];
        for (name, request, status) in table {
            assert_eq!(check(&request).unwrap_err().status, status, "{name}");
        }
    }

    #[test]
    fn an_answer_that_is_none_is_not_taken() {
        let answer = |name: &'static str| {
            let mut headers: HeaderMap = granting(check(&request(|_| {})).unwrap()).into_iter().collect();
            headers.remove(name);
            headers
        };
        for name in ["connection", "upgrade", "sec-websocket-accept", "sec-websocket-protocol"] {
            assert!(objection(&answer(name), KEY).is_some(), "{name}");
        }
    }
}
