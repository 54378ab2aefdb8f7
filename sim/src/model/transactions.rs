//! Transactions: all of one is visible, or nothing.

use std::collections::{BTreeMap, BTreeSet};

/// Names a transaction.
pub(crate) type TxnNumber = u64;

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Its client has not asked to end it.
    Open,
    /// It asked to commit, and has no answer.
    Committing,
    /// It was told that it is committed.
    Committed,
    /// It asked to abort, was told that it is aborted, or fenced itself.
    Aborted,
}

#[derive(Debug)]
struct Txn {
    end: End,
    values: BTreeSet<u64>,
    shown: BTreeSet<u64>,
    hidden: BTreeSet<u64>,
}

/// All transactions of a run.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    all: BTreeMap<TxnNumber, Txn>,
}

impl Transactions {
    pub(crate) fn begin(&mut self) -> TxnNumber {
        let number = self.all.len() as TxnNumber;
        let (values, shown, hidden) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        self.all.insert(number, Txn { end: End::Open, values, shown, hidden });
        number
    }

    /// An acknowledged value is part of it.
    pub(crate) fn has(&mut self, number: TxnNumber, value: u64) {
        if let Some(txn) = self.all.get_mut(&number) {
            txn.values.insert(value);
        }
    }

    pub(crate) fn ends(&mut self, number: TxnNumber, end: End) {
        if let Some(txn) = self.all.get_mut(&number) {
            txn.end = end;
        }
    }

    pub(crate) fn is_committed(&self, number: TxnNumber) -> bool {
        self.all.get(&number).is_some_and(|txn| txn.end == End::Committed)
    }

    /// A reader of committed records was shown a value, or told to drop it.
    pub(crate) fn seen(
        &mut self,
        number: TxnNumber,
        value: u64,
        shown: bool,
    ) -> Result<(), &'static str> {
        let Some(txn) = self.all.get_mut(&number) else { return Ok(()) };
        match (shown, txn.end) {
            (true, End::Open) => return Err("is read before its transaction was to end"),
            (true, End::Aborted) => return Err("is read, but its transaction was aborted"),
            (false, End::Committed) => return Err("is dropped, but its transaction was committed"),
            _ => {}
        }
        let (here, there) = match shown {
            true => (&mut txn.shown, &txn.hidden),
            false => (&mut txn.hidden, &txn.shown),
        };
        here.insert(value);
        if there.is_empty() { Ok(()) } else { Err("is of a transaction that is visible in part") }
    }

    /// At the end of a run, when everything was read: what is not as it was promised.
    pub(crate) fn incomplete(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (number, txn) in &self.all {
            let visible = txn.end == End::Committed || !txn.shown.is_empty();
            let missing = txn.values.difference(&txn.shown).count();
            if visible && missing > 0 {
                wrong.push(format!(
                    "transaction {number} ({:?}): {missing} of {} values are not visible",
                    txn.end,
                    txn.values.len()
                ));
            }
        }
        wrong
    }
}
