//! What one client is subscribed to, as far as deliveries need it.

#[cfg(test)]
mod tests;

/// A subscription, found by its tag.
#[derive(Debug)]
pub(crate) struct Sub {
    generation: u32,
    /// The client's own name for it.
    pub(crate) sid: Box<[u8]>,
    /// Messages delivered so far.
    pub(crate) delivered: u64,
    /// After so many it ends; none: never.
    max: Option<u64>,
}

impl Sub {
    /// Whether it may have another message.
    pub(crate) fn wants_more(&self) -> bool {
        self.max.is_none_or(|max| self.delivered < max)
    }
}

/// All of them. A tag is a place and how often it was used before, so that a late delivery for who was
/// there does not reach who is.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    places: Vec<Place>,
    free: Vec<u32>,
    /// Those that had their last message.
    expired: Vec<u64>,
}

#[derive(Debug)]
enum Place {
    Taken(Sub),
    Free { generation: u32 },
}

impl Subscriptions {
    /// Adds one; returns its tag.
    pub(crate) fn insert(&mut self, sid: &[u8]) -> u64 {
        let (index, generation) = match self.free.pop() {
            None => (self.places.len(), 0),
            Some(index) => {
                let index = usize::try_from(index).unwrap_or(usize::MAX);
                match self.places.get(index) {
                    Some(Place::Free { generation }) => (index, generation.wrapping_add(1)),
                    _ => (self.places.len(), 0),
                }
            }
        };
        let sub = Sub { generation, sid: sid.into(), delivered: 0, max: None };
        match self.places.get_mut(index) {
            Some(place) => *place = Place::Taken(sub),
            None => {
                // Most have one.
                self.places.reserve_exact(usize::from(self.places.is_empty()));
                self.places.push(Place::Taken(sub));
            }
        }
        (u64::from(generation) << 32) | u64::try_from(index).unwrap_or(u64::MAX)
    }

    /// The one with this tag, if it is still there.
    pub(crate) fn get_mut(&mut self, tag: u64) -> Option<&mut Sub> {
        let generation = tag >> 32;
        match self.places.get_mut(index(tag))? {
            Place::Taken(sub) if u64::from(sub.generation) == generation => Some(sub),
            _ => None,
        }
    }

    /// Ends one after so many messages, those counted that it had. False if it had them: then it is
    /// to be removed.
    pub(crate) fn limit(&mut self, tag: u64, max: u64) -> bool {
        let Some(sub) = self.get_mut(tag) else { return false };
        sub.max = Some(max);
        sub.wants_more()
    }

    /// Notes that one had its last message.
    pub(crate) fn expire(&mut self, tag: u64) {
        self.expired.push(tag);
    }

    /// Those that had their last message since this was asked last, by their clients' names.
    pub(crate) fn take_expired(&mut self) -> Vec<(u64, Box<[u8]>)> {
        let expired = std::mem::take(&mut self.expired);
        let named = |tag| self.get_mut(tag).map(|sub| (tag, sub.sid.clone()));
        expired.into_iter().filter_map(named).collect()
    }

    /// Whether some had their last message.
    pub(crate) fn has_expired(&self) -> bool {
        !self.expired.is_empty()
    }

    /// Removes one.
    pub(crate) fn remove(&mut self, tag: u64) {
        let Some(generation) = self.get_mut(tag).map(|sub| sub.generation) else { return };
        if let Some(place) = self.places.get_mut(index(tag)) {
            *place = Place::Free { generation };
            self.free.push(u32::try_from(index(tag)).unwrap_or(u32::MAX));
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

fn index(tag: u64) -> usize {
    usize::try_from(tag & u64::from(u32::MAX)).unwrap_or(usize::MAX)
}
