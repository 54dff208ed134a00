//! What waits in one queue: which records of the log, without the records.
//!
//! ```text
//! log      ·A··AAAA·B··A·A···················AA·
//! of A     └─ one run ──┘                    └┘ another
//! ```
//! A run is a stretch of the log with at least one record for this queue; others may stand between, and whoever reads a run
//! passes over them. Runs begin anew where reading over what is between would cost more than finding a place, and there are
//! never more than [`QUEUE_RUNS_MAX`]. So this takes bounded memory for any backlog, a queue with nothing waiting costs nothing,
//! and the counts are exact.

use std::collections::VecDeque;
use std::iter::Sum;
use std::ops::Range;

use crate::limits::{QUEUE_RUN_GAP_RECORDS, QUEUE_RUNS_MAX};

/// The waiting records of one queue. Offsets are those of the log.
#[derive(Debug, Default)]
pub struct Cursor {
    runs: VecDeque<Run>,
    waiting: Waiting,
    /// Behind the last record that was ever for this queue.
    end: u64,
}

/// How much waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Messages.
    pub messages: u64,
    /// Bytes of their records. A record that waits in several queues counts in each.
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    offsets: Range<u64>,
    waiting: Waiting,
    /// No record of the run expires before this, milliseconds since 1970.
    expires_at_ms: u64,
}

/// Where the oldest waiting records are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// They are in this part of the log, perhaps with others between.
    pub offsets: Range<u64>,
    /// None of them expires before this, milliseconds since 1970.
    pub expires_at_ms: u64,
}

impl Cursor {
    /// A record for this queue, at the end of the log.
    pub fn push(&mut self, offset: u64, bytes: u64, expires_at_ms: u64) {
        debug_assert!(offset >= self.end, "records come in the order of the log");
        self.end = offset + 1;
        self.waiting.add(Waiting::one(bytes));
        let crowded = self.runs.len() >= QUEUE_RUNS_MAX;
        match self.runs.back_mut() {
            Some(run) if crowded || offset - run.offsets.end <= QUEUE_RUN_GAP_RECORDS => {
                run.offsets.end = offset + 1;
                run.waiting.add(Waiting::one(bytes));
                run.expires_at_ms = run.expires_at_ms.min(expires_at_ms);
            }
            _ => self.runs.push_back(Run { offsets: offset..offset + 1, waiting: Waiting::one(bytes), expires_at_ms }),
        }
    }

    /// The oldest waiting records.
    pub fn head(&self) -> Option<Head> {
        let run = self.runs.front()?;
        Some(Head { offsets: run.offsets.clone(), expires_at_ms: run.expires_at_ms })
    }

    /// Everything of [`Self::head`] before `end` needs no more delivery; `settled` is how much that was. Of no effect when the
    /// queue was emptied meanwhile.
    pub fn settle(&mut self, end: u64, settled: Waiting) {
        let Some(run) = self.runs.front_mut().filter(|run| run.offsets.start < end) else { return };
        run.offsets.start = end.min(run.offsets.end);
        run.waiting.take(settled);
        if run.waiting.messages == 0 || run.offsets.is_empty() {
            let left = run.waiting;
            debug_assert_eq!(left, Waiting::default(), "what was read is what was counted");
            self.waiting.take(left);
            self.runs.pop_front();
        }
        self.waiting.take(settled);
    }

    /// Nothing waits any more. Says how much did.
    pub fn clear(&mut self) -> Waiting {
        self.runs.clear();
        std::mem::take(&mut self.waiting)
    }

    /// How much waits.
    pub fn waiting(&self) -> Waiting {
        self.waiting
    }

    /// The first record that waits, or `log_end`: everything before needs no more delivery here.
    pub fn position(&self, log_end: u64) -> u64 {
        self.runs.front().map_or(log_end, |run| run.offsets.start)
    }

    /// Behind the last record that was ever for this queue.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// A record for this queue that needs no delivery any more.
    pub fn pass(&mut self, offset: u64) {
        self.end = offset + 1;
    }
}

impl Waiting {
    /// One message with a record of so many bytes.
    pub(super) fn one(bytes: u64) -> Self {
        Self { messages: 1, bytes }
    }

    pub(super) fn add(&mut self, more: Waiting) {
        self.messages += more.messages;
        self.bytes += more.bytes;
    }

    pub(super) fn take(&mut self, less: Waiting) {
        self.messages = self.messages.saturating_sub(less.messages);
        self.bytes = self.bytes.saturating_sub(less.bytes);
    }
}

impl Sum for Waiting {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        let mut sum = Self::default();
        all.for_each(|more| sum.add(more));
        sum
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Who reads runs finds exactly what the model holds, in order; counts are exact; memory is bounded.
    fn check(gaps: &[u64], reads: &[usize]) {
        let mut cursor = Cursor::default();
        let mut model: VecDeque<(u64, u64)> = VecDeque::new();
        let mut log_end = 0;
        let mut reads = reads.iter().cycle();
        for (number, gap) in gaps.iter().enumerate() {
            let (offset, bytes) = (log_end + gap, 10 + number as u64 % 7);
            cursor.push(offset, bytes, 1000 + offset);
            model.push_back((offset, bytes));
            log_end = offset + 1;
            settle_some(&mut cursor, &mut model, *reads.next().unwrap());
            let total = Waiting { messages: model.len() as u64, bytes: model.iter().map(|(_, bytes)| bytes).sum() };
            assert_eq!(cursor.waiting(), total);
            let position = cursor.position(log_end);
            assert!(model.iter().all(|(offset, _)| *offset >= position), "nothing waiting lies before the position");
            assert_eq!(position == log_end, model.is_empty());
            assert!(cursor.runs.len() <= QUEUE_RUNS_MAX);
            assert!(cursor.head().is_none_or(|head| head.expires_at_ms <= 1000 + model[0].0));
        }
        while !model.is_empty() {
            settle_some(&mut cursor, &mut model, 3);
        }
        assert_eq!((cursor.head(), cursor.position(7), cursor.end()), (None, 7, log_end));
    }

    /// Reads at most `count` records of the head, as a pump would, and settles them.
    fn settle_some(cursor: &mut Cursor, model: &mut VecDeque<(u64, u64)>, count: usize) {
        let Some(head) = cursor.head() else { return };
        let of_head = model.iter().take(count).take_while(|(offset, _)| head.offsets.contains(offset)).count();
        let read: Vec<_> = model.drain(..of_head).collect();
        if let Some((last, _)) = read.last() {
            let bytes = read.iter().map(|(_, bytes)| bytes).sum();
            cursor.settle(last + 1, Waiting { messages: read.len() as u64, bytes });
        }
    }

    proptest! {
        #[test]
        fn runs_hold_what_waits(
            gaps in proptest::collection::vec(prop_oneof![0..3_u64, 0..200_u64], 1..400),
            reads in proptest::collection::vec(0..4_usize, 1..20),
        ) {
            check(&gaps, &reads);
        }
    }

    #[test]
    fn a_backlog_with_holes_takes_no_more_than_its_bound() {
        check(&[QUEUE_RUN_GAP_RECORDS + 1; 3 * QUEUE_RUNS_MAX], &[0]);
    }

    #[test]
    fn what_is_read_over_is_no_longer_than_the_gap_allowed() {
        let mut cursor = Cursor::default();
        cursor.push(0, 1, 0);
        cursor.push(1 + QUEUE_RUN_GAP_RECORDS, 1, 0);
        assert_eq!(cursor.head().unwrap().offsets, 0..2 + QUEUE_RUN_GAP_RECORDS);
        cursor.push(3 + 2 * QUEUE_RUN_GAP_RECORDS, 1, 0);
        assert_eq!(cursor.runs.len(), 2);
    }

    #[test]
    fn settling_after_the_queue_was_emptied_changes_nothing() {
        let mut cursor = Cursor::default();
        cursor.push(3, 5, 0);
        assert_eq!(cursor.clear(), Waiting { messages: 1, bytes: 5 });
        cursor.settle(4, Waiting { messages: 1, bytes: 5 });
        cursor.push(9, 6, 0);
        cursor.settle(4, Waiting { messages: 1, bytes: 5 });
        assert_eq!(cursor.waiting(), Waiting { messages: 1, bytes: 6 });
    }
}
