//! Fields of bodies that are read as JSON Schema has them, rather than as Rust does.

use std::fmt::{self, Formatter};
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// Beyond these a number with a point does not say which whole number it is.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// An object. What is derived for a structure reads a list of its fields' values as well, which is none.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Fields(PhantomData))
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
    }
}

/// A list of objects; what is not there, or null, is as good as an empty one.
pub(crate) fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    let list: Vec<Object<T>> = or_default(from)?;
    Ok(list.into_iter().map(|object| object.0).collect())
}

/// What is not there, or null, is as good as empty.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// A whole number, where there may be none.
pub(crate) fn maybe_whole<'de, D: Deserializer<'de>, T: TryFrom<i64>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    let whole: Option<Whole<T>> = Option::deserialize(from)?;
    Ok(whole.map(|whole| whole.0))
}

/// A whole number; `1.0` is one, too (JSON Schema Validation, section 6.1.1).
pub(crate) fn whole<'de, D: Deserializer<'de>, T: TryFrom<i64>>(from: D) -> Result<T, D::Error> {
    Whole::deserialize(from).map(|whole| whole.0)
}

struct Whole<T>(T);

impl<'de, T: TryFrom<i64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Any(PhantomData))
    }
}

struct Any<T>(PhantomData<T>);

impl<T: TryFrom<i64>> Visitor<'_> for Any<T> {
    type Value = Whole<T>;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number in its bounds")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        let wrong = |_| E::invalid_value(Unexpected::Signed(number), &self);
        T::try_from(number).map(Whole).map_err(wrong)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        if number.fract() != 0.0 || number.abs() > EXACT {
            return Err(E::invalid_value(Unexpected::Float(number), &self));
        }
        #[allow(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
        self.visit_i64(number as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Body {
        #[serde(deserialize_with = "whole")]
        one: i32,
        #[serde(default, deserialize_with = "maybe_whole")]
        other: Option<u8>,
    }

    #[test]
    fn an_object_is_not_a_list_of_its_values() {
        let read = |text| serde_json::from_str::<Object<Body>>(text);
        assert_eq!(read(r#"{"one": 7}"#).unwrap().0, Body { one: 7, other: None });
        for wrong in ["[7, null]", "[]", "null", "7"] {
            let why = read(wrong).unwrap_err().to_string();
            assert!(why.contains("expected an object"), "{wrong}: {why}");
        }
    }

    #[test]
    fn numbers_may_be_written_with_a_point_and_must_be_whole() {
        for (text, expected) in [
            (r#"{"one": 7}"#, Body { one: 7, other: None }),
            (r#"{"one": -7.0, "other": null}"#, Body { one: -7, other: None }),
            (r#"{"one": 1e3, "other": 255.0}"#, Body { one: 1000, other: Some(255) }),
        ] {
            assert_eq!(serde_json::from_str::<Body>(text).unwrap(), expected);
        }
        for wrong in [
            r#"{"one": 7.5}"#,
            r#"{"one": "7"}"#,
            r#"{"one": null}"#,
            r#"{"one": 2147483648}"#,
            r#"{"one": 1e300}"#,
            r#"{"one": 18446744073709551615}"#,
            r#"{"one": 1, "other": 256}"#,
            r#"{"one": 1, "other": -1}"#,
        ] {
            assert!(serde_json::from_str::<Body>(wrong).is_err(), "{wrong}");
        }
    }
}
