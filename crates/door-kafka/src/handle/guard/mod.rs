//! Who may send which request (KIP-11 and those after it): for each request, which operation on
//! which resource it takes, and what is answered to whoever may not. All of it is here, apart from
//! the handlers, and a request of which nothing stands here does not compile.
//!
//! Fetch, Produce and what else carries records is checked where its topics are looked up, in its
//! handler: a check apart from that would resolve topic ids twice.

mod cluster;
mod groups;
mod share_groups;
mod single;
mod topics;
mod transactions;

use base::TopicId;
use broker::Broker;
use broker::access::{Actor, Operation, ResourceKind};

use super::Context;
use crate::map;
use crate::wire::{ErrorCode, RequestHeader, RequestMessage};

/// A request that says who may send it.
pub(crate) trait Guarded: RequestMessage {
    /// Takes out of the request what the sender may not do, and says what becomes of the rest. Not
    /// called for those who may do everything.
    fn guard(&mut self, guard: &Guard<'_>) -> Verdict<Self::Response>;

    /// Counts the changes that the request makes against the sender's quota, and takes out those
    /// that exceed it. Also returns for how many milliseconds the sender must rest. Only called
    /// where there are such quotas.
    fn spend(&mut self, _: &Guard<'_>) -> (Verdict<Self::Response>, u32) {
        (Verdict::Pass, 0)
    }
}

/// What becomes of a request.
pub(crate) enum Verdict<R> {
    /// It is handled.
    Pass,
    /// It is not handled; this is the answer.
    Refuse(R),
    /// What is left of it is handled, and the answer changed like this.
    Amend(Box<dyn FnOnce(&mut R) + Send>),
}

impl<R> Verdict<R> {
    fn amend(change: impl FnOnce(&mut R) + Send + 'static) -> Self {
        Self::Amend(Box::new(change))
    }

    /// Changes the answer, if anything was refused.
    fn without<T: Send + 'static>(
        refused: Vec<T>,
        change: impl FnOnce(&mut R, Vec<T>) + Send + 'static,
    ) -> Self {
        if refused.is_empty() {
            return Self::Pass;
        }
        Self::amend(|response| change(response, refused))
    }

    /// Lets the request pass, or refuses it.
    fn pass_if(allowed: bool, refusal: impl FnOnce() -> R) -> Self {
        if allowed { Self::Pass } else { Self::Refuse(refusal()) }
    }
}

/// What a check may need besides the request.
pub(crate) struct Guard<'a> {
    pub(crate) context: &'a Context,
    pub(crate) header: &'a RequestHeader,
}

impl Guard<'_> {
    fn actor(&self) -> &Actor {
        &self.context.actor
    }

    fn broker(&self) -> &Broker {
        &self.context.broker
    }

    fn version(&self) -> i16 {
        self.header.version
    }

    fn topic(&self, operation: Operation, name: &str) -> bool {
        self.actor().may_topic(operation, name)
    }

    fn group(&self, operation: Operation, name: &str) -> bool {
        self.actor().may_group(operation, name)
    }

    /// Whether the sender may be a member of a group that the broker shares partitions out to, with
    /// these topics; if not, what it is told. Patterns are not judged here.
    fn membership(&self, group: &str, topics: Option<&[String]>) -> Result<(), ErrorCode> {
        if !self.group(Operation::Read, group) {
            return Err(ErrorCode::GroupAuthorizationFailed);
        }
        let mut topics = topics.unwrap_or_default().iter();
        match topics.all(|topic| self.topic(Operation::Describe, topic)) {
            true => Ok(()),
            false => Err(ErrorCode::TopicAuthorizationFailed),
        }
    }

    fn transaction(&self, operation: Operation, id: &str) -> bool {
        self.actor().may_transaction(operation, id)
    }

    fn cluster(&self, operation: Operation) -> bool {
        self.actor().may_cluster(operation)
    }

    /// Takes out the topics with which the sender may not do this.
    fn refused<T>(
        &self,
        operation: Operation,
        topics: &mut Vec<T>,
        name: impl Fn(&T) -> &str,
    ) -> Vec<T> {
        topics.extract_if(.., |topic| !self.topic(operation, name(topic))).collect()
    }

    /// Whether the sender may do this with a topic that may be named by its id. An id of no topic
    /// is told as such, so nobody is kept from asking for it.
    fn topic_or_id(&self, operation: Operation, name: &str, id: [u8; 16]) -> bool {
        if id == TopicId::NONE.to_bytes() {
            return self.topic(operation, name);
        }
        let open = self.broker().topic_by_id(TopicId::from_bytes(id));
        open.is_none_or(|open| self.topic(operation, &open.topic.name))
    }

    /// What the sender may do with a group, as the protocol writes it.
    fn group_operations(&self, name: &str) -> i32 {
        map::operations(self.actor().operations(ResourceKind::Group, name)) & map::GROUP_OPERATIONS
    }

    /// The same of the cluster. Who may not describe it may do nothing, as far as is told.
    fn cluster_operations(&self) -> i32 {
        if !self.cluster(Operation::Describe) {
            return 0;
        }
        let operations = self.actor().operations(ResourceKind::Cluster, broker::access::CLUSTER);
        map::operations(operations) & map::CLUSTER_OPERATIONS
    }
}

const TOPIC_DENIED: i16 = ErrorCode::TopicAuthorizationFailed as i16;
const GROUP_DENIED: i16 = ErrorCode::GroupAuthorizationFailed as i16;
const CLUSTER_DENIED: i16 = ErrorCode::ClusterAuthorizationFailed as i16;
const TRANSACTION_DENIED: i16 = ErrorCode::TransactionalIdAuthorizationFailed as i16;

fn text(code: ErrorCode) -> Option<String> {
    Some(code.text().to_owned())
}

/// Requests of which nobody is kept.
macro_rules! open_to_all {
    ($($(#[$why:meta])* $request:ident),* $(,)?) => {$(
        $(#[$why])*
        impl Guarded for crate::wire::messages::$request {
            fn guard(&mut self, _: &Guard<'_>) -> Verdict<Self::Response> {
                Verdict::Pass
            }
        }
    )*};
}

open_to_all! {
    /// Asked before anybody can have logged in.
    ApiVersionsRequest,
    /// How to log in.
    SaslHandshakeRequest,
    /// Who one is.
    SaslAuthenticateRequest,
    /// A client's own metrics, which it may always tell.
    GetTelemetrySubscriptionsRequest,
    /// The same.
    PushTelemetryRequest,
    /// There are no tokens; everybody is told so.
    CreateDelegationTokenRequest,
    /// The same.
    RenewDelegationTokenRequest,
    /// The same.
    ExpireDelegationTokenRequest,
    /// The same.
    DescribeDelegationTokenRequest,
}
