//! Lists: what a query asks for, and the link to the next page.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Uri, header};

use super::PlainHttp;
use crate::app::AppError;
use crate::app::filter::{self, Filter};
use crate::app::page::{Cursor, Page, PageRequest};
use crate::limits::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};

const SKIP_TOKEN: &str = "$skiptoken";

/// The query of a request, and where it came from. Names are read with and without a leading `$`.
pub(super) struct Listing {
    pairs: Vec<(String, String)>,
    origin: String,
    path: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Listing {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let scheme = if parts.extensions.get::<PlainHttp>().is_some() { "http" } else { "https" };
        // HTTP/2 has the authority in the target, HTTP/1.1 in a header.
        let host = parts.uri.authority().map(|authority| authority.as_str().to_owned());
        let header = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
        let host = host.or(header).unwrap_or_else(|| "localhost".to_owned());
        Ok(Self::new(&parts.uri, format!("{scheme}://{host}")))
    }
}

impl Listing {
    fn new(uri: &Uri, origin: String) -> Self {
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned();
        Self { pairs: pairs.collect(), origin, path: uri.path().to_owned() }
    }

    /// The value of a parameter, by either name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let is_named = |found: &str| found == name || found.strip_prefix('$') == Some(name);
        self.pairs.iter().find(|(found, _)| is_named(found)).map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        self.pairs.iter().filter(|(found, _)| found == name).map(|(_, value)| value.clone()).collect()
    }

    /// A whole number within bounds, or the default when it is absent.
    pub(super) fn number<T>(&self, name: &str, bounds: std::ops::RangeInclusive<T>, default: T) -> Result<T, AppError>
    where
        T: std::str::FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.get(name) else { return Ok(default) };
        let (least, most) = (bounds.start(), bounds.end());
        text.parse().ok().filter(|number| bounds.contains(number)).ok_or_else(|| {
            AppError::BadRequest(format!("{name} must be a whole number from {least} to {most}, not '{text}'."))
        })
    }

    /// Whether a flag is set.
    pub(super) fn flag(&self, name: &str) -> Result<bool, AppError> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(text) => Err(AppError::BadRequest(format!("{name} must be true or false, not '{text}'."))),
        }
    }

    /// Whether `expand` asks for the deployment manifest.
    pub(super) fn expands_manifest(&self) -> Result<bool, AppError> {
        match self.get("expand") {
            None | Some("") => Ok(false),
            Some("deploymentManifest") => Ok(true),
            Some(text) => Err(AppError::BadRequest(format!("'{text}' cannot be expanded."))),
        }
    }

    /// The filter, if there is one.
    pub(super) fn filter(&self) -> Result<Option<Filter>, AppError> {
        self.get("filter").filter(|text| !text.trim().is_empty()).map(filter::parse).transpose()
    }

    /// Which page is asked for.
    pub(super) fn page(&self) -> Result<PageRequest, AppError> {
        let size = match self.get("top") {
            Some(_) => self.number("top", 1..=PAGE_SIZE_MAX, PAGE_SIZE_DEFAULT)?,
            None => self.number("maxpagesize", 1..=PAGE_SIZE_MAX, PAGE_SIZE_DEFAULT)?,
        };
        let order = self.get("orderby").filter(|text| !text.trim().is_empty()).map(filter::parse_order).transpose()?;
        Ok(PageRequest {
            by_display_name: order.is_some(),
            descending: order.unwrap_or(false),
            after: self.get("skiptoken").map(Cursor::decode).transpose()?,
            size,
        })
    }

    /// Items and the link to the next page, which carries everything the caller asked for.
    pub(super) fn answer<T>(&self, page: Page<T>) -> (Vec<T>, Option<String>) {
        let next_link = page.next.map(|cursor| self.link(SKIP_TOKEN, &cursor));
        (page.items, next_link)
    }

    /// This request's own address with a parameter changed to a cursor.
    pub(super) fn link(&self, parameter: &str, cursor: &Cursor) -> String {
        let kept = self.pairs.iter().filter(|(name, _)| name != parameter);
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept).append_pair(parameter, &cursor.encode());
        format!("{}{}?{}", self.origin, self.path, query.finish())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn listing(uri: &str) -> Listing {
        Listing::new(&uri.parse().unwrap(), "https://h:1".to_owned())
    }

    #[test]
    fn names_are_read_with_and_without_dollar() {
        for uri in ["/a?$top=7&$orderby=displayName%20desc", "/a?maxpagesize=7&orderby=displayName+desc"] {
            let page = listing(uri).page().unwrap();
            assert_eq!((page.size, page.by_display_name, page.descending), (7, true, true), "{uri}");
        }
        let page = listing("/a").page().unwrap();
        assert_eq!((page.size, page.by_display_name, page.descending), (PAGE_SIZE_DEFAULT, false, false));
    }

    #[test]
    fn pages_have_bounds() {
        for (size, is_allowed) in [("0", false), ("1", true), ("100", true), ("101", false), ("x", false)] {
            assert_eq!(listing(&format!("/a?maxpagesize={size}")).page().is_ok(), is_allowed, "{size}");
        }
    }

    #[test]
    fn the_next_link_carries_everything() {
        let cursor = Cursor { name: "n".to_owned(), id: "i".to_owned() };
        let first = listing("/api/devices?api-version=2022-07-31&$filter=a%20eq%20'b'&$skiptoken=old");
        let link = first.link(SKIP_TOKEN, &cursor);
        assert!(link.starts_with("https://h:1/api/devices?"), "{link}");
        let second = listing(link.strip_prefix("https://h:1").unwrap());
        assert_eq!(second.get("api-version"), Some("2022-07-31"));
        assert_eq!(second.get("filter"), Some("a eq 'b'"));
        assert_eq!(second.all(SKIP_TOKEN), [cursor.encode()]);
    }
}
