use super::*;

#[test]
fn the_end_is_told_as_it_came() {
    let (told, ended) = farewell(End::Goodbye);
    assert_eq!(told, b"\x01\0\0\0\0\0\x04\0\x0a\0\x33\xce");
    assert!(ended.is_ok());
    let (told, ended) = farewell(End::fault(Fault::new(Reply::FrameError, "type 1")));
    assert!(told.windows(20).any(|part| part == b"FRAME_ERROR - type 1"));
    assert!(matches!(ended, Err(CloseReason::Protocol(_))));
    let (told, ended) = farewell(End::Quiet);
    assert!(told.is_empty() && ended.is_ok());
}
