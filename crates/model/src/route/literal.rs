//! The values behind literals of the text, and numbers read from text at run time.

/// A decimal literal. `e5` and `-E3` are tokens of the grammar but no numbers: they have no value.
pub(super) fn decimal(written: &str) -> Option<f64> {
    written.parse().ok()
}

/// The digits of a hexadecimal literal, read as a signed 64-bit number (`0xFFFFFFFFFFFFFFFF` is -1); longer ones have no
/// value.
pub(super) fn hexadecimal(digits: &str) -> Option<f64> {
    u64::from_str_radix(digits.trim_start_matches('0'), 16)
        .or_else(|error| if digits.bytes().all(|digit| digit == b'0') { Ok(0) } else { Err(error) })
        .ok()
        .map(|bits| bits.cast_signed() as f64)
}

/// The text between quotes with its escapes resolved, in two passes as the original does: first every `\uXXXX` (also
/// behind an escaped backslash), then `\"`, `\'` and `\\`. Half of a surrogate pair becomes U+FFFD.
pub(super) fn unescape(written: &str) -> String {
    if !written.contains('\\') {
        return written.to_owned();
    }
    let units: Vec<u16> = written.encode_utf16().collect();
    String::from_utf16_lossy(&unescape_quotes(&unescape_code_units(&units)))
}

const BACKSLASH: u16 = b'\\' as u16;

fn unescape_code_units(units: &[u16]) -> Vec<u16> {
    let mut resolved = Vec::with_capacity(units.len());
    let mut at = 0;
    while at < units.len() {
        match escaped_code_unit(&units[at..]) {
            Some(unit) => {
                resolved.push(unit);
                at += 6;
            }
            None => {
                resolved.push(units[at]);
                at += 1;
            }
        }
    }
    resolved
}

fn escaped_code_unit(units: &[u16]) -> Option<u16> {
    let [BACKSLASH, letter, digits @ ..] = units else { return None };
    if *letter != u16::from(b'u') && *letter != u16::from(b'U') {
        return None;
    }
    let mut value = 0;
    for digit in digits.get(..4)? {
        value = value * 16 + char::from_u32(u32::from(*digit))?.to_digit(16)?;
    }
    u16::try_from(value).ok()
}

fn unescape_quotes(units: &[u16]) -> Vec<u16> {
    let mut resolved = Vec::with_capacity(units.len());
    let mut at = 0;
    while at < units.len() {
        let quoted = units.get(at + 1).filter(|next| [b'"', b'\'', b'\\'].map(u16::from).contains(next));
        match quoted {
            Some(next) if units[at] == BACKSLASH => {
                resolved.push(*next);
                at += 2;
            }
            _ => {
                resolved.push(units[at]);
                at += 1;
            }
        }
    }
    resolved
}

/// Reads a number as the original's `as_number` does: blanks around, a sign before or behind, parentheses for negative,
/// commas between the digits of the whole part, the currency sign `¤`, an exponent; also `Infinity` and `NaN`.
pub(super) fn number_of_text(text: &str) -> Option<f64> {
    plain_number(text).or_else(|| named_number(text.trim()))
}

fn named_number(text: &str) -> Option<f64> {
    let (negative, name) = match text.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if name.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    let infinite = if negative { f64::NEG_INFINITY } else { f64::INFINITY };
    name.eq_ignore_ascii_case("infinity").then_some(infinite)
}

fn plain_number(text: &str) -> Option<f64> {
    let mut reader = NumberReader { rest: text, signed: false, negative: false, parenthesis: false, currency: false };
    reader.before_digits();
    let digits = reader.digits()?;
    reader.behind_digits();
    if !reader.rest.trim_end_matches('\0').is_empty() || reader.parenthesis {
        return None;
    }
    let value: f64 = digits.parse().ok()?;
    Some(if reader.negative { -value } else { value })
}

struct NumberReader<'t> {
    rest: &'t str,
    signed: bool,
    negative: bool,
    parenthesis: bool,
    currency: bool,
}

impl NumberReader<'_> {
    /// Blanks are skipped until a sign was read; `- 5` is no number but `-¤ 5` is.
    fn before_digits(&mut self) {
        while let Some(first) = self.rest.chars().next() {
            let blank = is_blank(first) && (!self.signed || self.currency);
            if !(blank || self.sign() || self.open_parenthesis() || self.currency()) {
                return;
            }
            if blank {
                self.take(first);
            }
        }
    }

    /// The digits in the form Rust reads, exponent included; `None` when there is no digit.
    fn digits(&mut self) -> Option<String> {
        let mut digits = String::new();
        let (mut any, mut point) = (false, false);
        while let Some(first) = self.rest.chars().next() {
            match first {
                '0'..='9' => any = true,
                '.' if !point => point = true,
                ',' if any && !point => {
                    self.take(first);
                    continue;
                }
                _ => break,
            }
            digits.push(first);
            self.take(first);
        }
        if !any {
            return None;
        }
        let exponent = exponent_length(self.rest);
        digits.push_str(&self.rest[..exponent]);
        self.rest = &self.rest[exponent..];
        Some(digits)
    }

    fn behind_digits(&mut self) {
        while let Some(first) = self.rest.chars().next() {
            if is_blank(first) {
                self.take(first);
            } else if first == ')' && self.parenthesis {
                self.parenthesis = false;
                self.take(first);
            } else if !(self.sign() || self.currency()) {
                return;
            }
        }
    }

    fn take(&mut self, character: char) {
        self.rest = &self.rest[character.len_utf8()..];
    }

    fn sign(&mut self) -> bool {
        let sign = self.rest.chars().next().filter(|sign| !self.signed && matches!(sign, '+' | '-'));
        if let Some(sign) = sign {
            self.signed = true;
            self.negative = sign == '-';
            self.take(sign);
        }
        sign.is_some()
    }

    fn open_parenthesis(&mut self) -> bool {
        let open = !self.signed && self.rest.starts_with('(');
        if open {
            (self.signed, self.negative, self.parenthesis) = (true, true, true);
            self.take('(');
        }
        open
    }

    fn currency(&mut self) -> bool {
        let currency = !self.currency && self.rest.starts_with('¤');
        if currency {
            self.currency = true;
            self.take('¤');
        }
        currency
    }
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t'..='\r')
}

/// The length of `e5`, `E-3`, `e+2` at the beginning, 0 when there is none.
fn exponent_length(rest: &str) -> usize {
    let Some(power) = rest.strip_prefix(['e', 'E']) else { return 0 };
    let digits = power.strip_prefix(['+', '-']).unwrap_or(power);
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 { 0 } else { rest.len() - digits.len() + count }
}
