//! Through a proxy of HTTP: which connections go there, and how they are asked for (`CONNECT`).

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;

use super::upgrade::{self, UpgradeError};

/// Port of a proxy whose address names none.
const DEFAULT_PORT: u16 = 80;

/// The proxy to use, if there is one, and whom to connect to without it. Cheap to clone. Shows no credentials.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    proxy: Option<Arc<Proxy>>,
    without: Arc<[Exception]>,
}

/// The address is that of no proxy we can use. Says nothing of what it is, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not http://[USER:PASSWORD@]HOST[:PORT]")]
pub struct ProxyUrlError;

/// Why a proxy did not connect us.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// It refused.
    #[error("the proxy refused with status {}{}", .0.as_u16(), if *.0 == StatusCode::PROXY_AUTHENTICATION_REQUIRED { ": it wants other credentials" } else { "" })]
    Refused(StatusCode),
    /// The exchange failed.
    #[error("the exchange with the proxy failed")]
    Exchange(#[source] hyper::Error),
    /// It sent more than an answer.
    #[error("the proxy speaks before it is spoken to")]
    Chatter,
}

/// A proxy.
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// `Basic …`.
    authorization: Option<HeaderValue>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Whom to connect to directly.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Exception {
    Everybody,
    /// A host and what is below it, or one address; with a port, that port only.
    Host {
        name: String,
        port: Option<u16>,
    },
}

impl Proxies {
    /// A proxy by its address, as in the environment: `http://[USER:PASSWORD@]HOST[:PORT]`, where user and password may be
    /// percent-encoded; and whom it is not for: names separated by commas, each with what is below it; `*` is everybody.
    pub fn new(url: &str, no_proxy: &str) -> Result<Self, ProxyUrlError> {
        if url.trim().is_empty() {
            return Ok(Self::default());
        }
        let without = no_proxy.split([',', ' ']).filter_map(Exception::read).collect();
        Ok(Self { proxy: Some(Arc::new(Proxy::read(url.trim())?)), without })
    }

    /// Whether a host is connected to through a proxy.
    pub fn apply_to(&self, host: &str, port: u16) -> bool {
        self.of(host, port).is_some()
    }

    pub(super) fn of(&self, host: &str, port: u16) -> Option<&Proxy> {
        let is_direct = self.without.iter().any(|exception| exception.covers(host, port));
        self.proxy.as_deref().filter(|_| !is_direct)
    }
}

impl Exception {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        if text == "*" {
            return Some(Self::Everybody);
        }
        let (name, port) = match text.rsplit_once(':') {
            // More colons than one are those of an address.
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse() {
                Ok(port) => (name, Some(port)),
                Err(_) => (text, None),
            },
            _ => (text, None),
        };
        let name = name.trim_start_matches('*').trim_start_matches('.').trim_matches(['[', ']']);
        Some(Self::Host { name: name.to_ascii_lowercase(), port })
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        let Self::Host { name, port: only } = self else { return true };
        let host = host.to_ascii_lowercase();
        let is_below = || host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
        only.is_none_or(|only| only == port) && (host == *name || is_below())
    }
}

impl Proxy {
    fn read(url: &str) -> Result<Self, ProxyUrlError> {
        let rest = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(ProxyUrlError),
            None => url,
        };
        // A password may hold a slash that is not encoded, a host does not.
        let (credentials, address) =
            rest.rsplit_once('@').map_or((None, rest), |(before, after)| (Some(before), after));
        let address = address.split('/').next().unwrap_or_default();
        let address: Authority = address.parse().map_err(|_| ProxyUrlError)?;
        let host = address.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match address.as_str().rsplit_once(':') {
            Some((_, port)) if !port.ends_with(']') => port.parse().map_err(|_| ProxyUrlError)?,
            _ => DEFAULT_PORT,
        };
        if host.is_empty() || port == 0 {
            return Err(ProxyUrlError);
        }
        Ok(Self { host, port, authorization: credentials.map(authorization).transpose()? })
    }

    /// Makes the connection to the proxy one to the host. A proxy that says more than that it is one now is not trusted: TLS
    /// begins with our words.
    pub(super) async fn connect(&self, stream: TcpStream, host: &str, port: u16) -> Result<TcpStream, ProxyError> {
        let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = Method::CONNECT;
        // What is no authority was no name for TLS either, and did not come here.
        *request.uri_mut() = authority.parse().unwrap_or_default();
        request.headers_mut().extend(HeaderValue::from_str(&authority).map(|host| (HOST, host)));
        request.headers_mut().extend(self.authorization.clone().map(|value| (PROXY_AUTHORIZATION, value)));
        let (_, upgraded) = upgrade::ask(stream, request).await.map_err(|error| match error {
            UpgradeError::Refused(status) => ProxyError::Refused(status),
            UpgradeError::Exchange(error) => ProxyError::Exchange(error),
        })?;
        match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) if parts.read_buf.is_empty() => Ok(parts.io.into_inner()),
            _ => Err(ProxyError::Chatter),
        }
    }
}

/// The header for `USER:PASSWORD`.
fn authorization(credentials: &str) -> Result<HeaderValue, ProxyUrlError> {
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let mut plain = percent_decode_str(user).collect::<Vec<u8>>();
    plain.push(b':');
    plain.extend(percent_decode_str(password));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(plain))).map_err(|_| ProxyUrlError)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(url: &str) -> (String, u16, Option<String>) {
        let Proxy { host, port, authorization } = Proxy::read(url).unwrap();
        let plain = authorization.map(|value| {
            let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap().to_owned();
            String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
        });
        (host, port, plain)
    }

    #[test]
    fn addresses_as_they_are_written() {
        for (url, host, port, credentials) in [
            ("http://proxy.example:3128", "proxy.example", 3128, None),
            ("HTTP://proxy.example/", "proxy.example", 80, None),
            ("proxy.example:8080", "proxy.example", 8080, None),
            ("http://[::1]:3128/", "::1", 3128, None),
            ("http://[::1]", "::1", 80, None),
            ("http://user:secret@10.0.0.1:3128", "10.0.0.1", 3128, Some("user:secret")),
            ("http://user@proxy", "proxy", 80, Some("user:")),
            ("http://dom%5Cuser:p%40ss%3A%2Fw%25@proxy:81", "proxy", 81, Some("dom\\user:p@ss:/w%")),
            ("http://user:p@ss/word@proxy:81", "proxy", 81, Some("user:p@ss/word")),
            ("http://:@proxy", "proxy", 80, Some(":")),
        ] {
            assert_eq!(read(url), (host.to_owned(), port, credentials.map(str::to_owned)), "{url}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_a_word_of_it() {
        for url in [
            "https://proxy",
            "socks5://u:secret@proxy",
            "http://",
            "http://u:secret@",
            "http://p:99999",
            "http://p:0",
            "http://a b",
        ] {
            let error = Proxies::new(url, "").unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert!(!Proxies::new("", "").unwrap().apply_to("hub", 443));
    }

    #[test]
    fn credentials_are_not_shown() {
        let proxies = Proxies::new("http://user:secret@proxy:3128", "").unwrap();
        let shown = format!("{proxies:?} {proxies:#?}");
        let encoded = STANDARD.encode("user:secret");
        assert!(shown.contains("proxy:3128") && !shown.contains("secret") && !shown.contains(&encoded), "{shown}");
    }

    #[test]
    fn some_are_connected_to_without_it() {
        for (no_proxy, host, port, applies) in [
            ("", "hub.example.test", 443, true),
            ("*", "hub.example.test", 443, false),
            ("hub.example.test", "hub.example.test", 443, false),
            ("HUB.example.test", "hub.Example.test", 443, false),
            ("example.test", "hub.example.test", 443, false),
            (".example.test", "hub.example.test", 443, false),
            ("*.example.test", "hub.example.test", 443, false),
            ("ample.test", "hub.example.test", 443, true),
            ("localhost, 10.0.0.1 ,other", "10.0.0.1", 443, false),
            ("10.0.0.1:8443", "10.0.0.1", 443, true),
            ("10.0.0.1:8443", "10.0.0.1", 8443, false),
            ("::1", "::1", 443, false),
            ("[::1]:443", "::1", 443, false),
            ("[::1]:443", "::1", 8883, true),
            (",,", "hub.example.test", 443, true),
        ] {
            let proxies = Proxies::new("http://proxy", no_proxy).unwrap();
            assert_eq!(proxies.apply_to(host, port), applies, "{no_proxy}: {host}:{port}");
        }
    }
}
