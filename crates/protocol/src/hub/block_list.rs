//! The list of blocks an uploaded file is made of: `<BlockList><Latest>{id}</Latest>…</BlockList>`, in whatever order and of whatever kind
//! (`Latest`, `Uncommitted`, `Committed`): a block has one place here.

/// The names of the blocks, in order, as they are written; `None` when it is no list.
pub fn read(list: &[u8]) -> Option<Vec<&str>> {
    let text = std::str::from_utf8(list).ok()?;
    let mut rest = text.trim_start_matches('\u{feff}').trim();
    if let Some(declaration) = rest.strip_prefix("<?xml") {
        rest = declaration.split_once("?>")?.1.trim_start();
    }
    if matches!(rest, "<BlockList/>" | "<BlockList />") {
        return Some(Vec::new());
    }
    rest = rest.strip_prefix("<BlockList>")?.strip_suffix("</BlockList>")?.trim();
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        let (kind, after) = rest.strip_prefix('<')?.split_once('>')?;
        if !matches!(kind, "Latest" | "Uncommitted" | "Committed") {
            return None;
        }
        let (block, after) = after.split_once("</")?;
        // A name has no markup in it.
        if block.contains(['<', '>']) {
            return None;
        }
        blocks.push(block.trim());
        rest = after.strip_prefix(kind)?.strip_prefix('>')?.trim_start();
    }
    Some(blocks)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn lists_are_read_as_clients_write_them() {
        let cases: [(&str, Option<&[&str]>); 12] = [
            ("<BlockList><Latest>YQ==</Latest></BlockList>", Some(&["YQ=="])),
            (
                "<?xml version='1.0' encoding='utf-8'?>\n<BlockList><Latest>YQ==</Latest><Latest>Yg==</Latest></BlockList>",
                Some(&["YQ==", "Yg=="]),
            ),
            (
                "\u{feff}<?xml version=\"1.0\"?><BlockList>\n <Uncommitted>YQ==</Uncommitted>\n <Committed>b+/=</Committed>\n</BlockList>\n",
                Some(&["YQ==", "b+/="]),
            ),
            ("<BlockList/>", Some(&[])),
            ("<BlockList></BlockList>", Some(&[])),
            ("", None),
            ("<BlockList>", None),
            ("<BlockList><Latest>YQ==</BlockList>", None),
            ("<BlockList><Latest>YQ==</Committed></BlockList>", None),
            ("<BlockList><Other>YQ==</Other></BlockList>", None),
            ("<BlockList>YQ==</BlockList>", None),
            ("[\"YQ==\"]", None),
        ];
        for (list, expected) in cases {
            assert_eq!(read(list.as_bytes()).as_deref(), expected, "{list}");
        }
        assert_eq!(read(b"<BlockList><Latest>\xff</Latest></BlockList>"), None);
    }
}
