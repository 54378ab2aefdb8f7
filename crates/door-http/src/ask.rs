//! A request, and who asks.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use broker::access::{Actor, Operation};
use broker::{Broker, Message, OpenTopic};
use door::http::{HeaderValue, Request, header, trace_headers};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::Shared;
use crate::fields::Object;
use crate::problem::Problem;

pub(crate) struct Ask {
    pub(crate) shared: Arc<Shared>,
    pub(crate) actor: Actor,
    pub(crate) request: Request,
    /// What stands in the path where the route has names.
    pub(crate) parts: BTreeMap<&'static str, String>,
    /// Turns true when the broker stops: then streams end.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Nobody was asked who they are.
    pub(crate) is_open: bool,
}

impl Ask {
    pub(crate) fn broker(&self) -> &Broker {
        &self.shared.broker
    }

    /// Makes messages part of the trace that the request is part of.
    pub(crate) fn join_trace(&self, messages: &mut [Message]) {
        let trace = trace_headers(&self.request.headers);
        messages.iter_mut().for_each(|message| message.join_trace(&trace));
    }

    /// What stands in the path under this name.
    pub(crate) fn part(&self, name: &str) -> &str {
        self.parts.get(name).map_or("", String::as_str)
    }

    /// A value of the query, if it is there.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.request.query.get(name).filter(|value| !value.is_empty())
    }

    /// A number of the query, if it is there.
    pub(crate) fn number<T>(
        &self,
        name: &str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, Problem>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.query(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        let wrong = || {
            let (from, to) = (range.start(), range.end());
            Problem::invalid(format!("{name} must be a whole number from {from} to {to}"))
        };
        number.map(Some).ok_or_else(wrong)
    }

    /// Whether the query says that something is so.
    pub(crate) fn is(&self, name: &str) -> Result<bool, Problem> {
        match self.query(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::invalid(format!("{name} must be true or false"))),
        }
    }

    /// A field of the head, as text.
    pub(crate) fn field(&self, name: header::HeaderName) -> &str {
        let value = self.request.headers.get(name);
        value.and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether what comes is to be sent as it comes.
    pub(crate) fn wants_stream(&self) -> bool {
        let mut kinds = self.field(header::ACCEPT).split(',');
        kinds.any(|kind| kind.trim().split(';').next() == Some("text/event-stream"))
    }

    /// The body, which must be an object in JSON.
    pub(crate) fn body<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        // Pages of other sites can send forms and plain text, but not this.
        let kind = self.field(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Problem::media("application/json"));
        }
        let body: Result<Object<T>, _> = serde_json::from_slice(&self.request.body);
        body.map(|body| body.0).map_err(|error| Problem::invalid(format!("the body: {error}")))
    }

    /// Only who may do this with the cluster goes on.
    pub(crate) fn check_cluster(&self, operation: Operation) -> Result<(), Problem> {
        let may = self.actor.may_cluster(operation);
        may.then_some(()).ok_or_else(|| Problem::forbidden("that takes a right on the cluster"))
    }

    /// Only who may do this with a topic goes on. Who may not even know of it is told that it is not there.
    pub(crate) fn check_topic(&self, operation: Operation, name: &str) -> Result<(), Problem> {
        if self.actor.may_topic(operation, name) {
            return Ok(());
        }
        match self.actor.may_topic(Operation::Describe, name) {
            true => Err(Problem::forbidden(format!("that takes a right on topic '{name}'"))),
            false => Err(Problem::not_found(format!("there is no topic '{name}'"))),
        }
    }

    /// The same with a group.
    pub(crate) fn check_group(&self, operation: Operation, name: &str) -> Result<(), Problem> {
        if self.actor.may_group(operation, name) {
            return Ok(());
        }
        match self.actor.may_group(Operation::Describe, name) {
            true => Err(Problem::forbidden(format!("that takes a right on group '{name}'"))),
            false => Err(Problem::not_found(format!("there is no group '{name}'"))),
        }
    }

    /// The topic in the path, with which this may be done.
    pub(crate) fn topic(&self, operation: Operation) -> Result<Arc<OpenTopic>, Problem> {
        let name = self.part("topic");
        self.check_topic(operation, name)?;
        let open = self.broker().topic(name);
        open.ok_or_else(|| Problem::not_found(format!("there is no topic '{name}'")))
    }
}
