//! The tables of `docs/reference/limits.md`, as the examples print them from the constants.
#![allow(clippy::print_stdout, reason = "the page goes to standard output")]

/// Bytes as people read them.
pub fn size(bytes: usize) -> String {
    match bytes {
        bytes if bytes >= 10 << 20 => format!("{} MiB", bytes.div_ceil(1 << 20)),
        bytes => format!("{} KiB", bytes.div_ceil(1 << 10)),
    }
}

/// Prints a table: what, at most how much of it, and what that is made of.
pub fn table(title: &str, about: &str, rows: &[(&str, String, String)]) {
    println!("\n### {title}\n\n{about}\n\n| What | At most | Made of |\n| --- | --- | --- |");
    for (what, most, parts) in rows {
        println!("| {what} | {most} | {parts} |");
    }
}
