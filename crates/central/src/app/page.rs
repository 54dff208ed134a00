//! Pages of lists: a page starts after the last item of the one before, so items made or deleted meanwhile neither double
//! nor hide others.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::AppError;

/// Sort keys of the last item of a page: the text sorted by, and the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The text sorted by.
    pub name: String,
    /// The id, which decides among equal texts.
    pub id: String,
}

impl Cursor {
    /// For a list that has no other order than that of its ids.
    pub fn of_id(id: &str) -> Self {
        Self { name: String::new(), id: id.to_owned() }
    }

    /// As it travels in a link.
    pub fn encode(&self) -> String {
        let json = serde_json::to_vec(&(&self.name, &self.id)).expect("two texts are plain JSON");
        URL_SAFE_NO_PAD.encode(json)
    }

    /// Reads what [`Cursor::encode`] wrote.
    pub fn decode(text: &str) -> Result<Self, AppError> {
        let refused = || AppError::BadRequest("The link of the next page is not one of ours.".to_owned());
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let (name, id) = serde_json::from_slice(&json).map_err(|_| refused())?;
        Ok(Self { name, id })
    }
}

/// What a caller wants of a list.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// Ordered by display name instead of by id.
    pub by_display_name: bool,
    /// Order turned round.
    pub descending: bool,
    /// Where the page starts.
    pub after: Option<Cursor>,
    /// Items wanted, at least one.
    pub size: u32,
}

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page starts; absent on the last one.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// The page of a list that was read with one item more than the page holds, if there was one more.
    pub fn from_one_more(mut items: Vec<T>, size: u32, cursor: impl Fn(&T) -> Cursor) -> Self {
        let size = size as usize;
        let next = if items.len() > size {
            items.truncate(size);
            items.last().map(cursor)
        } else {
            None
        };
        Self { items, next }
    }

    /// The page of a list that is all in memory.
    pub fn of_all(mut items: Vec<T>, request: &PageRequest, cursor: impl Fn(&T) -> Cursor) -> Self {
        let key = |item: &T| {
            let Cursor { name, id } = cursor(item);
            if request.by_display_name { (name, id) } else { (String::new(), id) }
        };
        items.sort_by_cached_key(|item| key(item));
        if request.descending {
            items.reverse();
        }
        if let Some(after) = &request.after {
            let name = if request.by_display_name { after.name.clone() } else { String::new() };
            let after = (name, after.id.clone());
            items.retain(|item| if request.descending { key(item) < after } else { key(item) > after });
        }
        Self::from_one_more(items, request.size, cursor)
    }

    /// The page with each item changed.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn pages_in_memory_follow_each_other() {
        let all: Vec<(String, String)> = (0..7).map(|n| (format!("name {}", n % 3), format!("id {n}"))).collect();
        let cursor = |(name, id): &(String, String)| Cursor { name: name.clone(), id: id.clone() };
        for (by_display_name, descending) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut request = PageRequest { by_display_name, descending, after: None, size: 2 };
            let mut seen = Vec::new();
            loop {
                let page = Page::of_all(all.clone(), &request, cursor);
                seen.extend(page.items);
                let Some(next) = page.next else { break };
                request.after = Some(Cursor::decode(&next.encode()).unwrap());
            }
            let mut expected = all.clone();
            expected.sort_by_key(|(name, id)| {
                if by_display_name { (name.clone(), id.clone()) } else { (String::new(), id.clone()) }
            });
            if descending {
                expected.reverse();
            }
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn foreign_cursors_are_refused() {
        for text in ["", "!", "bnVsbA", "W10"] {
            assert!(Cursor::decode(text).is_err(), "{text}");
        }
    }
}
