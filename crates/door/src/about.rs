//! What is known of a connection besides where it comes from: for those who look.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Longest value, in bytes; what clients say of themselves may be longer.
const VALUE_BYTES_MAX: usize = 256;

/// What its door says of a connection. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct About(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl About {
    /// Says something, such as who the user is; nothing, where the value is empty.
    pub fn say(&self, name: &'static str, value: &str) {
        if value.is_empty() {
            return;
        }
        let value = value.get(..value.floor_char_boundary(VALUE_BYTES_MAX)).unwrap_or_default();
        self.0.lock().insert(name, value.to_owned());
    }

    /// All that was said.
    pub(crate) fn each(&self, mut each: impl FnMut(&'static str, &str)) {
        self.0.lock().iter().for_each(|(name, value)| each(name, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_last_counts_and_is_not_long() {
        let about = About::default();
        about.say("user", "");
        about.say("user", "a");
        let same = [about.clone(), about];
        same[0].say("user", "b");
        same[0].say("client_id", &"ä".repeat(1000));
        let mut all = Vec::new();
        same[1].each(|name, value| all.push((name, value.len())));
        assert_eq!(all, [("client_id", 256), ("user", 1)]);
    }
}
