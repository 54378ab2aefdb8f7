//! What can be asked of transactions.

use queue::GroupError;
use queue::Name;
use queue::offsets::CommitRequest;
use queue::transactions::{
    EndTxn, Ended, InitTxn, TxnDescription, TxnError, TxnPartition, TxnProducer, TxnResponse,
};
use tokio::sync::oneshot;

use super::{Groups, State, TxnReply};

/// One outcome per offset of a request.
type Each = Vec<Result<(), GroupError>>;

/// Why offsets were not added to a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddOffsetsError {
    /// The group refuses.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The transaction refuses.
    #[error(transparent)]
    Transaction(#[from] TxnError),
}

impl Groups {
    async fn ask_transaction(
        &self,
        input: impl FnOnce(&mut State, TxnReply, base::Millis),
    ) -> Option<TxnResponse> {
        let (reply, answer) = oneshot::channel();
        self.with_state(|state, now| input(state, reply, now));
        // Gone only when the broker stops.
        answer.await.ok()
    }

    /// Gives a transactional id its producer, fencing the one before.
    ///
    /// # Errors
    /// See [`TxnError`].
    pub async fn init_transactions(&self, request: InitTxn) -> Result<TxnProducer, TxnError> {
        let ask = |state: &mut State, to, now| state.transactions.init(request, to, now);
        match self.ask_transaction(ask).await {
            Some(TxnResponse::Init(answer)) => answer,
            _ => Err(TxnError::NotAvailable),
        }
    }

    /// Makes partitions take part in a producer's transaction, which begins if none is open.
    ///
    /// # Errors
    /// See [`TxnError`].
    pub async fn add_partitions(
        &self,
        id: &Name,
        producer: TxnProducer,
        partitions: Vec<TxnPartition>,
    ) -> Result<(), TxnError> {
        let ask = |state: &mut State, to, now| {
            state.transactions.add_partitions(id, producer, partitions, to, now);
        };
        added(self.ask_transaction(ask).await.as_ref())
    }

    /// Announces that a transaction will commit offsets of a group.
    ///
    /// # Errors
    /// See [`TxnError`].
    pub async fn add_group(&self, id: &Name, producer: TxnProducer) -> Result<(), TxnError> {
        let ask = |state: &mut State, to, now| state.transactions.add_group(id, producer, to, now);
        added(self.ask_transaction(ask).await.as_ref())
    }

    /// Adds offsets to a transaction, to be committed with it; one outcome for each.
    ///
    /// # Errors
    /// When none was added.
    pub async fn add_offsets(
        &self,
        id: &Name,
        producer: TxnProducer,
        offsets: CommitRequest,
    ) -> Result<Each, AddOffsetsError> {
        let mut each = Err(GroupError::NotAvailable);
        let ask = |state: &mut State, to, now| match state.machine.check_transactional(offsets, now)
        {
            Err(error) => each = Err(error),
            Ok(checked) => {
                each =
                    Ok(checked.iter().map(|one| one.as_ref().map(drop).map_err(|e| *e)).collect());
                let offsets = checked.into_iter().flatten().collect();
                state.transactions.add_offsets(id, producer, offsets, to, now);
            }
        };
        let answer = self.ask_transaction(ask).await;
        let each = each?;
        added(answer.as_ref())?;
        Ok(each)
    }

    /// Commits or aborts a transaction.
    ///
    /// # Errors
    /// See [`TxnError`].
    pub async fn end_transaction(&self, request: EndTxn) -> Result<Ended, TxnError> {
        let ask = |state: &mut State, to, now| state.transactions.end(request, to, now);
        match self.ask_transaction(ask).await {
            Some(TxnResponse::Ended(answer)) => answer,
            _ => Err(TxnError::NotAvailable),
        }
    }

    /// Whether a producer may append to a partition in its transaction.
    ///
    /// # Errors
    /// See [`queue::transactions::Transactions::verify`].
    pub fn verify(&self, producer: TxnProducer, partition: &TxnPartition) -> Result<(), TxnError> {
        self.state.lock().transactions.verify(producer, partition)
    }

    /// A transactional id, for operators.
    ///
    /// # Errors
    /// [`TxnError::NotFound`].
    pub fn describe_transaction(&self, id: &str) -> Result<TxnDescription, TxnError> {
        self.state.lock().transactions.describe(id)
    }

    /// All transactional ids, for operators.
    pub fn list_transactions(&self) -> Vec<TxnDescription> {
        self.state.lock().transactions.list()
    }
}

fn added(answer: Option<&TxnResponse>) -> Result<(), TxnError> {
    match answer {
        Some(TxnResponse::Added(answer)) => *answer,
        _ => Err(TxnError::NotAvailable),
    }
}
