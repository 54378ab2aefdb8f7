//! The names of queues' topics.

use std::fmt::Write;

use base::limits::TOPIC_NAME_BYTES_MAX;

use super::types::QueueName;

/// Begins the name of a topic of a queue whose own name cannot be one, or is in another namespace.
const ESCAPED: &str = "_q.";
/// Between the namespace and the name.
const BETWEEN: &str = "_.";
/// Of a longer one so many bytes are shown, …
const SHOWN: usize = 200;
/// … and this, and a number by chance.
const CUT: &str = "_-";

/// The name of a queue's topic. Two queues never have the same.
///
/// A queue of the default namespace has its own name, if that can be a topic's and does not begin with `_q.`. Any other
/// has `_q.`, its namespace, `_.` and its name, in both of which all bytes but letters, digits, `.` and `-` are `_` and
/// two hexadecimal digits. One that is too long is cut, and ends in `_-` and `chance`, since no code does.
pub(super) fn topic_name(queue: &QueueName, chance: u128) -> String {
    let QueueName { space, name } = queue;
    if space.is_empty()
        && let Some(name) = as_topic(name)
    {
        return name.to_owned();
    }
    let mut escaped = ESCAPED.to_owned();
    escape(space, &mut escaped);
    escaped.push_str(BETWEEN);
    escape(name, &mut escaped);
    if escaped.len() > TOPIC_NAME_BYTES_MAX {
        escaped.truncate(SHOWN);
        // Writing to a string cannot fail.
        let _ = write!(escaped, "{CUT}{chance:032x}");
    }
    escaped
}

/// The name, if it can be a topic's as it is.
fn as_topic(name: &[u8]) -> Option<&str> {
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let fits = (1..=TOPIC_NAME_BYTES_MAX).contains(&name.len()) && name.iter().all(legal);
    let name = std::str::from_utf8(name).ok().filter(|_| fits)?;
    (name != "." && name != ".." && !name.starts_with(ESCAPED)).then_some(name)
}

fn escape(bytes: &[u8], to: &mut String) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b".-".contains(byte) {
            to.push(char::from(*byte));
        } else {
            let _ = write!(to, "_{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn queue(space: &[u8], name: &[u8]) -> QueueName {
        QueueName { space: Bytes::copy_from_slice(space), name: Bytes::copy_from_slice(name) }
    }

    #[test]
    fn a_name_that_can_be_a_topic_s_is_the_topic_s() {
        assert_eq!(topic_name(&queue(b"", b"celery"), 0), "celery");
        assert_eq!(topic_name(&queue(b"", b"a b_c"), 0), "_q._.a_20b_5Fc");
        assert_eq!(topic_name(&queue(b"v", b"celery"), 0), "_q.v_.celery");
        assert_eq!(topic_name(&queue(b"", b"_q._.a"), 0), "_q._._5Fq._5F.a");
        let long = topic_name(&queue(b"", &[b'/'; 255]), 7);
        assert!(
            long.len() <= TOPIC_NAME_BYTES_MAX
                && long.ends_with("_-00000000000000000000000000000007")
        );
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let some = prop::sample::select(b"q_.-aA0 \x00\xff/".to_vec());
        prop::collection::vec(some, 0..12)
    }

    proptest! {
        #[test]
        fn two_queues_never_have_the_same_topic(a in (bytes(), bytes()), b in (bytes(), bytes())) {
            let (one, two) = (queue(&a.0, &a.1), queue(&b.0, &b.1));
            let (first, second) = (topic_name(&one, 1), topic_name(&two, 1));
            prop_assert_eq!(first == second, one == two);
            prop_assert!(as_topic(first.as_bytes()).is_some() || first.starts_with(ESCAPED));
            prop_assert!(first.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
        }
    }
}
