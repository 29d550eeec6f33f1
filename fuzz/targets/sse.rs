//! The event stream as a client reads it: the same however it is cut, and within its limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openbits_client::sse::{EVENT_BYTES_MAX, Parser, RawEvent, SseError};

fn parse<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<RawEvent>, Option<SseError>) {
    let (mut parser, mut out) = (Parser::default(), Vec::new());
    for chunk in chunks {
        if let Err(error) = parser.push(chunk, &mut out) {
            return (out, Some(error));
        }
    }
    (out, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((&cut, data)) = data.split_first() else { return };
    let whole = parse(std::iter::once(data));
    assert_eq!(whole, parse(data.chunks(usize::from(cut) + 1)));
    for event in whole.0 {
        assert!(event.data.len() <= EVENT_BYTES_MAX && event.event.len() <= EVENT_BYTES_MAX);
        assert!(!event.id.is_some_and(|id| id.contains(['\0', '\n', '\r'])));
        let _ = serde_json::from_str::<openbits_api::EventView>(&event.data);
    }
});
