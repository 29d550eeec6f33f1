//! Answers of the loopback REST contract, byte by byte (section 3.2): the SDK ends its process over a wrong one.

use super::codes;
use super::status::Status;
use crate::hresult::{self as h, HResult};
use crate::id::JobId;

/// Longest answer, head and body, in bytes. getproperty alone may be longer: the SDK does not call it.
pub const ANSWER_MAX: usize = 2048;
/// Malformed HTTP: no body, and so no length; the connection is closed.
pub const MALFORMED: &[u8] = concat!(
    "HTTP/1.1 400 BadRequest\r\nServer: Delivery-Optimization-Agent/",
    env!("CARGO_PKG_VERSION"),
    "\r\n\r\n"
)
.as_bytes();

fn answer(line: &str, body: &str) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let length = body.len();
    format!(
        "HTTP/1.1 {line}\r\nContent-Length: {length}\r\nServer: Delivery-Optimization-Agent/{version}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// `{}`
pub fn done() -> Vec<u8> {
    answer("200 OK", "{}\n")
}

/// The answer to create.
pub fn created(id: JobId) -> Vec<u8> {
    answer("200 OK", &format!("{{\"Id\":\"{id}\"}}\n"))
}

/// The answer to getstatus: every value a text.
pub fn status(status: &Status) -> Vec<u8> {
    let Status { state, total, transferred, error, extended } = status;
    let body = format!(
        "{{\"Status\":\"{}\",\"BytesTotal\":\"{total}\",\"BytesTransferred\":\"{transferred}\",\"ErrorCode\":\"{}\",\"ExtendedErrorCode\":\"{}\"}}\n",
        state.as_str(),
        error.signed(),
        extended.signed()
    );
    answer("200 OK", &body)
}

/// The answer to getproperty: the key as it was sent.
pub fn property(key: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    answer("200 OK", &format!("{{{}:{}}}\n", text(key), text(value)))
}

/// A refusal.
pub fn error(code: HResult) -> Vec<u8> {
    let line = match code {
        codes::E_NOT_SET => "404 NotFound",
        h::E_OUTOFMEMORY => "503 ServiceUnavailable",
        code if code.bits() == 0x8007_023E => "500 InternalError",
        _ => "400 BadRequest",
    };
    answer(line, &format!("{{ \"ErrorCode\": {} }}", code.signed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::status::State;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn answers_are_what_the_sdk_reads() {
        let longest = Status {
            state: State::Transferring,
            total: u64::MAX,
            transferred: u64::MAX,
            error: HResult::from_bits(0x8000_0000),
            extended: HResult::from_bits(0x8000_0000),
        };
        let id = JobId::from_bytes([255; 16]);
        for bytes in [done(), created(id), status(&longest), error(codes::E_NOT_SET)] {
            assert!(bytes.len() <= ANSWER_MAX);
            let answer = text(bytes);
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let mut lines = head.split("\r\n");
            let mut words = lines.next().unwrap().split(' ');
            assert_eq!(words.next(), Some("HTTP/1.1"));
            assert!(words.next().unwrap().parse::<u16>().is_ok());
            assert!(words.next().unwrap().bytes().all(|byte| byte.is_ascii_alphanumeric()));
            let lengths: Vec<&str> = lines.filter(|line| line.contains("Content-Length")).collect();
            assert_eq!(lengths, [format!("Content-Length: {}", body.len())]);
        }
    }

    #[test]
    fn codes_are_signed_and_choose_the_status() {
        assert!(text(error(codes::E_NOT_SET)).starts_with("HTTP/1.1 404 NotFound\r\n"));
        assert!(text(error(codes::E_NOT_SET)).ends_with("{ \"ErrorCode\": -2147023728 }"));
        assert!(text(error(h::E_OUTOFMEMORY)).starts_with("HTTP/1.1 503 ServiceUnavailable\r\n"));
        assert!(text(error(codes::of_errno(17))).contains("400 BadRequest"));
        assert!(text(error(codes::of_errno(17))).contains("-1060110319"));
        assert!(text(property("Uri", "a\"b\u{e4}")).ends_with("{\"Uri\":\"a\\\"b\u{e4}\"}\n"));
    }
}
