//! Content-Formats: numbers for media types (RFC 7252 §12.3 and the registry that it began). What a message of another
//! protocol calls a media type is a number here, if it has one.

/// Links (RFC 6690).
pub(crate) const LINKS: u16 = 40;
/// JSON (RFC 8259).
pub(crate) const JSON: u16 = 50;
/// A list of changes to JSON (RFC 6902).
pub(crate) const JSON_PATCH: u16 = 51;
/// JSON that replaces parts of JSON (RFC 7396).
pub(crate) const MERGE_PATCH: u16 = 52;
/// CBOR (RFC 8949).
pub(crate) const CBOR: u16 = 60;

/// Numbers and media types, in the order of the numbers.
const TYPES: &[(u16, &str)] = &[
    (0, "text/plain; charset=utf-8"),
    (16, "application/cose; cose-type=\"cose-encrypt0\""),
    (17, "application/cose; cose-type=\"cose-mac0\""),
    (18, "application/cose; cose-type=\"cose-sign1\""),
    (21, "image/gif"),
    (22, "image/jpeg"),
    (23, "image/png"),
    (LINKS, "application/link-format"),
    (41, "application/xml"),
    (42, "application/octet-stream"),
    (47, "application/exi"),
    (JSON, "application/json"),
    (JSON_PATCH, "application/json-patch+json"),
    (MERGE_PATCH, "application/merge-patch+json"),
    (CBOR, "application/cbor"),
    (61, "application/cwt"),
    (62, "application/multipart-core"),
    (63, "application/cbor-seq"),
    (96, "application/cose; cose-type=\"cose-encrypt\""),
    (97, "application/cose; cose-type=\"cose-mac\""),
    (98, "application/cose; cose-type=\"cose-sign\""),
    (101, "application/cose-key"),
    (102, "application/cose-key-set"),
    (110, "application/senml+json"),
    (111, "application/sensml+json"),
    (112, "application/senml+cbor"),
    (113, "application/sensml+cbor"),
    (114, "application/senml-exi"),
    (115, "application/sensml-exi"),
    (256, "application/coap-group+json"),
    (257, "application/concise-problem-details+cbor"),
    (258, "application/swid+cbor"),
    (271, "application/dots+cbor"),
    (272, "application/missing-blocks+cbor-seq"),
    (310, "application/senml+xml"),
    (311, "application/sensml+xml"),
    (320, "application/senml-etch+json"),
    (322, "application/senml-etch+cbor"),
    (432, "application/td+json"),
    (10_000, "application/vnd.ocf+cbor"),
    (10_001, "application/oscore"),
    (10_002, "application/javascript"),
    (11_542, "application/vnd.oma.lwm2m+tlv"),
    (11_543, "application/vnd.oma.lwm2m+json"),
    (11_544, "application/vnd.oma.lwm2m+cbor"),
    (20_000, "text/css"),
    (30_000, "image/svg+xml"),
];

/// The media type of a number.
pub(crate) fn media_type(number: u16) -> Option<&'static str> {
    let at = TYPES.binary_search_by_key(&number, |(number, _)| *number).ok()?;
    TYPES.get(at).map(|(_, text)| *text)
}

/// The number of a media type: that of exactly this one, or of the type without its parameters.
pub(crate) fn number(media_type: &[u8]) -> Option<u16> {
    let same = |a: &[u8], b: &str| a.eq_ignore_ascii_case(b.as_bytes());
    let find = |wanted: &[u8]| TYPES.iter().find(|(_, text)| same(wanted, text));
    let squeezed = media_type.trim_ascii();
    if let Some((number, _)) = find(squeezed) {
        return Some(*number);
    }
    let bare = squeezed.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    // Text without a word on its characters is taken for what nearly all text is.
    if same(bare, "text/plain") {
        let rest = squeezed.get(bare.len()..).unwrap_or_default();
        let says_utf8 = rest.to_ascii_lowercase();
        let is_utf8 = says_utf8.windows(5).any(|five| five == b"utf-8");
        return (rest.is_empty() || is_utf8).then_some(0);
    }
    find(bare).map(|(number, _)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_media_types_are_the_same_thing() {
        assert!(TYPES.windows(2).all(|two| two[0].0 < two[1].0), "in order, for the search");
        for (number, text) in TYPES {
            assert_eq!(media_type(*number), Some(*text));
            assert_eq!(super::number(text.as_bytes()), Some(*number), "{text}");
        }
        for (text, wanted) in [
            ("text/plain", Some(0)),
            ("Text/Plain;charset=UTF-8", Some(0)),
            ("text/plain; charset=latin1", None),
            ("application/json; charset=utf-8", Some(50)),
            ("application/x-nothing", None),
            ("", None),
        ] {
            assert_eq!(number(text.as_bytes()), wanted, "{text}");
        }
        assert_eq!(media_type(65_000), None);
    }
}
