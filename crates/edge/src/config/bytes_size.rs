//! Sizes as people write them: `1073741824`, `"512 MiB"`, `"2GB"`.

use serde::Deserialize;

use super::BadValue;

/// A size, either a number of bytes or text with a unit.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum BytesSize {
    /// Bytes.
    Number(u64),
    /// Number and unit.
    Text(String),
}

/// The least that leaves room for a few segments.
const BYTES_MIN: u64 = 1024 * 1024;

impl BytesSize {
    /// The number of bytes, at least one MiB.
    pub(super) fn bytes(&self, key: &'static str) -> Result<u64, BadValue> {
        let bytes = match self {
            Self::Number(bytes) => *bytes,
            Self::Text(text) => parse(text)
                .ok_or_else(|| BadValue::new(key, format!("is {text:?}; write bytes or a size like \"512 MiB\"")))?,
        };
        if bytes < BYTES_MIN {
            return Err(BadValue::new(key, format!("is {bytes} bytes; at least {BYTES_MIN} are needed")));
        }
        Ok(bytes)
    }
}

fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KB" | "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" | "K" | "k" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let cases = [
            ("1048576", Some(1 << 20)),
            ("1MiB", Some(1 << 20)),
            ("512 MiB", Some(512 << 20)),
            ("2 GB", Some(2_000_000_000)),
            ("2G", Some(2 << 30)),
            ("", None),
            ("many", None),
            ("1.5 GiB", None),
            ("99999999999999999999", None),
            ("18446744073709551615 GiB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn less_than_a_mebibyte_is_refused() {
        assert!(BytesSize::Number(BYTES_MIN).bytes("k").is_ok());
        assert!(BytesSize::Number(BYTES_MIN - 1).bytes("k").is_err());
    }
}
