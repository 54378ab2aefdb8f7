//! Transactions carried out but not yet committed, as a layer over the mirror. If the commit
//! fails the layer is dropped, and the mirror never knew.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::state::State;
use crate::{
    Change, KeyValue, LeaseId, MetaError, Op, OpResponse, Revision, Txn, TxnResponse, WatchBatch,
};

#[derive(Debug)]
pub(super) struct Overlay {
    /// The revision after the transactions so far.
    pub(super) revision: Revision,
    /// Changed keys; `None` is deleted.
    pub(super) keys: BTreeMap<Bytes, Option<KeyValue>>,
    /// Changed leases; `None` has ended.
    pub(super) leases: BTreeMap<LeaseId, Option<Duration>>,
    /// The changes of each new revision, in order.
    pub(super) batches: Vec<WatchBatch>,
}

impl Overlay {
    pub(super) fn over(state: &State) -> Self {
        Self {
            revision: state.revision,
            keys: BTreeMap::new(),
            leases: BTreeMap::new(),
            batches: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.leases.is_empty()
    }

    /// Carries out a transaction that has been validated. `alive` tells whether the mirror knows
    /// a lease.
    pub(super) fn txn(
        &mut self,
        state: &State,
        alive: impl Fn(LeaseId) -> bool,
        txn: &Txn,
    ) -> Result<TxnResponse, MetaError> {
        let succeeded =
            txn.compares.iter().all(|compare| compare.holds(self.get(state, &compare.key)));
        let ops = if succeeded { &txn.then } else { &txn.else_ };
        // The only thing that can fail comes first, so that nothing is ever half done.
        for op in ops {
            if let Op::Put { lease: Some(lease), .. } = op
                && !self.leases.get(lease).map_or_else(|| alive(*lease), Option::is_some)
            {
                return Err(MetaError::LeaseNotFound(*lease));
            }
        }
        let mut changes = BTreeMap::new();
        let responses = ops.iter().map(|op| self.op(state, op, &mut changes)).collect();
        self.finish(changes);
        Ok(TxnResponse { succeeded, revision: self.revision, responses })
    }

    /// Notes a new lease.
    pub(super) fn grant(&mut self, id: LeaseId, ttl: Duration) {
        self.leases.insert(id, Some(ttl));
    }

    /// Ends a lease and deletes its keys in one revision.
    pub(super) fn revoke(&mut self, state: &State, id: LeaseId) {
        self.leases.insert(id, None);
        let changed = self.keys.iter().filter(|(_, kv)| lease_of(kv.as_ref()) == Some(id));
        let mut keys: Vec<Bytes> = changed.map(|(key, _)| key.clone()).collect();
        // What the layer changed is covered above, whatever lease it had below.
        keys.extend(state.of_lease(id).filter(|key| !self.keys.contains_key(*key)).cloned());
        let mut changes = BTreeMap::new();
        for key in keys {
            self.delete(state, &key, &mut changes);
        }
        self.finish(changes);
    }

    fn get<'a>(&'a self, state: &'a State, key: &[u8]) -> Option<&'a KeyValue> {
        match self.keys.get(key) {
            Some(changed) => changed.as_ref(),
            None => state.get(key),
        }
    }

    fn op(&mut self, state: &State, op: &Op, changes: &mut BTreeMap<Bytes, Change>) -> OpResponse {
        match op {
            Op::Put { key, value, lease } => {
                let kv = self.put(state, key, value, *lease);
                changes.insert(kv.key.clone(), Change::Put(kv));
                OpResponse::Put
            }
            Op::Delete { key } => {
                OpResponse::Delete { deleted: usize::from(self.delete(state, key, changes)) }
            }
            Op::DeletePrefix { prefix } => {
                let changed = self
                    .keys
                    .range::<Bytes, _>(prefix..)
                    .take_while(|(key, _)| key.starts_with(prefix))
                    .map(|(key, _)| key);
                let mut keys: Vec<Bytes> = changed.cloned().collect();
                keys.extend(state.with_prefix(prefix).map(|kv| kv.key.clone()));
                let gone = |key: &Bytes| self.delete(state, key, changes);
                let deleted = keys.iter().map(gone).filter(|gone| *gone).count();
                OpResponse::Delete { deleted }
            }
            Op::Get { key } => OpResponse::Get(self.get(state, key).cloned()),
        }
    }

    fn put(
        &mut self,
        state: &State,
        key: &Bytes,
        value: &Bytes,
        lease: Option<LeaseId>,
    ) -> KeyValue {
        let mod_revision = self.revision + 1;
        let (key, create_revision, version) = match self.get(state, key) {
            Some(before) => (before.key.clone(), before.create_revision, before.version + 1),
            // Copied: a caller's key and value may be slices that keep a whole request alive.
            None => (Bytes::copy_from_slice(key), mod_revision, 1),
        };
        let value = Bytes::copy_from_slice(value);
        let kv = KeyValue { key, value, create_revision, mod_revision, version, lease };
        self.keys.insert(kv.key.clone(), Some(kv.clone()));
        kv
    }

    fn delete(
        &mut self,
        state: &State,
        key: &Bytes,
        changes: &mut BTreeMap<Bytes, Change>,
    ) -> bool {
        let Some(key) = self.get(state, key).map(|kv| kv.key.clone()) else { return false };
        self.keys.insert(key.clone(), None);
        changes.insert(key.clone(), Change::Delete { key });
        true
    }

    fn finish(&mut self, changes: BTreeMap<Bytes, Change>) {
        if changes.is_empty() {
            return;
        }
        self.revision += 1;
        let changes = changes.into_values().collect();
        self.batches.push(WatchBatch { revision: self.revision, changes });
    }
}

fn lease_of(kv: Option<&KeyValue>) -> Option<LeaseId> {
    kv.and_then(|kv| kv.lease)
}
