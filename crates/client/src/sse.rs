//! Server-sent events: the parser (HTML Living Standard, "Interpreting an event stream"), with limits.

/// Longest line and longest event that is read, in bytes.
pub const EVENT_BYTES_MAX: usize = 64 << 10;

/// One event as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawEvent {
    /// Last `id:` field, if this event had one.
    pub id: Option<String>,
    /// `event:` field; empty if absent.
    pub event: String,
    /// `data:` lines, joined by line feeds.
    pub data: String,
}

/// Why the stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// A line or an event is longer than [`EVENT_BYTES_MAX`].
    #[error("an event is longer than {EVENT_BYTES_MAX} bytes")]
    TooLong,
    /// A line is not UTF-8.
    #[error("an event is not UTF-8")]
    NotUtf8,
}

/// Takes bytes as they arrive, gives whole events. Holds at most two times [`EVENT_BYTES_MAX`].
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    event: RawEvent,
    has_data: bool,
    started: bool,
    after_cr: bool,
}

impl Parser {
    /// Reads bytes and appends the events that they finish to `out`. After an error the stream must be dropped.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<RawEvent>) -> Result<(), SseError> {
        for &byte in bytes {
            let follows_cr = std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if follows_cr => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    self.end_of_line(out)?;
                }
                _ if self.line.len() >= EVENT_BYTES_MAX => return Err(SseError::TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn end_of_line(&mut self, out: &mut Vec<RawEvent>) -> Result<(), SseError> {
        let mut line = std::mem::take(&mut self.line);
        let result = self.take_line(&line, out);
        line.clear();
        self.line = line; // Keeps its room for the next line.
        result
    }

    fn take_line(&mut self, line: &[u8], out: &mut Vec<RawEvent>) -> Result<(), SseError> {
        let mut line = std::str::from_utf8(line).map_err(|_| SseError::NotUtf8)?;
        if !std::mem::replace(&mut self.started, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                out.push(event);
            }
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.event.data.len() + value.len() >= EVENT_BYTES_MAX {
                    return Err(SseError::TooLong);
                }
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.event.event),
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            _ => {} // Comments (empty field name), `retry`, and what later versions add.
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(chunks: &[&[u8]]) -> Result<Vec<RawEvent>, SseError> {
        let (mut parser, mut out) = (Parser::default(), Vec::new());
        for chunk in chunks {
            parser.push(chunk, &mut out)?;
        }
        Ok(out)
    }

    fn event(id: Option<&str>, event: &str, data: &str) -> RawEvent {
        RawEvent { id: id.map(str::to_owned), event: event.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn fields_comments_and_line_ends() {
        let text = "\u{feff}: hello\n\nid: 7\nevent: modified\ndata: {\"a\":1}\n\n:beat\r\ndata:x\r\ndata: y\r\n\r\nunknown: z\rdata\r\rid: 9\n\ndata: cut";
        assert_eq!(
            parse(&[text.as_bytes()]).unwrap(),
            [event(Some("7"), "modified", "{\"a\":1}"), event(None, "", "x\ny"), event(None, "", "")]
        );
    }

    #[test]
    fn a_line_or_an_event_beyond_the_limit_is_refused() {
        let fits = format!("data: {}\n\n", "x".repeat(EVENT_BYTES_MAX - 6));
        assert_eq!(parse(&[fits.as_bytes()]).unwrap().len(), 1);
        let long = format!("data: {}", "x".repeat(EVENT_BYTES_MAX));
        assert_eq!(parse(&[long.as_bytes()]), Err(SseError::TooLong));
        let many = "data: 0123456789\n".repeat(EVENT_BYTES_MAX / 10);
        assert_eq!(parse(&[many.as_bytes()]), Err(SseError::TooLong));
        let comments = ": 0123456789\n".repeat(EVENT_BYTES_MAX);
        assert_eq!(parse(&[comments.as_bytes()]), Ok(vec![]));
        assert_eq!(parse(&[b"data: \xff\n"]), Err(SseError::NotUtf8));
    }

    fn line_text() -> impl Strategy<Value = String> {
        "[a-zA-Z0-9:{}\" \u{e4}\u{1F600}]{0,12}"
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_however_it_is_cut(
            events in prop::collection::vec((prop::option::of(0u64..1000), "[a-z-]{0,8}", prop::collection::vec(line_text(), 1..4)), 0..6),
            end in prop::sample::select(vec!["\n", "\r", "\r\n"]),
            cut in 1usize..20,
        ) {
            let mut text = String::new();
            let mut wanted = Vec::new();
            for (id, name, lines) in &events {
                if let Some(id) = id { text += &format!("id: {id}{end}"); }
                text += &format!("event: {name}{end}");
                for line in lines { text += &format!("data: {line}{end}"); }
                text += &format!("{end}: beat{end}");
                wanted.push(RawEvent { id: id.map(|i| i.to_string()), event: name.clone(), data: lines.join("\n") });
            }
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
            prop_assert_eq!(parse(&chunks).unwrap(), wanted);
        }

        #[test]
        fn any_bytes_give_the_same_answer_in_one_piece_and_byte_by_byte(bytes in prop::collection::vec(prop::sample::select(b"data: ide\r\n\n\xef\xbb\xbf\xff".to_vec()), 0..200)) {
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(parse(&[&bytes]), parse(&single));
        }
    }
}
