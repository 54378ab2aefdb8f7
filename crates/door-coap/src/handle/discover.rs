//! `/.well-known/core` (RFC 6690): what there is here, or what of it a filter asks for.

use base::Subject;
use broker::Message;
use broker::access::Operation;

use super::{Answer, Caller};
use crate::Shared;
use crate::limits::{DISCOVERY_PAGE, LINKS_BYTES_MAX, LINKS_MAX};
use crate::map;
use crate::request::Request;
use crate::response::Response;
use crate::topics::Topic;
use crate::wire::code::Code;
use crate::wire::format::LINKS;
use crate::wire::link::{Filter, Link};

pub(super) async fn handle(shared: &Shared, caller: &Caller, request: &Request) -> Answer {
    if request.method != Code::GET {
        return Err(Box::new(Response::new(Code::METHOD_NOT_ALLOWED)));
    }
    check_accept(request)?;
    let filters: Vec<_> = request.queries().filter_map(Filter::parse).collect();
    let mut found = Found::new(&filters);
    found.take(&collection_link(shared));
    for topic in shared.topics.all() {
        if caller.may(Operation::Describe, &topic.subject) {
            found.take(&topic_link(shared, &topic));
        }
    }
    resources(shared, caller, &filters, &mut found).await?;
    Ok(found.response())
}

/// Only links are to be had here.
pub(super) fn check_accept(request: &Request) -> Result<(), Box<Response>> {
    match request.fields.accept {
        None | Some(LINKS) => Ok(()),
        Some(_) => Err(Box::new(Response::new(Code::NOT_ACCEPTABLE))),
    }
}

fn collection_link(shared: &Shared) -> Link {
    let ct = format!("{LINKS} {}", shared.options.pubsub_format);
    let rt = "core.ps core.ps.coll".to_owned();
    Link::new(format!("/{}", shared.options.collection)).with("rt", rt).with("ct", ct)
}

/// The link to what a topic is.
pub(super) fn topic_link(shared: &Shared, topic: &Topic) -> Link {
    let target = format!("/{}/{}", shared.options.collection, topic.id);
    Link::new(target).with("rt", "core.ps.conf".to_owned())
}

/// The link to a topic's data.
pub(super) fn data_link(topic: &Topic) -> Option<Link> {
    let properties = topic.properties();
    let mut link = Link::new(map::uri(&topic.subject)?).with("rt", properties.resource_type);
    if let Some(format) = properties.content_format {
        link = link.with("ct", format.to_string());
    }
    Some(link.with("obs", None))
}

/// Everything that has a last value.
async fn resources(
    shared: &Shared,
    caller: &Caller,
    filters: &[Filter<'_>],
    found: &mut Found<'_>,
) -> Result<(), Box<Response>> {
    // Of subjects that are no topics nothing is known that these could be about.
    let only_topics = filters.iter().any(|filter| matches!(filter.name(), "rt" | "if"));
    if only_topics {
        shared
            .topics
            .all()
            .iter()
            .filter_map(|topic| data_link(topic))
            .for_each(|l| found.take(&l));
        return Ok(());
    }
    let Some(filter) = map::everything() else { return Ok(()) };
    let mut after = None;
    while !found.is_full() {
        let page = shared.broker.retained(&filter, after, DISCOVERY_PAGE).await;
        let page = page.map_err(|error| map::unreadable(&error))?;
        for (subject, message) in &page {
            if caller.may(Operation::Read, subject)
                && let Some(link) = resource_link(shared, subject, message)
            {
                found.take(&link);
            }
        }
        if page.len() < DISCOVERY_PAGE {
            break;
        }
        after = page.last().map(|(subject, _)| subject.clone());
    }
    Ok(())
}

fn resource_link(shared: &Shared, subject: &Subject, message: &Message) -> Option<Link> {
    if let Some(topic) = shared.topics.find(subject) {
        return data_link(&topic);
    }
    let mut link = Link::new(map::uri(subject)?);
    if let Some(format) = map::format(message) {
        link = link.with("ct", format.to_string());
    }
    Some(link.with("obs", None))
}

/// Links that all filters ask for.
pub(super) struct Found<'a> {
    filters: &'a [Filter<'a>],
    links: String,
    count: usize,
}

impl<'a> Found<'a> {
    pub(super) fn new(filters: &'a [Filter<'a>]) -> Self {
        Self { filters, links: String::new(), count: 0 }
    }

    pub(super) fn take(&mut self, link: &Link) {
        if !self.is_full() && self.filters.iter().all(|filter| link.matches(filter)) {
            link.put(&mut self.links);
            self.count += 1;
        }
    }

    fn is_full(&self) -> bool {
        self.count >= LINKS_MAX || self.links.len() >= LINKS_BYTES_MAX
    }

    pub(super) fn response(self) -> Response {
        Response::content(Some(LINKS), self.links.into())
    }
}
