//! DescribeTransactions and ListTransactions: transactional ids, for operators (KIP-664).

use std::collections::BTreeMap;

use broker::queue::consumer_group::Pattern;
use broker::queue::transactions::{TxnDescription, TxnState};

use super::Request;
use crate::map;
use crate::wire::messages::describe_transactions_response::{TopicData, TransactionState};
use crate::wire::messages::list_transactions_response;
use crate::wire::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ListTransactionsRequest,
    ListTransactionsResponse,
};

pub(super) async fn handle(
    request: Request<'_>,
    asked: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let describe = |id: String| match request.broker().groups().describe_transaction(&id) {
        Ok(found) => describe(id, found),
        Err(error) => TransactionState {
            error_code: map::txn_error(error, true).number(),
            transactional_id: id,
            ..TransactionState::default()
        },
    };
    let transaction_states = asked.transactional_ids.into_iter().map(describe).collect();
    DescribeTransactionsResponse { transaction_states, ..DescribeTransactionsResponse::default() }
}

fn describe(id: String, found: TxnDescription) -> TransactionState {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for partition in found.partitions {
        topics.entry(partition.topic.as_ref().to_owned()).or_default().push(partition.partition);
    }
    let topic = |(topic, partitions)| TopicData { topic, partitions };
    TransactionState {
        transactional_id: id,
        transaction_state: found.state.as_str().to_owned(),
        transaction_timeout_ms: i32::try_from(found.timeout).unwrap_or(i32::MAX),
        transaction_start_time_ms: found.started_at.unwrap_or(-1),
        producer_id: found.producer.id,
        producer_epoch: found.producer.epoch,
        topics: topics.into_iter().map(topic).collect(),
        ..TransactionState::default()
    }
}

pub(super) async fn handle_list(
    request: Request<'_>,
    asked: ListTransactionsRequest,
) -> ListTransactionsResponse {
    const STATES: [TxnState; 4] =
        [TxnState::Empty, TxnState::Ongoing, TxnState::Committed, TxnState::Aborted];
    let is_state = |name: &String| STATES.iter().any(|state| state.as_str() == name);
    let unknown_state_filters =
        asked.state_filters.iter().filter(|name| !is_state(name)).cloned().collect();
    let pattern = asked.transactional_id_pattern.filter(|pattern| !pattern.is_empty());
    let pattern = match pattern.as_deref().map(Pattern::new).transpose() {
        Ok(pattern) => pattern,
        Err(error) => {
            return ListTransactionsResponse {
                error_code: map::group_error(error).number(),
                unknown_state_filters,
                ..ListTransactionsResponse::default()
            };
        }
    };
    let now = request.broker().now();
    let wanted = |txn: &TxnDescription| {
        let state = txn.state.as_str();
        let states = &asked.state_filters;
        let producers = &asked.producer_id_filters;
        pattern.as_ref().is_none_or(|pattern| pattern.matches(&txn.id))
            && (states.is_empty() || states.iter().any(|name| name == state))
            && (producers.is_empty() || producers.contains(&txn.producer.id))
            && (asked.duration_filter < 0
                || txn.started_at.is_some_and(|began| now - began > asked.duration_filter))
    };
    let listed = request.broker().groups().list_transactions().into_iter().filter(wanted);
    let state = |txn: TxnDescription| list_transactions_response::TransactionState {
        transactional_id: txn.id.as_ref().to_owned(),
        producer_id: txn.producer.id,
        transaction_state: txn.state.as_str().to_owned(),
    };
    ListTransactionsResponse {
        unknown_state_filters,
        transaction_states: listed.map(state).collect(),
        ..ListTransactionsResponse::default()
    }
}
