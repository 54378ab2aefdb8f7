//! A session's subscriptions, by their filters and by the tags that deliveries come with. Most clients have one or two:
//! those are looked through, and only who has more pays for an index.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use base::{Filter, Subject};
use broker::live::Subscription;
use bytes::Bytes;

use crate::map::Published;
use crate::session::outbound::Manner;
use crate::sys;
use crate::wire::subscribe::Options;

/// So many are looked through.
const FEW: usize = 8;

/// A session's subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    by_tag: Vec<Option<Granted>>,
    free: Vec<u32>,
    /// Of a session that has, or had, more than a few.
    index: Option<Box<Index>>,
    /// How many are shared …
    shared: u32,
    /// … and how many are of what the door says of itself.
    sys: u32,
}

#[derive(Debug, Default)]
struct Index {
    by_filter: HashMap<Arc<str>, u32>,
    /// Tags of filters without wildcards …
    exact: HashMap<Subject, Vec<u32>>,
    /// … and of the others.
    wild: HashSet<u32>,
}

/// A subscription as it was granted.
#[derive(Debug)]
pub(crate) struct Granted {
    /// The filter as the client wrote it.
    pub(crate) text: Arc<str>,
    pub(crate) filter: Filter,
    /// Who shares it, if it is shared.
    pub(crate) group: Option<Bytes>,
    pub(crate) options: Options,
    pub(crate) id: Option<u32>,
    /// None while it is being made.
    pub(crate) routed: Option<Subscription>,
}

impl Granted {
    /// Whether it is one of what the door says of itself.
    fn is_sys(&self) -> bool {
        self.group.is_none() && sys::is_asked(&self.filter)
    }
}

impl Subscriptions {
    /// Whether it has some of what the door says of itself.
    pub(crate) fn has_sys(&self) -> bool {
        self.sys > 0
    }

    /// How many there are, and how many of them are shared.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.len(), place(self.shared))
    }

    pub(crate) fn len(&self) -> usize {
        self.by_tag.len() - self.free.len()
    }

    /// The subscription that deliveries with this tag are for.
    #[inline]
    pub(crate) fn get(&self, tag: u64) -> Option<&Granted> {
        self.by_tag.get(usize::try_from(tag).ok()?)?.as_ref()
    }

    fn tag_of(&self, filter: &str) -> Option<u32> {
        if let Some(index) = &self.index {
            return index.by_filter.get(filter).copied();
        }
        let is_it = |one: &Option<Granted>| one.as_ref().is_some_and(|one| *one.text == *filter);
        self.by_tag.iter().position(is_it).map(tag)
    }

    /// Takes a subscription up, or changes the one with the same filter. Its tag, and whether it is
    /// new.
    pub(crate) fn put(&mut self, granted: Granted) -> (u32, bool) {
        if let Some(tag) = self.tag_of(&granted.text)
            && let Some(Some(known)) = self.by_tag.get_mut(place(tag))
        {
            known.options = granted.options;
            known.id = granted.id;
            return (tag, false);
        }
        let tag = self.free.pop().unwrap_or_else(|| {
            // Most have one.
            self.by_tag.reserve_exact(usize::from(self.by_tag.is_empty()));
            self.by_tag.push(None);
            tag(self.by_tag.len() - 1)
        });
        self.shared += u32::from(granted.group.is_some());
        self.sys += u32::from(granted.is_sys());
        if let Some(index) = &mut self.index {
            index.put(tag, &granted);
        }
        if let Some(place) = self.by_tag.get_mut(place(tag)) {
            *place = Some(granted);
        }
        if self.index.is_none() && self.len() > FEW {
            self.index = Some(Box::new(Index::of(&self.by_tag)));
        }
        (tag, true)
    }

    /// How a message is sent that these subscriptions want: once, with the best of what they ask for
    /// (5.0 §3.3.4). None if there are no such subscriptions any more.
    #[inline]
    pub(crate) fn manner(&self, tags: &[u64], published: Published) -> Option<Manner> {
        let mut manner: Option<Manner> = None;
        for granted in tags.iter().filter_map(|tag| self.get(*tag)) {
            let Options { qos, retain_as_published, .. } = granted.options;
            let so_far = manner.get_or_insert_default();
            so_far.qos = so_far.qos.max(qos.min(published.qos));
            so_far.retain |= retain_as_published && published.retain;
            if let Some(id) = granted.id {
                so_far.ids.push(id);
            }
        }
        manner
    }

    /// The tags of those that a message is for: the shared ones of this group, or those that are not shared.
    pub(crate) fn find_all(&self, subject: &Subject, group: Option<&Bytes>) -> Vec<u64> {
        let is_for =
            |granted: &Granted| granted.group.as_ref() == group && granted.filter.matches(subject);
        let is_tag_for = |tag: &u64| self.get(*tag).is_some_and(is_for);
        match &self.index {
            None => (0..self.by_tag.len()).map(|at| tag(at).into()).filter(is_tag_for).collect(),
            Some(index) => {
                let exact = index.exact.get(subject).into_iter().flatten();
                exact.chain(&index.wild).map(|tag| u64::from(*tag)).filter(is_tag_for).collect()
            }
        }
    }

    /// Takes note of where a subscription is in the router; returns what is to be dropped, outside of the lock.
    pub(crate) fn routed(&mut self, tag: u32, routed: Subscription) -> Option<Subscription> {
        match self.by_tag.get_mut(place(tag)) {
            Some(Some(granted)) => granted.routed.replace(routed),
            _ => Some(routed),
        }
    }

    /// The subscription with this filter.
    pub(crate) fn find(&self, filter: &str) -> Option<&Granted> {
        self.get(self.tag_of(filter)?.into())
    }

    /// Drops a subscription; what it was, if there was one.
    pub(crate) fn remove(&mut self, filter: &str) -> Option<Granted> {
        let tag = self.tag_of(filter)?;
        let granted = self.by_tag.get_mut(place(tag))?.take()?;
        self.free.push(tag);
        self.shared -= u32::from(granted.group.is_some());
        self.sys -= u32::from(granted.is_sys());
        if let Some(index) = &mut self.index {
            index.remove(tag, &granted);
        }
        Some(granted)
    }
}

impl Index {
    fn of(by_tag: &[Option<Granted>]) -> Self {
        let mut index = Self::default();
        for (at, granted) in by_tag.iter().enumerate() {
            if let Some(granted) = granted {
                index.put(tag(at), granted);
            }
        }
        index
    }

    fn put(&mut self, tag: u32, granted: &Granted) {
        self.by_filter.insert(Arc::clone(&granted.text), tag);
        match granted.filter.as_exact() {
            Some(subject) => self.exact.entry(subject).or_default().push(tag),
            None => drop(self.wild.insert(tag)),
        }
    }

    fn remove(&mut self, tag: u32, granted: &Granted) {
        self.by_filter.remove(&granted.text);
        self.wild.remove(&tag);
        if let Some(subject) = granted.filter.as_exact()
            && let Some(tags) = self.exact.get_mut(&subject)
        {
            tags.retain(|other| *other != tag);
            if tags.is_empty() {
                self.exact.remove(&subject);
            }
        }
    }
}

fn place(tag: u32) -> usize {
    usize::try_from(tag).unwrap_or(usize::MAX)
}

fn tag(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map;
    use crate::session::kept;
    use crate::wire::name::SharedFilter;

    fn granted(text: &str, qos: u8) -> Granted {
        let shared = SharedFilter::parse(text).unwrap();
        let wanted = kept::wanted(&shared, map::filter(shared.filter).unwrap());
        let options = Options { qos, ..Options::default() };
        let (filter, group) = (wanted.filter, wanted.group);
        Granted { text: text.into(), filter, group, options, id: None, routed: None }
    }

    fn filters(all: &Subscriptions, subject: &str, group: Option<&str>) -> Vec<String> {
        let subject = map::NAMES.subject(subject.as_bytes()).unwrap();
        let group = group.map(|name| Bytes::copy_from_slice(name.as_bytes()));
        let tags = all.find_all(&subject, group.as_ref());
        let mut found: Vec<_> =
            tags.iter().map(|tag| all.get(*tag).unwrap().text.to_string()).collect();
        found.sort_unstable();
        found
    }

    /// With and without an index, before and after it is made.
    #[test]
    fn few_and_many_are_found_alike() {
        for others in [0, FEW - 5, 3 * FEW] {
            let mut all = Subscriptions::default();
            for text in ["a/b", "a/+", "$share/g/a/b", "$SYS/#"] {
                assert!(all.put(granted(text, 1)).1, "{text}");
            }
            for number in 0..others {
                all.put(granted(&format!("other/{number}/#"), 0));
                all.put(granted(&format!("other/{number}"), 0));
            }
            assert_eq!(all.counts(), (4 + 2 * others, 1));
            assert!(all.has_sys());
            assert_eq!(filters(&all, "a/b", None), ["a/+", "a/b"]);
            assert_eq!(filters(&all, "a/b", Some("g")), ["$share/g/a/b"]);
            assert_eq!(filters(&all, "a/b", Some("h")), [""; 0]);
            let (known, is_new) = all.put(granted("a/+", 2));
            assert!(!is_new);
            assert_eq!(all.get(known.into()).unwrap().options.qos, 2);
            assert_eq!(&*all.remove("a/+").unwrap().text, "a/+");
            assert!(all.remove("a/+").is_none());
            assert!(all.remove("$SYS/#").is_some() && !all.has_sys());
            assert_eq!(filters(&all, "a/b", None), ["a/b"]);
            assert_eq!(all.put(granted("new", 0)), (3, true), "a tag that is free");
            assert_eq!(all.find("new").unwrap().options.qos, 0);
            assert_eq!(all.counts(), (3 + 2 * others, 1));
        }
    }
}
