use serde_json::json;
use store::batch::{BatchBuilder, Compression, NewRecord};

use super::*;

fn record(key: Option<&'static [u8]>, value: Option<&'static [u8]>) -> Record {
    let mut builder = BatchBuilder::new(Compression::None);
    let headers: &[(&[u8], Option<&[u8]>)] = &[(b"h", Some(b"1")), (b"h", None)];
    builder.push(&NewRecord { timestamp: 1000, key, value, headers });
    let batch = builder.build().unwrap();
    Record { offset: 7, ..batch.records().unwrap().next().unwrap().unwrap() }
}

#[test]
fn json_tells_text_bytes_and_absence_apart() {
    let headers = json!([{"key": "h", "value": "1"}, {"key": "h", "value": null}]);
    assert_eq!(
        as_json("t", 2, &record(Some(b"k"), Some(b"\xff"))),
        json!({"topic": "t", "partition": 2, "offset": 7, "timestamp": 1000, "key": "k",
               "value_base64": "/w==", "headers": headers})
    );
    assert_eq!(
        as_json("t", 2, &record(None, Some(b""))),
        json!({"topic": "t", "partition": 2, "offset": 7, "timestamp": 1000, "key": null,
               "value": "", "headers": headers})
    );
}

#[test]
fn a_cell_is_safe_and_tells_absent_from_empty() {
    assert_eq!(cell(None), "-");
    assert_eq!(cell(Some(b"")), "");
    assert_eq!(cell(Some(b"a\x1b[2J")), "a\\u{1b}[2J");
    assert_eq!(cell(Some(b"\xff")), "base64:/w==");
}

#[test]
fn columns_line_up_with_their_heading() {
    let heading = columns("PARTITION", "OFFSET", "TIME", "KEY", "VALUE", "HEADERS");
    let row = columns("0", "12", &time(0), "k", "v", "");
    for (name, cell) in [("OFFSET", "12"), ("TIME", "1970"), ("KEY", "k"), ("VALUE", "v")] {
        assert_eq!(heading.find(name), row.find(cell), "{name}");
    }
    assert!(!row.ends_with(' '));
}
