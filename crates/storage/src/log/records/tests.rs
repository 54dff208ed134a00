use super::Records;

#[test]
fn records_are_laid_out_with_their_lengths() {
    let mut records = Records::with_capacity(2, 5);
    records.push(b"ab");
    let written: Result<(), ()> = records.push_with(|out| {
        out.extend_from_slice(b"cde");
        Ok(())
    });
    assert_eq!(written, Ok(()));
    assert_eq!((records.len(), records.bytes()), (2, 5));
    assert_eq!(records.body(), b"\x02\0\0\0ab\x03\0\0\0cde");
}

#[test]
fn a_record_that_cannot_be_written_leaves_nothing_behind() {
    let mut records: Records = [b"first".as_slice()].into_iter().collect();
    let refused = records.push_with(|out| {
        out.extend_from_slice(b"half of");
        Err("too long")
    });
    assert_eq!(refused, Err("too long"));
    assert_eq!((records.len(), records.body()), (1, b"\x05\0\0\0first".as_slice()));
}
